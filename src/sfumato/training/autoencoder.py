"""Training the folding autoencoder: reconstruction in pixels, edges and features, noise on the latent, equal under
scaling, and where asked for against a discriminator."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from sfumato.checkpoints.classifiers import classifier_digest, load_classifier
from sfumato.checkpoints.save import save_part
from sfumato.errors import TrainingError
from sfumato.images import contact_sheet, to_pil
from sfumato.models.autoencoder_fold import AutoencoderFold, AutoencoderFoldConfig
from sfumato.models.discriminator import PatchDiscriminator, PatchDiscriminatorConfig
from sfumato.models.picture_classifier import PictureClassifier
from sfumato.training.adversarial import AdversarialConfig, Alarms, contest
from sfumato.training.data import Order, Pictures, generator_for
from sfumato.training.growth import widened
from sfumato.training.latents import autoencoder_form, load_autoencoder
from sfumato.training.loop import LoopConfig


class AutoencoderRun(BaseModel):
    """A training TOML with `task = "autoencoder"`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: Literal["autoencoder"]
    data: Path
    latent_channels: int = Field(16, gt=0)
    channels: tuple[int, ...] = (64, 128, 256)
    blocks: int = Field(2, gt=0)
    fold: int = Field(4, gt=0)
    decoder_channels: tuple[int, ...] | None = None
    """Widths of the decoder where they are not `channels`."""
    decoder_blocks: int | None = Field(None, gt=0)
    crop: int = Field(128, gt=0)
    latent_noise: float = Field(0.1, ge=0)
    edges: float = Field(0.5, ge=0)
    squared: float = Field(0.0, ge=0)
    perceptual_weight: float = Field(0.0, ge=0)
    perceptual: Path | None = None
    """The export of a classifier in whose features pictures are compared, in validation as well."""
    adversarial: AdversarialConfig = AdversarialConfig()
    scaled: float = Field(0.3, ge=0, le=1)
    validation: int = Field(64, gt=0)
    start: Path | None = None
    """Begin with the autoencoder in this folder, whose form then counts; with its encoder alone where
    `decoder_channels` or `decoder_blocks` ask for another decoder, and with more `latent_channels` where they are
    asked for, of which its decoder knows nothing yet."""
    added_deviation: float = Field(1.0, gt=0)
    """Deviation of the exported latents in channels that `start` did not have; those it had have 1. Channels that were
    added tell fine detail. Quieter ones come out of the noise last, and are a smaller part of a denoiser's loss."""
    freeze_encoder: bool = False
    """Train the decoder alone: the latents, and a denoiser trained on them, stay as they are."""
    loop: LoopConfig


def edges(x: Float[Tensor, "b c h w"]) -> tuple[Tensor, Tensor]:
    """Differences between neighbours, along the height and along the width."""
    return x[:, :, 1:] - x[:, :, :-1], x[:, :, :, 1:] - x[:, :, :, :-1]


def psnr(a: Tensor, b: Tensor) -> Float[Tensor, " b"]:
    """Peak signal-to-noise ratio in dB of pictures in [-1, 1], one a picture."""
    return 10 * torch.log10(4.0 / (a - b).square().flatten(1).mean(1).clamp_min(1e-10))


def ssim(a: Float[Tensor, "b 3 h w"], b: Float[Tensor, "b 3 h w"]) -> Float[Tensor, " b"]:
    """Structural similarity (Wang et al. 2004) of pictures in [-1, 1], one a picture, 1 for the same."""
    from torchmetrics.functional.image import structural_similarity_index_measure  # heavy: validation alone needs it

    value = structural_similarity_index_measure(a, b, data_range=2.0, reduction="none")
    assert isinstance(value, Tensor)
    return value


def perceptual_distance(
    classifier: PictureClassifier, a: Float[Tensor, "b 3 h w"], b: Float[Tensor, "b 3 h w"]
) -> Float[Tensor, " b"]:
    """How far apart the classifier's features are, from 0 to 4, one a picture.

    Features are unit vectors at each place; squared distance, mean over places and stages: LPIPS without its learned
    weights (Zhang et al. 2018, eq. 1).
    """
    stages = zip(classifier.features(a), classifier.features(b), strict=True)
    distances = [
        (F.normalize(x.float()) - F.normalize(y.float())).square().sum(1).flatten(1).mean(1) for x, y in stages
    ]
    return torch.stack(distances).mean(0)


