"""Writing a model's parts in the diffusers folder layout, so that what we save loads there (and here).

`write_tensors` writes one safetensors file piece by piece, whole or not at all.
"""

import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from sfumato.checkpoints.rules import non_finite
from sfumato.errors import CheckpointError
from sfumato.files import move_new
from sfumato.models.config import ModelConfig

HASH = "modelspec.hash_sha256"
"""Metadata key for the digest of all tensors' bytes, filled in where it is asked for."""

DTYPES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16",
    torch.float8_e4m3fn: "F8_E4M3", torch.float8_e5m2: "F8_E5M2", torch.int64: "I64", torch.int32: "I32",
    torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL",
}  # fmt: skip

T5 = "text_encoder_3"
STEMS = dict.fromkeys(("text_encoder", "text_encoder_2", T5, "classifier"), "model")
"""File names of weights by part, where they are not `diffusion_pytorch_model`."""

LIBRARIES = {
    "UNet2DConditionModel": "diffusers",
    "SD3Transformer2DModel": "diffusers",
    "AutoencoderKL": "diffusers",
    "AutoencoderTiny": "diffusers",
    "AutoencoderFold": "sfumato",
    "Restorer": "sfumato",
    "CLIPTextModel": "transformers",
    "CLIPTextModelWithProjection": "transformers",
    "T5EncoderModel": "transformers",
}


def save_part(folder: Path, part: str, module: nn.Module, config: ModelConfig, dtype: torch.dtype) -> None:
    """`folder/part/config.json` and the weights beside it."""
    target = folder / part
    target.mkdir(parents=True, exist_ok=True)
    write_json(target / "config.json", config.to_json())
    state = {name: value.to(dtype).contiguous() for name, value in module.state_dict().items()}
    save_file(state, target / f"{STEMS.get(part, 'diffusion_pytorch_model')}.safetensors")


def save_index(
    folder: Path,
    parts: Mapping[str, type[ModelConfig]],
    scheduler: Mapping[str, Any],
    pipeline: str = "StableDiffusionPipeline",
    *,
    zero_empty: bool | None = None,
    small: Mapping[str, Any] | None = None,
) -> None:
    """`model_index.json` and `scheduler/scheduler_config.json`; the tokenizers are saved by their own `save`.

    Args:
        small: the scheduler of the noise in the small picture that an upscaler sees.
        zero_empty: of SDXL's form, whether an empty prompt is a condition of zeros; None: it is not of that form.
    """
    (folder / "scheduler").mkdir(parents=True, exist_ok=True)
    write_json(folder / "scheduler" / "scheduler_config.json", scheduler)
    classes = {part: [LIBRARIES[config.class_name], config.class_name] for part, config in parts.items()}
    tokenizers = {
        part.replace("text_encoder", "tokenizer"): ["transformers", "T5Tokenizer" if part == T5 else "CLIPTokenizer"]
        for part in parts
        if part.startswith("text_encoder")
    }
    if "transformer" in parts:
        empty = () if T5 in parts else (T5, T5.replace("text_encoder", "tokenizer"))
        options: dict[str, Any] = {name: [None, None] for name in ("image_encoder", *empty)}
    elif zero_empty is None:
        options = {"safety_checker": [None, None], "requires_safety_checker": False}
    else:
        refines = "text_encoder" not in parts
        options = {"image_encoder": [None, None], "force_zeros_for_empty_prompt": zero_empty, "add_watermarker": False}
        if refines:
            options |= {"text_encoder": [None, None], "tokenizer": [None, None], "requires_aesthetics_score": True}
    if small is not None:
        (folder / "low_res_scheduler").mkdir(exist_ok=True)
        write_json(folder / "low_res_scheduler" / "scheduler_config.json", small)
        options["low_res_scheduler"] = ["diffusers", small["_class_name"]]
    index = {
        "_class_name": pipeline,
        **classes,
        **tokenizers,
        "scheduler": ["diffusers", scheduler["_class_name"]],
        "feature_extractor": [None, None],
        **options,
    }
    write_json(folder / "model_index.json", index)


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Readable JSON with a final newline."""
    path.write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def cast(name: str, tensor: Tensor, dtype: torch.dtype | None) -> Tensor:
    """The tensor in `dtype`, or as it is for None and for whole numbers.

    Raises:
        CheckpointError: a number is too large for `dtype`.
    """
    if dtype is None or tensor.dtype == dtype or not tensor.is_floating_point():
        return tensor
    smaller = tensor.to(dtype)
    if non_finite({name: smaller}):
        raise CheckpointError(f"{name!r} holds numbers too large for {str(dtype).removeprefix('torch.')}; use bf16")
    return smaller


def write_tensors(
    path: Path, state: Mapping[str, Tensor], metadata: Mapping[str, str], dtype: torch.dtype | None = None
) -> None:
    """A safetensors file, cast tensor by tensor; the same bytes each time, and no file at all if anything fails.

    Args:
        metadata: where it has the key `HASH`, the digest of the tensors' bytes is put there.

    Raises:
        FileExistsError: `path` is there; it is left as it is.
        OSError: as writing does.
        CheckpointError: see `cast`.
    """
    order = sorted(state, key=lambda name: (-_stored(state[name], dtype).itemsize, name))  # wide ones first: aligned
    metadata = {**metadata, **({HASH: "0x" + "0" * 64} if HASH in metadata else {})}
    header: dict[str, Any] = {"__metadata__": metadata} if metadata else {}
    position = 0
    for name in order:
        kind, tensor = _stored(state[name], dtype), state[name]
        end = position + tensor.numel() * kind.itemsize
        header[name] = {"dtype": DTYPES[kind], "shape": list(tensor.shape), "data_offsets": [position, end]}
        position = end
    raw = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    raw += b" " * (-len(raw) % 8)
    temporary = path.with_name(f".{secrets.token_hex(6)}.tmp")
    digest = hashlib.sha256()
    try:
        with temporary.open("xb") as file:
            file.write(len(raw).to_bytes(8, "little") + raw)
            for name in order:
                # `view` needs a dimension and memory in order
                data = cast(name, state[name], dtype).contiguous().reshape(-1).view(torch.uint8).numpy().data
                file.write(data)
                digest.update(data)
            if HASH in metadata:
                blank = f'"{HASH}":"0x'.encode()
                file.seek(8 + raw.index(blank) + len(blank))
                file.write(digest.hexdigest().encode())
            file.flush()
            os.fsync(file.fileno())
        move_new(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _stored(tensor: Tensor, dtype: torch.dtype | None) -> torch.dtype:
    return tensor.dtype if dtype is None or not tensor.is_floating_point() else dtype
