"""Models from one layout to the other: a diffusers folder or one safetensors file, reversible and whole or not at all.

Metadata of the file: https://github.com/Stability-AI/ModelSpec (version 1.0.1), and below `sfumato.parts` what neither
names nor shapes tell, so that a model of any size comes back as it was.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch

from sfumato.checkpoints.folder import X4, read_folder
from sfumato.checkpoints.header import METADATA, T5_TOKENIZER, beyond_shapes
from sfumato.checkpoints.lacking import given
from sfumato.checkpoints.parts import Parts, native_size, second
from sfumato.checkpoints.rules import Rule, revert
from sfumato.checkpoints.save import HASH, STEMS, T5, save_index, write_json, write_tensors
from sfumato.checkpoints.single import clip_tokenizer, read_file, read_vae
from sfumato.checkpoints.tables import checkpoint, sd3
from sfumato.choices import Prediction
from sfumato.errors import CheckpointError, OutputError
from sfumato.files import cannot_write, whole_folder
from sfumato.models.autoencoder_kl import AutoencoderKLConfig
from sfumato.models.k_unet import KUNetConfig
from sfumato.models.unet import UNetConfig

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
    revise: Callable[[Parts], Parts] | None = None,
) -> Path:
    """Write the model in `source` (a file or a folder) as `target`: a file if it is named .safetensors, else a folder.

    Args:
        prediction: what the network predicts, where the source does not say or says it wrongly.
        vae: an autoencoder file to put in place of the model's own, or where it has none.
        revise: changes the parts before they are written, as merging adapters does.

    Raises:
        CheckpointError: the source is not a sound model, or has no place in the other layout.
        OutputError: the target is there already or cannot be written; nothing half-written is left.
    """
    if target.exists() and not (target.is_dir() and not any(target.iterdir()) and target.suffix != ".safetensors"):
        raise OutputError(f"{target} is there already; give another name")
    if target.suffix in (".ckpt", ".pt", ".pth", ".bin"):
        raise OutputError(f"{target} would be a pickle, which can carry code; name it {target.stem}.safetensors")
    if source.is_dir():
        parts = read_folder(source, given=given(source, vae=vae))
        if prediction is not None:
            kind = {"epsilon": "epsilon", "v": "v_prediction"}[prediction]
            parts = replace(parts, scheduler={**parts.scheduler, "prediction_type": kind})
    else:
        parts = read_file(source, prediction=prediction, vae=vae)
    if vae is not None:
        parts = _with_vae(parts, vae)
    if revise is not None:
        parts = revise(parts)
    try:
        if target.suffix == ".safetensors":
            _write_file(parts, target, PRECISIONS[precision], title=source.stem)
        else:
            with whole_folder(target, replace=False) as folder:
                _write_folder(parts, folder, PRECISIONS[precision])
    except OSError as error:
        raise cannot_write(target, error) from error
    return target


def _with_vae(parts: Parts, path: Path) -> Parts:
    config, state = read_vae(path, parts.vae if isinstance(parts.vae, AutoencoderKLConfig) else None)
    if config.latent_channels != parts.vae.latent_channels:
        raise CheckpointError(f"{path} has {config.latent_channels} latent channels for {parts.vae.latent_channels}")
    rest = {name: value for name, value in parts.state.items() if not name.startswith("vae.")}
    state = {**rest, **{f"vae.{name}": value for name, value in state.items()}}
    return replace(parts, configs={**parts.configs, "vae": config}, state=state, skeletons={})


def _write_file(parts: Parts, target: Path, dtype: torch.dtype | None, *, title: str) -> None:
    clip = clip_tokenizer()
    if any((own.vocabulary, own.merges) != (clip.vocabulary, clip.merges) for own in parts.tokenizers.values()):
        raise CheckpointError(
            "a single file has no place for a tokenizer, and the model's is not CLIP's; keep the folder"
        )
    if not isinstance(parts.vae, AutoencoderKLConfig):
        raise CheckpointError(f"an {parts.vae.class_name} has no single-file layout; keep the folder")
    target.parent.mkdir(parents=True, exist_ok=True)
    state = revert(parts.state, _table(parts, parts.vae))
    if T5 in parts.configs:  # diffusers wants the words' vectors by both of their names
        state[f"{sd3.FILES[T5]}encoder.embed_tokens.weight"] = state[f"{sd3.FILES[T5]}shared.weight"]
    write_tensors(target, state, _metadata(parts, title), dtype)


def _table(parts: Parts, vae: AutoencoderKLConfig) -> tuple[Rule, ...]:
    if isinstance(parts.network, KUNetConfig) or parts.small_scheduler is not None:
        raise CheckpointError(f"{parts.source} enlarges, and has no single-file layout here; keep the folder")
    if isinstance(parts.network, UNetConfig):
        return checkpoint.table(parts.network, vae, parts.texts)
    projections = {name: parts.state[f"{name}.text_projection.weight"] for name in parts.texts}
    projected = [name for name, own in projections.items() if not torch.equal(own.float(), torch.eye(len(own)))]
    return sd3.table(parts.network, vae, parts.texts, projected=projected, with_t5=T5 in parts.configs)


def _metadata(parts: Parts, title: str) -> dict[str, str]:
    v = parts.scheduler.get("prediction_type") == "v_prediction"
    width, height = native_size(parts.network, parts.vae.factor)
    stated = {
        **{name: beyond_shapes(config) for name, config in parts.configs.items()},
        "padding": {name: tokenizer.padding for name, tokenizer in parts.tokenizers.items()},
        "scheduler": dict(parts.scheduler),
        "zero_empty": parts.zero_empty,
    }
    return {
        "modelspec.sai_model_spec": "1.0.1",
        "modelspec.architecture": _architecture(parts, v=v),
        "modelspec.implementation": "https://github.com/Stability-AI/generative-models",
        "modelspec.title": title,
        "modelspec.resolution": f"{width}x{height}",
        **({"modelspec.prediction_type": "v" if v else "epsilon"} if isinstance(parts.network, UNetConfig) else {}),
        **({} if parts.t5_tokenizer is None else {T5_TOKENIZER: parts.t5_tokenizer.serialised}),
        HASH: "",
        METADATA: json.dumps(stated),
    }


def _architecture(parts: Parts, *, v: bool) -> str:
    name = parts.family.architecture
    if parts.family.network is None and any(config.hidden_act != "quick_gelu" for config in parts.texts.values()):
        name = "v2-512"
    return f"stable-diffusion-{name.replace('v2-512', 'v2-768-v') if v else name}"


def _write_folder(parts: Parts, folder: Path, dtype: torch.dtype | None) -> None:
    for name, config in parts.configs.items():
        (folder / name).mkdir()
        write_json(folder / name / "config.json", config.to_json())
        file = folder / name / f"{STEMS.get(name, 'diffusion_pytorch_model')}.safetensors"
        write_tensors(file, parts.part(name), {"format": "pt"}, dtype)
    for name, tokenizer in parts.tokenizers.items():
        tokenizer.save(folder / name.replace("text_encoder", "tokenizer"))
    if parts.t5_tokenizer is not None:
        parts.t5_tokenizer.save(folder / "tokenizer_3")
    save_index(
        folder,
        {name: type(config) for name, config in parts.configs.items()},
        parts.scheduler,
        f"{parts.family.pipeline}Pipeline" if parts.small_scheduler is None else X4,  # of any size
        zero_empty=parts.zero_empty if second(parts.texts) and isinstance(parts.network, UNetConfig) else None,
        small=parts.small_scheduler,
    )
