"""The parts of a model as data, whichever way they are stored: configurations, tensors, tokenizer, scheduler.

Tensors carry the model's own names below `unet.`, `vae.` and `text_encoder.`.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from sfumato.checkpoints.detect import Detected, Prediction, detect
from sfumato.checkpoints.folder import AUTOENCODER_RULES, TEXT_RULES, read_json, weights_file
from sfumato.checkpoints.rules import Fit, Rule, check_finite, check_same, compare, convert
from sfumato.checkpoints.save import STEMS
from sfumato.checkpoints.scheduler import read_scheduler
from sfumato.checkpoints.skeleton import on_meta
from sfumato.checkpoints.tensor_file import TensorFile, open_tensors
from sfumato.checkpoints.tensors import read_tensors
from sfumato.errors import CheckpointError
from sfumato.models.autoencoder_kl import AutoencoderKL, AutoencoderKLConfig
from sfumato.models.clip import CLIPTextConfig, CLIPTextEncoder
from sfumato.models.tokenizer import ClipTokenizer
from sfumato.models.unet import UNet, UNetConfig

NAMES = ("unet", "vae", "text_encoder")

PIPELINES = {4: "StableDiffusionPipeline", 8: "StableDiffusionInstructPix2PixPipeline"} | {
    9: "StableDiffusionInpaintPipeline"
}
"""diffusers' pipeline by the U-Net's input channels: text alone, a picture beside, a picture and a mask beside."""

log = logging.getLogger(__name__)


@cache
def clip_tokenizer() -> ClipTokenizer:
    """CLIP's own, unpacked once."""
    return ClipTokenizer.clip()


@dataclass(frozen=True)
class Parts:
    """A whole model of the Stable Diffusion 1.x or 2.x form."""

    unet: UNetConfig
    vae: AutoencoderKLConfig
    text: CLIPTextConfig
    scheduler: Mapping[str, Any]
    tokenizer: ClipTokenizer
    state: dict[str, Tensor]

    def part(self, name: str) -> dict[str, Tensor]:
        """The tensors of one part, without its prefix."""
        return {key[len(name) + 1 :]: value for key, value in self.state.items() if key.startswith(f"{name}.")}


def skeletons(unet: UNetConfig, vae: AutoencoderKLConfig, text: CLIPTextConfig) -> dict[str, nn.Module]:
    """The networks by part, without memory.

    Raises:
        CheckpointError: configurations of no possible network.
    """
    try:
        with on_meta():
            return {"unet": UNet(unet), "vae": AutoencoderKL(vae), "text_encoder": CLIPTextEncoder(text)}
    except (ValueError, TypeError, IndexError, ZeroDivisionError, RuntimeError) as error:
        raise CheckpointError(f"no network has such a configuration: {error}") from error


def check_file(file: TensorFile, found: Detected) -> Fit:
    """How the names and shapes of a checkpoint or autoencoder meet the network that was detected in it."""
    if found.layout is not None:
        modules = skeletons(found.layout.unet, found.layout.vae, found.layout.text)
        state = {f"{part}.{k}": v for part, module in modules.items() for k, v in module.state_dict().items()}
    else:
        assert found.vae is not None
        with on_meta():
            state = dict(AutoencoderKL(found.vae).state_dict())
    return compare(file.shapes, state, found.table)


def read_file(path: Path, *, prediction: Prediction | None = None) -> Parts:
    """A checkpoint in one file.

    Raises:
        CheckpointError: it is something else, of another family, does not fit or is not finite.
    """
    file = open_tensors(path)
    found = detect(file.shapes, file.metadata, str(path), prediction=prediction)
    layout = found.layout
    if layout is None:
        raise CheckpointError(f"{path} is {describe(found)}; give a Stable Diffusion 1.x or 2.x checkpoint")
    if found.warning:
        log.warning("%s", found.warning)
    if not (verdict := check_file(file, found)):
        raise CheckpointError(f"{path} does not fit: {verdict.report}")
    read_scheduler(layout.scheduler, str(path))
    tokenizer = replace(clip_tokenizer(), padding=layout.padding, length=layout.text.max_position_embeddings)
    if layout.padding not in tokenizer.vocabulary:
        raise CheckpointError(f"{path}: its padding {layout.padding[:40]!r} is no token of CLIP")
    if len(tokenizer.vocabulary) > layout.text.vocab_size:
        raise CheckpointError(f"{path} reads {layout.text.vocab_size} tokens; CLIP has {len(tokenizer.vocabulary)}")
    state = convert(file.read(), layout.table)
    check_finite(state, str(path))
    return Parts(layout.unet, layout.vae, layout.text, layout.scheduler, tokenizer, state)


def read_vae(path: Path) -> tuple[AutoencoderKLConfig, dict[str, Tensor]]:
    """An autoencoder in one file in the layout of latent-diffusion code, below `first_stage_model.` or bare.

    Raises:
        CheckpointError: it is something else, does not fit or is not finite.
    """
    file = open_tensors(path)
    found = detect(file.shapes, file.metadata, str(path))
    if found.vae is None:
        raise CheckpointError(f"{path} is {describe(found)}; give an autoencoder with encoder.down and decoder.up")
    if not (verdict := check_file(file, found)):
        raise CheckpointError(f"{path} does not fit: {verdict.report}")
    state = convert(file.read(), found.table)
    check_finite(state, str(path))
    return found.vae, state


def describe(found: Detected) -> str:
    """A few words for a message."""
    if found.kind == "unknown":
        return found.family or "of no kind that is known here"
    kind = {"vae": "an autoencoder", "lora": "a LoRA", "embedding": "an embedding", "controlnet": "a ControlNet"}
    return kind.get(found.kind, f"a checkpoint of {found.family}")


def read_folder(folder: Path) -> Parts:
    """A diffusers folder, its tensors as they are.

    Raises:
        CheckpointError: a part is missing, of another kind, does not fit or is not finite.
    """
    pipeline = read_json(folder / "model_index.json").get("_class_name")
    if pipeline not in PIPELINES.values():
        raise CheckpointError(f"{folder} holds a {pipeline}; supported: {', '.join(PIPELINES.values())}")
    configs = {name: read_json(folder / name / "config.json") for name in NAMES}
    if (kind := configs["vae"].get("_class_name", "AutoencoderKL")) != "AutoencoderKL":
        raise CheckpointError(f"{folder / 'vae'} is a {kind}, which has no single-file layout; keep the folder")
    unet = UNetConfig.from_json(configs["unet"], str(folder / "unet/config.json"))
    vae = AutoencoderKLConfig.from_json(configs["vae"], str(folder / "vae/config.json"))
    text = CLIPTextConfig.from_json(configs["text_encoder"], str(folder / "text_encoder/config.json"))
    scheduler = read_json(folder / "scheduler" / "scheduler_config.json")
    read_scheduler(scheduler, str(folder / "scheduler/scheduler_config.json"))
    rules: dict[str, tuple[Rule, ...]] = {"unet": (), "vae": AUTOENCODER_RULES, "text_encoder": TEXT_RULES}
    state: dict[str, Tensor] = {}
    for name, module in skeletons(unet, vae, text).items():
        file = weights_file(folder / name, STEMS.get(name, "diffusion_pytorch_model"))
        tensors = convert(read_tensors(file), rules[name])
        check_finite(tensors, str(file))
        check_same(module, tensors, str(file))
        state |= {f"{name}.{key}": value for key, value in tensors.items()}
    return Parts(unet, vae, text, scheduler, ClipTokenizer.from_folder(folder / "tokenizer"), state)
