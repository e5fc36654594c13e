"""The parts of a model as data, whichever way they are stored, and the model that is put together of them.

Parts go by the names of their folders in the diffusers layout: `unet` or `transformer`, `vae`, `text_encoder`,
`text_encoder_2` and `text_encoder_3`.
Tensors carry the model's own names below these.
"""

import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from sfumato.checkpoints.rules import fit
from sfumato.checkpoints.save import T5
from sfumato.checkpoints.scheduler import PIPELINE_OFFSET, read_scheduler
from sfumato.checkpoints.skeleton import on_meta
from sfumato.diffusion.scalings import edm
from sfumato.diffusion.schedules import DiscreteSchedule, LogLabelled, Schedule
from sfumato.errors import CheckpointError
from sfumato.families import Family, Network, NetworkConfig, family_of, latent_channels
from sfumato.model import Model, Sampling
from sfumato.models.autoencoder_fold import AutoencoderFold, AutoencoderFoldConfig
from sfumato.models.autoencoder_kl import AutoencoderKL, AutoencoderKLConfig
from sfumato.models.autoencoder_tiny import AutoencoderTiny, AutoencoderTinyConfig
from sfumato.models.clip import CLIPTextConfig, CLIPTextEncoder, ProjectedCLIPTextConfig
from sfumato.models.clip_vision import CLIPVisionConfig, CLIPVisionEncoder
from sfumato.models.config import ModelConfig
from sfumato.models.controlnet import ControlNet, ControlNetConfig
from sfumato.models.ip_adapter import IPAdapter, IPAdapterConfig
from sfumato.models.k_unet import KUNet, KUNetConfig
from sfumato.models.mmdit import MMDiT, MMDiTConfig
from sfumato.models.sd3_controlnet import SD3ControlNet, SD3ControlNetConfig
from sfumato.models.t2i_adapter import T2IAdapter, T2IAdapterConfig
from sfumato.models.t5 import T5Config, T5Encoder
from sfumato.models.t5_tokenizer import T5Tokenizer
from sfumato.models.tokenizer import ClipTokenizer
from sfumato.models.unet import UNet, UNetConfig
from sfumato.nn.stored import cast_in_use
from sfumato.prompts.encode import TextPart
from sfumato.prompts.t5 import T5Part

log = logging.getLogger(__name__)

TEXT_ENCODERS = ("text_encoder", "text_encoder_2")

NETWORKS: Mapping[type[ModelConfig], Callable[[Any], nn.Module]] = {
    UNetConfig: UNet,
    KUNetConfig: KUNet,
    ControlNetConfig: ControlNet,
    SD3ControlNetConfig: SD3ControlNet,
    T2IAdapterConfig: T2IAdapter,
    MMDiTConfig: MMDiT,
    AutoencoderKLConfig: AutoencoderKL,
    AutoencoderFoldConfig: AutoencoderFold,
    AutoencoderTinyConfig: AutoencoderTiny,
    CLIPTextConfig: CLIPTextEncoder,
    ProjectedCLIPTextConfig: CLIPTextEncoder,
    T5Config: T5Encoder,
    CLIPVisionConfig: CLIPVisionEncoder,
    IPAdapterConfig: IPAdapter,
}


@dataclass(frozen=True)
class Parts:
    """A whole model. `source` is what messages call it."""

    source: str
    configs: Mapping[str, ModelConfig]
    tokenizers: Mapping[str, ClipTokenizer]
    """Tokenizers by text encoder of CLIP."""
    scheduler: Mapping[str, Any]
    zero_empty: bool
    """An empty prompt is a condition of zeros, see `Family`."""
    state: dict[str, Tensor]
    t5_tokenizer: T5Tokenizer | None = None
    small_scheduler: Mapping[str, Any] | None = None
    """Schedule of the noise in the small picture that an upscaler sees."""
    skeletons: dict[str, nn.Module] = field(default_factory=dict, compare=False, repr=False)
    """Networks without memory by which the tensors were checked; `assemble` takes them."""

    @property
    def denoiser(self) -> str:
        """The part that is the denoising network."""
        return "unet" if "unet" in self.configs else "transformer"

    @property
    def network(self) -> NetworkConfig:
        """The configuration of the denoising network."""
        return cast("NetworkConfig", self.configs[self.denoiser])

    @property
    def vae(self) -> AutoencoderKLConfig | AutoencoderFoldConfig | AutoencoderTinyConfig:
        """The configuration of the autoencoder."""
        return cast("AutoencoderKLConfig | AutoencoderFoldConfig | AutoencoderTinyConfig", self.configs["vae"])

    @property
    def texts(self) -> dict[str, CLIPTextConfig]:
        """The configurations of the text encoders, T5 aside."""
        return {name: cast("CLIPTextConfig", self.configs[name]) for name in TEXT_ENCODERS if name in self.configs}

    @cached_property
    def family(self) -> Family:
        """Raises CheckpointError for parts that make no family."""
        kind = AutoencoderKLConfig if isinstance(self.vae, AutoencoderTinyConfig) else self.vae  # whose imitation it is
        return family_of(self.network, self.texts, self.scheduler, kind.class_name, named=Path(self.source).stem)

    def part(self, name: str) -> dict[str, Tensor]:
        """The tensors of one part, without its prefix."""
        return {key[len(name) + 1 :]: value for key, value in self.state.items() if key.startswith(f"{name}.")}