def compare(
    pixels: Float[Tensor, "b 3 h w"], restored: Float[Tensor, "b 3 h w"], classifier: PictureClassifier | None
) -> dict[str, Float[Tensor, " b"]]:
    """PSNR in dB, SSIM and, with a classifier, perceptual distance of pictures in [-1, 1]."""
    values = {"psnr": psnr(pixels, restored), "ssim": ssim(pixels, restored)}
    if classifier is not None:
        values["perceptual"] = perceptual_distance(classifier, pixels, restored)
    return values


class AutoencoderTask:
    """L1 on pixels and on edges, squares and features with a weight. Noise of `latent_noise` is added to the
    tanh-bounded latent.

    On a share `scaled` of the steps the latent is halved in size and must decode to the halved picture (EQ-VAE,
    Kouzelis et al. 2025): such latents are smoother and quicker to learn for a denoiser.
    """

    def __init__(self, run: AutoencoderRun, folder: Path) -> None:
        if run.freeze_encoder and run.start is None:
            raise TrainingError("freeze_encoder needs start: the folder of a trained autoencoder")
        if run.perceptual_weight and run.perceptual is None:
            raise TrainingError("perceptual_weight needs perceptual: the export of a trained classifier")
        self.run = run
        self.pictures = Pictures.for_training(run.data)
        torch.manual_seed(run.loop.seed)
        self.model = _begin(run)
        self.known = self.model.latent_channels if run.start is None else autoencoder_form(run.start).latent_channels
        if run.added_deviation != 1 and self.known == self.model.latent_channels:
            raise TrainingError(
                f"added_deviation={run.added_deviation} is for channels that start does not have, and none are added; "
                f"ask for more latent_channels than {self.known}, or leave it out"
            )
        self.model.decoder.requires_grad_(True)
        self.model.encoder.requires_grad_(not run.freeze_encoder)
        step = self.model.factor * 2
        if run.crop > self.pictures.size or run.crop % step:
            raise TrainingError(f"crop={run.crop} must be a multiple of {step} and at most {self.pictures.size}")
        self.order = Order(self.pictures.train, run.loop.batch, run.loop.seed)
        self.content = {"data": self.pictures.digest}
        self.classifier: PictureClassifier | None = None
        if run.perceptual is not None:
            self.classifier = load_classifier(run.perceptual)
            self.content["perceptual"] = classifier_digest(run.perceptual)

    def loss(self, model: nn.Module, indices: Int[Tensor, " b"], rng: torch.Generator) -> dict[str, Tensor]:
        """See the class."""
        restored, pixels = self._restore(model, indices, rng)
        return self._reconstruction(restored, pixels)

    def _restore(self, model: nn.Module, indices: Int[Tensor, " b"], rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """What the decoder makes of noisy latents, and what it should be."""
        assert isinstance(model, AutoencoderFold)
        pixels = self.pictures.pixels(indices, self.run.crop, rng).to(memory_format=torch.channels_last)
        latents = model.encoder(pixels)  # as bounded by tanh, not standardised
        latents = latents + self.run.latent_noise * torch.randn(latents.shape, generator=rng)
        if float(torch.rand((), generator=rng)) < self.run.scaled:
            latents, pixels = F.avg_pool2d(latents, 2), F.avg_pool2d(pixels, 2)
        return model.decoder(latents).float(), pixels

    def _reconstruction(self, restored: Tensor, pixels: Tensor) -> dict[str, Tensor]:
        run = self.run
        l1 = F.l1_loss(restored, pixels)
        edge = sum((F.l1_loss(a, b) for a, b in zip(edges(restored), edges(pixels), strict=True)), torch.zeros(()))
        losses = {"loss": l1 + run.edges * edge, "l1": l1, "edge": edge}
        if run.squared:
            losses["squared"] = F.mse_loss(restored, pixels)
            losses["loss"] = losses["loss"] + run.squared * losses["squared"]
        if run.perceptual_weight and self.classifier is not None:
            losses["perceptual"] = perceptual_distance(self.classifier, pixels, restored).mean()
            losses["loss"] = losses["loss"] + run.perceptual_weight * losses["perceptual"]
        return losses

    def _held_out(self) -> Float[Tensor, "b 3 h w"]:
        indices = self.pictures.validation
        chosen = torch.randperm(len(indices), generator=generator_for(0))[: self.run.validation]
        return self.pictures.pixels(indices[chosen])

    @torch.no_grad()
    def validate(self, model: nn.Module) -> dict[str, float]:
        """See `compare`, and L1 as "loss", of whole held-out pictures, no noise."""
        assert isinstance(model, AutoencoderFold)
        pairs = self._restored(model)
        values = [compare(p, r, self.classifier) | {"loss": (p - r).abs().flatten(1).mean(1)} for p, r in pairs]
        return {name: float(torch.cat([value[name] for value in values]).mean()) for name in values[0]}

    def _restored(self, model: AutoencoderFold) -> list[tuple[Tensor, Tensor]]:
        return [(p, model.decode(model.encode(p)).clamp(-1, 1)) for p in self._held_out().split(8)]

    @torch.no_grad()
    def sheet(self, model: nn.Module) -> Image.Image:
        """Held-out originals over their reconstructions."""
        assert isinstance(model, AutoencoderFold)
        pixels, restored = self._restored(model)[0]
        return contact_sheet([to_pil(x) for x in (*pixels, *restored)], columns=len(pixels))

    @torch.no_grad()
    def export(self, model: nn.Module, folder: Path) -> None:
        """`vae/` in a diffusers-like folder; latents are standardised a channel over 2,000 training pictures, but for
        `added_deviation`."""
        assert isinstance(model, AutoencoderFold)
        if self.run.freeze_encoder:
            save_part(folder, "vae", model, model.config, torch.float16)
            return
        train = self.pictures.train
        chosen = train[torch.randperm(len(train), generator=generator_for(1))[:2000]]
        latents = torch.cat([model.encoder(self.pictures.pixels(part)) for part in chosen.split(16)])
        deviation = latents.std((0, 2, 3))
        deviation[self.known :] /= self.run.added_deviation
        config = replace(
            model.config,
            latents_mean=tuple(round(v, 5) for v in latents.mean((0, 2, 3)).tolist()),
            latents_std=tuple(round(v, 5) for v in deviation.tolist()),
        )
        save_part(folder, "vae", model, config, torch.float16)


class AdversarialAutoencoderTask(AutoencoderTask):
    """Against a discriminator of patches as well, as in latent diffusion (Rombach et al. 2022)."""

    def __init__(self, run: AutoencoderRun, folder: Path) -> None:
        super().__init__(run, folder)
        self.opponent = PatchDiscriminator(PatchDiscriminatorConfig(channels=run.adversarial.channels))
        self.alarms = Alarms(run.adversarial)

    def contest(
        self, model: nn.Module, indices: Int[Tensor, " b"], rng: torch.Generator, turn: int
    ) -> dict[str, Tensor]:
        """See `adversarial.contest`."""
        assert isinstance(model, AutoencoderFold)
        restored, pixels = self._restore(model, indices, rng)
        return contest(
            self.opponent,
            restored,
            pixels,
            lambda seen: self._reconstruction(seen, pixels),
            model.last_weight,
            self.run.adversarial,
            rng,
            turn,
        )


def autoencoder_task(run: AutoencoderRun, folder: Path) -> AutoencoderTask:
    """With a discriminator where it has a weight."""
    return (AdversarialAutoencoderTask if run.adversarial.weight else AutoencoderTask)(run, folder)


def _begin(run: AutoencoderRun) -> AutoencoderFold:
    """The autoencoder to be trained: as drawn, or as far as the one in `run.start` is of its form."""
    if run.start is None:
        trained = None
        config = AutoencoderFoldConfig(
            latent_channels=run.latent_channels, fold=run.fold, channels=run.channels, blocks=run.blocks
        )
    else:
        trained = load_autoencoder(run.start)
        config = trained.config
        asked = "latent_channels" in run.model_fields_set  # its default is for new autoencoders
        if asked and run.latent_channels > config.latent_channels:
            if run.freeze_encoder:
                raise TrainingError(
                    f"freeze_encoder keeps the {config.latent_channels} latent channels of {run.start}; "
                    f"latent_channels={run.latent_channels} needs it off"
                )
            config = replace(config, latent_channels=run.latent_channels, latents_mean=None, latents_std=None)
    config = replace(
        config,
        decoder_channels=run.decoder_channels or config.decoder_channels,
        decoder_blocks=run.decoder_blocks or config.decoder_blocks,
    )
    try:
        model = AutoencoderFold(config)
    except ValueError as error:
        raise TrainingError(str(error)) from error
    if trained is not None:
        _take_over(model.encoder, trained.encoder, len(model.encoder) - 2)
        if config.decoder_form == trained.config.decoder_form:
            for weight in model.decoder[0].parameters():
                nn.init.zeros_(weight)
            _take_over(model.decoder, trained.decoder, 0)
    return model


def _take_over(ours: nn.Sequential, theirs: nn.Sequential, latent: int) -> None:
    """Weights of one half, whose layer `latent` may have more channels in ours."""
    ours.load_state_dict(widened(ours, theirs.state_dict(), (f"{latent}.weight", f"{latent}.bias")))
