"""Models from one layout to the other: a diffusers folder or one safetensors file, reversible and whole or not at all.

Metadata of the file: https://github.com/Stability-AI/ModelSpec (version 1.0.1), and below `sfumato.parts` what neither
names nor shapes tell, so that a model of any size comes back as it was.
"""

import json
import secrets
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch

from sfumato.checkpoints.detect import METADATA, Prediction, beyond_shapes
from sfumato.checkpoints.parts import PIPELINES, Parts, clip_tokenizer, read_file, read_folder, read_vae
from sfumato.checkpoints.rules import revert
from sfumato.checkpoints.save import HASH, STEMS, save_index, write_json, write_tensors
from sfumato.checkpoints.tables import checkpoint
from sfumato.errors import CheckpointError, OutputError

StoredPrecision = Literal["keep", "fp32", "fp16", "bf16"]
PRECISIONS: dict[StoredPrecision, torch.dtype | None] = {
    "keep": None,
    "fp32": torch.float32,
    "fp16": torch.float16,
    "bf16": torch.bfloat16,
}


def export(
    source: Path,
    target: Path,
    *,
    precision: StoredPrecision = "keep",
    prediction: Prediction | None = None,
    vae: Path | None = None,
) -> Path:
    """Write the model in `source` (a file or a folder) as `target`: a file if it is named .safetensors, else a folder.

    Args:
        prediction: what the network predicts, where the source does not say or says it wrongly.
        vae: an autoencoder file to put in place of the model's own.

    Raises:
        CheckpointError: the source is not a sound model of the Stable Diffusion 1.x or 2.x form.
        OutputError: the target is there already or cannot be written; nothing half-written is left.
    """
    if target.exists() and not (target.is_dir() and not any(target.iterdir()) and target.suffix != ".safetensors"):
        raise OutputError(f"{target} is there already; give another name")
    if target.suffix in (".ckpt", ".pt", ".pth", ".bin"):
        raise OutputError(f"{target} would be a pickle, which can carry code; name it {target.stem}.safetensors")
    if source.is_dir():
        parts = read_folder(source)
        if prediction is not None:
            kind = {"epsilon": "epsilon", "v": "v_prediction"}[prediction]
            parts = replace(parts, scheduler={**parts.scheduler, "prediction_type": kind})
    else:
        parts = read_file(source, prediction=prediction)
    if vae is not None:
        parts = _with_vae(parts, vae)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.suffix == ".safetensors":
            _write_file(parts, target, PRECISIONS[precision], title=source.stem)
        else:
            _write_folder(parts, target, PRECISIONS[precision])
    except OSError as error:
        raise OutputError(f"cannot write {target}: {error.strerror or error}; nothing is left of it") from error
    return target


def _with_vae(parts: Parts, path: Path) -> Parts:
    config, state = read_vae(path)
    if config.latent_channels != parts.vae.latent_channels:
        raise CheckpointError(f"{path} has {config.latent_channels} latent channels for {parts.vae.latent_channels}")
    rest = {name: value for name, value in parts.state.items() if not name.startswith("vae.")}
    return replace(parts, vae=config, state={**rest, **{f"vae.{name}": value for name, value in state.items()}})


def _write_file(parts: Parts, target: Path, dtype: torch.dtype | None, *, title: str) -> None:
    clip = clip_tokenizer()
    if parts.tokenizer.vocabulary != clip.vocabulary or parts.tokenizer.merges != clip.merges:
        raise CheckpointError(
            "a single file has no place for a tokenizer, and the model's is not CLIP's; keep the folder"
        )
    open_clip = parts.text.hidden_act != "quick_gelu"
    rules = checkpoint.table(parts.unet, parts.vae, parts.text, open_clip=open_clip)
    write_tensors(target, revert(parts.state, rules), _metadata(parts, title, open_clip=open_clip), dtype)


def _metadata(parts: Parts, title: str, *, open_clip: bool) -> dict[str, str]:
    v = parts.scheduler.get("prediction_type") == "v_prediction"
    size = parts.unet.sample_size or 64
    height, width = (size, size) if isinstance(size, int) else size
    kind = "v1" if not open_clip else "v2-768-v" if v else "v2-512"
    stated = {
        "unet": beyond_shapes(parts.unet),
        "vae": beyond_shapes(parts.vae),
        "text_encoder": beyond_shapes(parts.text),
        "padding": parts.tokenizer.padding,
        "scheduler": dict(parts.scheduler),
    }
    return {
        "modelspec.sai_model_spec": "1.0.1",
        "modelspec.architecture": f"stable-diffusion-{kind}{'-inpainting' if parts.unet.in_channels == 9 else ''}",
        "modelspec.implementation": "https://github.com/Stability-AI/generative-models",
        "modelspec.title": title,
        "modelspec.resolution": f"{width * parts.vae.factor}x{height * parts.vae.factor}",
        "modelspec.prediction_type": "v" if v else "epsilon",
        HASH: "",
        METADATA: json.dumps(stated),
    }


def _write_folder(parts: Parts, target: Path, dtype: torch.dtype | None) -> None:
    if parts.unet.in_channels not in PIPELINES:
        raise CheckpointError(f"diffusers has no pipeline for {parts.unet.in_channels} input channels; keep the file")
    temporary = target.with_name(f".{secrets.token_hex(6)}.tmp")
    configs = {"unet": parts.unet, "vae": parts.vae, "text_encoder": parts.text}
    try:
        for name, config in configs.items():
            (temporary / name).mkdir(parents=True)
            write_json(temporary / name / "config.json", config.to_json())
            file = temporary / name / f"{STEMS.get(name, 'diffusion_pytorch_model')}.safetensors"
            write_tensors(file, parts.part(name), {"format": "pt"}, dtype)
        parts.tokenizer.save(temporary / "tokenizer")
        kinds = {name: type(config) for name, config in configs.items()}
        save_index(temporary, kinds, parts.scheduler, PIPELINES[parts.unet.in_channels])
        temporary.rename(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