def skeleton(config: ModelConfig, source: str) -> nn.Module:
    """The network of a configuration, without memory.

    Raises:
        CheckpointError: a configuration of no possible network.
    """
    try:
        with on_meta():
            return NETWORKS[type(config)](config)
    except (ValueError, TypeError, IndexError, ZeroDivisionError, RuntimeError) as error:
        raise CheckpointError(f"{source} describes no network: {error}") from error


def built(
    config: ModelConfig,
    state: dict[str, Tensor],
    source: str,
    *,
    dtype: torch.dtype,
    device: torch.device,
    module: nn.Module | None = None,
    in_use: bool = False,
) -> nn.Module:
    """The network of a configuration with these tensors, cast once to `dtype` (float32 where halves would overflow),
    frozen.

    Args:
        module: its `skeleton`, where that is made already.
        in_use: the weights of its layers are cast in use instead, see `nn.stored`.

    Raises:
        CheckpointError: the two do not fit, or the configuration is of no possible network.
    """
    module = skeleton(config, source) if module is None else module
    wide = dtype == torch.float16 and getattr(config, "force_upcast", False)
    precision = torch.float32 if wide else dtype
    if in_use:
        cast_in_use(module, precision)
        fit(module, state, source, precision)
    else:
        fit(module, state, source, precision)
        module.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return module.eval().requires_grad_(False)


def check(parts: Parts) -> None:
    """Whether the parts are of one model.

    Raises:
        CheckpointError: they are not; the message says which two.
    """
    source = parts.source
    for name, config in parts.texts.items():
        tokenizer = parts.tokenizers[name]
        tokens = max(tokenizer.vocabulary.values()) + 1
        if tokens > config.vocab_size:
            raise CheckpointError(
                f"{source}: the tokenizer has {tokens} tokens but the text encoder only {config.vocab_size}; "
                "the parts are of different models"
            )
        if tokens < config.vocab_size:
            log.warning(
                "%s: %s knows %d words more than its tokenizer; if a word was taught to it, copy the tokenizer's "
                "tokenizer.json or added_tokens.json, without which the word is read as plain pieces",
                *(source, name, config.vocab_size - tokens),
            )
        if tokenizer.length > config.max_position_embeddings:
            raise CheckpointError(
                f"{source}: the tokenizer's window of {tokenizer.length} is longer than the text encoder's "
                f"{config.max_position_embeddings}; the parts are of different models"
            )
    network = parts.network
    width = sum(config.hidden_size for config in parts.texts.values())
    if isinstance(network, MMDiTConfig):
        _check_three(parts, network, width)
    elif width != network.cross_attention_dim:
        raise CheckpointError(
            f"{source}: the U-Net reads tokens {network.cross_attention_dim} wide but the text encoders make "
            f"{width}; the parts are of different models"
        )
    if isinstance(network, UNetConfig) and network.addition_embed_type is not None:
        _check_label(parts, network)
    if isinstance(network, UNetConfig) and (network.num_class_embeds is None) != (parts.small_scheduler is None):
        raise CheckpointError(
            f"{source}: a U-Net with classes, which say how much noise a small picture has, goes with a "
            "low_res_scheduler, and none without; copy the whole folder"
        )
    if parts.vae.latent_channels != latent_channels(network):
        raise CheckpointError(
            f"{source}: the network paints {latent_channels(network)} channels but the autoencoder has "
            f"{parts.vae.latent_channels}; the parts are of different models"
        )


NUMBERS = (5, 6)
"""Numbers of SDXL's micro-conditioning, beside the pooled vector: a size, crop and score, or two sizes and a crop."""


def _check_label(parts: Parts, network: UNetConfig) -> None:
    """The vector beside the time of SDXL's networks; see `Model.micro_conditioning`."""
    label, each = network.projection_class_embeddings_input_dim, network.addition_time_embed_dim
    pooled = list(parts.texts.values())[-1].projection_dim
    if label is None or not each or label - pooled not in [count * each for count in NUMBERS]:
        raise CheckpointError(
            f"{parts.source}: the U-Net takes a label {label} wide, which is no pooled vector of {pooled} and 5 or 6 "
            f"numbers of {each}; is it Stable unCLIP? That is not loaded here"
        )


