"""Writing a model's parts in the diffusers folder layout, so that what we save loads there (and here)."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from sfumato.models.config import ModelConfig

STEMS = {"text_encoder": "model"}
"""File names of weights by part, where they are not `diffusion_pytorch_model`."""

LIBRARIES = {
    "UNet2DConditionModel": "diffusers",
    "AutoencoderKL": "diffusers",
    "AutoencoderFold": "sfumato",
    "CLIPTextModel": "transformers",
}


def save_part(folder: Path, part: str, module: nn.Module, config: ModelConfig, dtype: torch.dtype) -> None:
    """`folder/part/config.json` and the weights beside it."""
    target = folder / part
    target.mkdir(parents=True, exist_ok=True)
    write_json(target / "config.json", config.to_json())
    state = {name: value.to(dtype).contiguous() for name, value in module.state_dict().items()}
    save_file(state, target / f"{STEMS.get(part, 'diffusion_pytorch_model')}.safetensors")


def save_index(folder: Path, parts: Mapping[str, type[ModelConfig]], scheduler: Mapping[str, Any]) -> None:
    """`model_index.json` and `scheduler/scheduler_config.json`; the tokenizer is saved by its own `save`."""
    (folder / "scheduler").mkdir(parents=True, exist_ok=True)
    write_json(folder / "scheduler" / "scheduler_config.json", scheduler)
    classes = {part: [LIBRARIES[config.class_name], config.class_name] for part, config in parts.items()}
    index = {
        "_class_name": "StableDiffusionPipeline",
        **classes,
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "scheduler": ["diffusers", scheduler["_class_name"]],
        "safety_checker": [None, None],
        "feature_extractor": [None, None],
        "requires_safety_checker": False,
    }
    write_json(folder / "model_index.json", index)


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Readable JSON with a final newline."""
    path.write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
