"""Training the folding autoencoder: reconstruction in pixels and edges, noise on the latent, equal under scaling."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from sfumato.checkpoints.folder import read_json, weights_file
from sfumato.checkpoints.rules import fit
from sfumato.checkpoints.save import save_part
from sfumato.checkpoints.skeleton import on_meta
from sfumato.checkpoints.tensors import read_tensors
from sfumato.errors import TrainingError
from sfumato.images import contact_sheet, to_pil
from sfumato.models.autoencoder_fold import AutoencoderFold, AutoencoderFoldConfig
from sfumato.training.data import Order, Pictures, generator_for
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
    crop: int = Field(128, gt=0)
    latent_noise: float = Field(0.1, ge=0)
    edges: float = Field(0.5, ge=0)
    scaled: float = Field(0.3, ge=0, le=1)
    validation: int = Field(64, gt=0)
    start: Path | None = None
    """Begin with the autoencoder in this folder, whose form then counts."""
    freeze_encoder: bool = False
    """Train the decoder alone: the latents, and a denoiser trained on them, stay as they are."""
    loop: LoopConfig


def edges(x: Float[Tensor, "b c h w"]) -> tuple[Tensor, Tensor]:
    """Differences between neighbours, along the height and along the width."""
    return x[:, :, 1:] - x[:, :, :-1], x[:, :, :, 1:] - x[:, :, :, :-1]


def psnr(a: Tensor, b: Tensor) -> Float[Tensor, " b"]:
    """Peak signal-to-noise ratio in dB of pictures in [-1, 1], one a picture."""
    return 10 * torch.log10(4.0 / (a - b).square().flatten(1).mean(1).clamp_min(1e-10))


def load_autoencoder(folder: Path) -> AutoencoderFold:
    """The frozen autoencoder in the `vae` folder of a run's export, float32.

    Raises:
        CheckpointError: it is missing, damaged or of another form.
    """
    config = AutoencoderFoldConfig.from_json(read_json(folder / "config.json"), str(folder / "config.json"))
    with on_meta():
        model = AutoencoderFold(config)
    file = weights_file(folder, "diffusion_pytorch_model")
    fit(model, read_tensors(file), str(file), torch.float32)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model.eval().requires_grad_(False)


class AutoencoderTask:
    """L1 on pixels and on edges. Noise of `latent_noise` is added to the tanh-bounded latent.

    On a share `scaled` of the steps the latent is halved in size and must decode to the halved picture (EQ-VAE,
    Kouzelis et al. 2025): such latents are smoother and quicker to learn for a denoiser.
    """

    def __init__(self, run: AutoencoderRun, folder: Path) -> None:
        if run.freeze_encoder and run.start is None:
            raise TrainingError("freeze_encoder needs start: the folder of a trained autoencoder")
        self.run = run
        self.pictures = Pictures(run.data)
        torch.manual_seed(run.loop.seed)
        config = AutoencoderFoldConfig(
            latent_channels=run.latent_channels, fold=run.fold, channels=run.channels, blocks=run.blocks
        )
        self.model = AutoencoderFold(config) if run.start is None else load_autoencoder(run.start)
        self.model.decoder.requires_grad_(True)
        self.model.encoder.requires_grad_(not run.freeze_encoder)
        step = self.model.factor * 2
        if run.crop > self.pictures.size or run.crop % step:
            raise TrainingError(f"crop={run.crop} must be a multiple of {step} and at most {self.pictures.size}")
        self.order = Order(self.pictures.train, run.loop.batch, run.loop.seed)
        self.content = {"data": self.pictures.digest}

    def loss(self, model: nn.Module, indices: Int[Tensor, " b"], rng: torch.Generator) -> dict[str, Tensor]:
        """See the class."""
        assert isinstance(model, AutoencoderFold)
        pixels = self.pictures.pixels(indices, self.run.crop, rng).to(memory_format=torch.channels_last)
        latents = model.encoder(pixels)  # as bounded by tanh, not standardised
        latents = latents + self.run.latent_noise * torch.randn(latents.shape, generator=rng)
        if float(torch.rand((), generator=rng)) < self.run.scaled:
            latents, pixels = F.avg_pool2d(latents, 2), F.avg_pool2d(pixels, 2)
        restored = model.decoder(latents).float()
        l1 = F.l1_loss(restored, pixels)
        edge = sum((F.l1_loss(a, b) for a, b in zip(edges(restored), edges(pixels), strict=True)), torch.zeros(()))
        return {"loss": l1 + self.run.edges * edge, "l1": l1, "edge": edge}

    def _held_out(self) -> Float[Tensor, "b 3 h w"]:
        indices = self.pictures.validation
        chosen = torch.randperm(len(indices), generator=generator_for(0))[: self.run.validation]
        return self.pictures.pixels(indices[chosen])

    @torch.no_grad()
    def validate(self, model: nn.Module) -> dict[str, float]:
        """PSNR and L1 of whole held-out pictures, no noise."""
        assert isinstance(model, AutoencoderFold)
        values = [(psnr(p, r), (p - r).abs().mean()) for p, r in self._restored(model)]
        return {
            "psnr": float(torch.cat([v for v, _ in values]).mean()),
            "loss": float(torch.stack([v for _, v in values]).mean()),
        }

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
        """`vae/` in a diffusers-like folder; latents are standardised a channel over 2,000 training pictures."""
        assert isinstance(model, AutoencoderFold)
        if self.run.freeze_encoder:
            save_part(folder, "vae", model, model.config, torch.float16)
            return
        train = self.pictures.train
        chosen = train[torch.randperm(len(train), generator=generator_for(1))[:2000]]
        latents = torch.cat([model.encoder(self.pictures.pixels(part)) for part in chosen.split(16)])
        config = replace(
            model.config,
            latents_mean=tuple(round(v, 5) for v in latents.mean((0, 2, 3)).tolist()),
            latents_std=tuple(round(v, 5) for v in latents.std((0, 2, 3)).tolist()),
        )
        save_part(folder, "vae", model, config, torch.float16)