def _check_three(parts: Parts, network: MMDiTConfig, width: int) -> None:
    """The encoders of Stable Diffusion 3, see `prompts.t5.stacked`."""
    pooled = sum(config.projection_dim for config in parts.texts.values())
    t5, tokenizer = parts.configs.get(T5), parts.t5_tokenizer
    whole = len(parts.texts) == len(TEXT_ENCODERS) and all(config.projected for config in parts.texts.values())
    fits = width <= network.joint_attention_dim and pooled == network.pooled_projection_dim
    if isinstance(t5, T5Config):
        fits = fits and t5.d_model == network.joint_attention_dim
    if not whole or not fits:
        raise CheckpointError(
            f"{parts.source}: the transformer reads tokens of {network.joint_attention_dim} and a pooled vector of "
            f"{network.pooled_projection_dim}, by two projected CLIP encoders and T5; the parts are of different models"
        )
    if isinstance(t5, T5Config) and (tokenizer is None or tokenizer.size > t5.vocab_size):
        raise CheckpointError(f"{parts.source}: T5 reads {t5.vocab_size} tokens, which are not those of its tokenizer")


def assemble(
    parts: Parts,
    path: Path,
    *,
    dtype: torch.dtype,
    device: torch.device,
    digest: Callable[[], str],
    in_use: bool = False,
) -> Model:
    """The model of these checked parts: each built without memory, then given its tensors, cast once to `dtype`.

    Args:
        digest: SHA-256 of the denoiser's weights, in hexadecimal.
        in_use: see `built`; for CPUs.

    Raises:
        CheckpointError: a part does not fit its configuration.
    """
    family = parts.family
    networks = {}
    for name, config in parts.configs.items():
        networks[name] = built(
            config,
            parts.part(name),
            f"{parts.source}: {name}",
            dtype=dtype,
            device=device,
            module=parts.skeletons.pop(name, None),
            in_use=in_use,
        )
    autoencoder = cast("AutoencoderKL | AutoencoderFold | AutoencoderTiny", networks["vae"])
    texts: dict[str, TextPart | T5Part] = {
        name: TextPart(
            parts.tokenizers[name],
            cast("CLIPTextEncoder", networks[name]),
            second(parts.texts),
            normed=not isinstance(parts.network, KUNetConfig),
        )
        for name in parts.texts
    }
    if parts.t5_tokenizer is not None:
        texts[T5] = T5Part(parts.t5_tokenizer, cast("T5Encoder", networks[T5]))
    return Model(
        name=path.stem if path.is_file() else path.name,
        family=family,
        texts=texts,
        network=cast("Network", networks[parts.denoiser]),
        autoencoder=autoencoder,
        sampling=sampling(parts),
        size=native_size(parts.network, autoencoder.factor),
        dtype=dtype,
        device=device,
        hash=digest(),
        path=path,
        zero_empty=parts.zero_empty,
        small_schedule=small_schedule(parts),
    )


def small_schedule(parts: Parts) -> Schedule | None:
    """How much noise an upscaler's classes are. Raises as `read_scheduler`."""
    if parts.small_scheduler is None:
        return None
    return read_scheduler(parts.small_scheduler, f"{parts.source}: low_res_scheduler", offset=None).schedule


def sampling(parts: Parts) -> Sampling:
    """How the parts' scheduler samples. Raises as `read_scheduler`."""
    enlarges = isinstance(parts.network, KUNetConfig) or parts.small_scheduler is not None
    offset = None if enlarges or second(parts.texts) else PIPELINE_OFFSET
    found = read_scheduler(parts.scheduler, f"{parts.source}: scheduler", offset=offset)
    if isinstance(parts.network, KUNetConfig):  # preconditioned outside of the scheduler, which is handed clean latents
        if found.parameterisation.name != "sample" or not isinstance(found.schedule, DiscreteSchedule):
            raise CheckpointError(f"{parts.source}: scheduler: a latent upscaler's predicts the sample, by a table")
        schedule = LogLabelled(found.schedule.sigmas, found.schedule.log_interpolation)
        found = replace(found, parameterisation=edm(1.0), schedule=schedule)
    return replace(found, aligned=parts.family.aligned)


def second(texts: Collection[str]) -> bool:
    """Whether a model of these text encoders reads them as SDXL does, with the second one alone or beside the first."""
    return "text_encoder_2" in texts


def native_size(config: NetworkConfig, factor: int) -> tuple[int, int]:
    """Width and height in pixels that the network was trained at, `factor` pixels a latent position."""
    size = 64 if config.sample_size is None else config.sample_size
    height, width = (size, size) if isinstance(size, int) else size
    return width * factor, height * factor
