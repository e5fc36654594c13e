"""Trained adapters as files: kohya's and LyCORIS' names, those of diffusers, and words as A1111 keeps them.

    NAME.safetensors                  kohya: `lora_unet_..._to_q.lora_down.weight`, `.alpha`; SDXL after LDM's blocks,
                                      Stable Diffusion 3 after its own code, with q, k and v as one
    pytorch_lora_weights.safetensors  diffusers: `unet...to_q.lora_A.weight`, and PEFT's settings in the metadata

Both say the same, and `formats` reads either back.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from sfumato.adapters.applied import base_of
from sfumato.adapters.apply import Arranged, original_names
from sfumato.adapters.kinds import LOW_RANK, kind_of
from sfumato.checkpoints.save import HASH, write_tensors
from sfumato.errors import CheckpointError
from sfumato.model import Model
from sfumato.models.unet import UNet

ENDINGS: Mapping[str, str] = {"down": "lora_down.weight", "up": "lora_up.weight", "mid": "lora_mid.weight"}
"""What kohya calls parts; others are called as here."""
WORDS: Mapping[str, str] = {"text_encoder": "clip_l", "text_encoder_2": "clip_g"}
"""What files of several text encoders call these."""
DIFFUSERS = "pytorch_lora_weights.safetensors"


@dataclass(frozen=True)
class Trained:
    """The share of one layer: its parts, and alpha / rank."""

    module: str
    """Its name as `component.module`."""
    parts: Mapping[str, Tensor]
    scale: float

    @property
    def rank(self) -> int | None:
        """None where nothing is multiplied by alpha / rank."""
        kind = kind_of(self.parts)
        return None if kind is None or kind.name not in LOW_RANK else kind.rank(self.parts)

    @property
    def low_rank(self) -> bool:
        """Whether it is up times down, perhaps with magnitudes: what diffusers can load."""
        return {"down", "up"} <= self.parts.keys() <= {"down", "up", "dora_scale"}


def kohya(pieces: Iterable[Trained], model: Model) -> dict[str, Tensor]:
    """The tensors by the names of sd-scripts and LyCORIS."""
    state: dict[str, Tensor] = {}
    base = base_of(model)
    left, fused = _fused(list(pieces), base.arranged)
    names = {
        part: original_names(part, getattr(module, "config", None), module.state_dict())
        for part, module in model.components.items()
    }
    several = "text_encoder_2" in model.components
    for piece in (*left, *fused):
        part, _, module = piece.module.partition(".")
        stem = _stem(part, module, names[part], model, several=several)
        if piece in fused:
            stem = "lora_unet_" + module.replace(".", "_")
        state |= {f"{stem}.{ending}": tensor for ending, tensor in _kohya_parts(piece)}
    return {name: tensor.detach().float().contiguous() for name, tensor in state.items()}


def _stem(part: str, module: str, original: Mapping[str, str], model: Model, *, several: bool) -> str:
    if part == "unet":
        name = original.get(module, module) if several else module
        return f"lora_unet_{name.replace('.', '_')}"
    if part == "transformer":  # as LyCORIS names what the original code has otherwise
        known = original.get(module)
        return f"lycoris_{module.replace('.', '_')}" if known is None else f"lora_unet_{known.replace('.', '_')}"
    begin = {"text_encoder": "lora_te1_" if several else "lora_te_", "text_encoder_2": "lora_te2_"}
    return begin.get(part, "lora_te3_") + module.replace(".", "_")


def _kohya_parts(piece: Trained) -> Iterable[tuple[str, Tensor]]:
    for name, tensor in piece.parts.items():
        if name in ("ia3_in", "ia3_out"):
            yield "weight", tensor
            yield "on_input", torch.tensor(name == "ia3_in").float()
        else:
            yield ENDINGS.get(name, name), tensor
    if piece.rank is not None:
        yield "alpha", torch.tensor(piece.scale * piece.rank)


def _fused(pieces: list[Trained], arranged: Mapping[str, Arranged]) -> tuple[list[Trained], list[Trained]]:
    """Pieces of q, k and v as one of the layer that the original code has for them: its rank is their sum."""
    by_module = {piece.module: piece for piece in pieces}
    fused = []
    for module, one in arranged.items():
        owners = list(dict.fromkeys(name.rpartition(".")[0] for name in one.ours))
        found = {i: by_module[name] for i, name in enumerate(owners) if name in by_module}
        if len(owners) < 2 or not found or not all(piece.parts.keys() == {"down", "up"} for piece in found.values()):
            continue
        first = next(iter(found.values()))
        rows = first.parts["up"].shape[0]
        total = sum(piece.parts["up"].shape[1] for piece in found.values())
        up, column = first.parts["up"].new_zeros(rows * len(owners), total), 0
        for i, piece in found.items():
            own = piece.parts["up"] * (piece.scale / first.scale)
            up[i * rows : (i + 1) * rows, column : column + own.shape[1]] = own
            column += own.shape[1]
        down = torch.cat([piece.parts["down"] for piece in found.values()])
        fused.append(Trained(module, {"down": down, "up": up}, first.scale))
        for piece in found.values():
            del by_module[piece.module]
    return list(by_module.values()), fused


def diffusers(pieces: Iterable[Trained]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of low-rank pieces by diffusers' names, and the metadata that go with them."""
    state: dict[str, Tensor] = {}
    ranks: dict[str, dict[str, int]] = {}
    alphas: dict[str, dict[str, float]] = {}
    dora: set[str] = set()
    for piece in pieces:
        part, _, module = piece.module.partition(".")
        assert piece.rank is not None
        ranks.setdefault(part, {})[module] = piece.rank
        alphas.setdefault(part, {})[module] = piece.scale * piece.rank
        state[f"{piece.module}.lora_A.weight"] = piece.parts["down"]
        state[f"{piece.module}.lora_B.weight"] = piece.parts["up"]
        if "dora_scale" in piece.parts:
            dora.add(part)
            shape = (1, -1, 1, 1) if piece.parts["down"].ndim == 4 else (-1,)
            state[f"{piece.module}.lora_magnitude_vector"] = piece.parts["dora_scale"].reshape(shape)
    settings: dict[str, object] = {}
    for part, own in ranks.items():
        rank, alpha = next(iter(own.values())), next(iter(alphas[part].values()))
        settings |= {
            f"{part}.peft_type": "LORA",
            f"{part}.r": rank,
            f"{part}.lora_alpha": _whole(alpha),
            f"{part}.target_modules": sorted(own),
            f"{part}.rank_pattern": {name: value for name, value in own.items() if value != rank},
            f"{part}.alpha_pattern": {name: _whole(v) for name, v in alphas[part].items() if v != alpha},
            f"{part}.use_dora": part in dora,
        }
    state = {name: tensor.detach().float().contiguous() for name, tensor in state.items()}
    return state, {"format": "pt", "lora_adapter_metadata": json.dumps(settings, indent=2, sort_keys=True)}


def _whole(number: float) -> float | int:
    return int(number) if number == int(number) else number


def embedding(vectors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A learned word as A1111 and its kin keep it: the vectors of one text encoder, or of each."""
    if len(vectors) == 1:
        return {"emb_params": next(iter(vectors.values())).detach().float().contiguous()}
    return {WORDS[part]: own.detach().float().contiguous() for part, own in vectors.items()}


def metadata(model: Model, title: str, facts: Mapping[str, object], *, what: str = "lora") -> dict[str, str]:
    """ModelSpec's and kohya's keys, all of them texts.

    Args:
        facts: kohya's `ss_...` without the prefix; what is no text becomes JSON.
        what: "lora", "textual-inversion", "controlnet" or "t2i-adapter".
    """
    width, height = model.size
    prediction = model.sampling.parameterisation.name
    stated = {
        "modelspec.sai_model_spec": "1.0.1",
        "modelspec.architecture": f"stable-diffusion-{model.family.architecture}/{what}",
        "modelspec.implementation": "diffusers",
        "modelspec.title": title,
        "modelspec.resolution": f"{width}x{height}",
        **({"modelspec.prediction_type": prediction.removesuffix("_prediction")} if _is_unet(model) else {}),
        HASH: "",
        "ss_base_model_version": _BASES.get(model.family.name, model.family.name),
        "ss_sd_model_name": model.path.name,
        "ss_new_sd_model_hash": model.hash,
        "ss_v2": str(model.family.name.startswith("sd2")),
        "ss_output_name": title,
    }
    return stated | {
        f"ss_{key}": value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for key, value in facts.items()
    }


_BASES = {"sd1": "sd_v1", "sd2": "sd_v2", "sdxl": "sdxl_base_v1-0", "sd3": "sd3"}
"""What kohya calls the families."""


def _is_unet(model: Model) -> bool:
    return isinstance(model.network, UNet)


def write_adapter(
    folder: Path,
    name: str,
    pieces: list[Trained],
    model: Model,
    facts: Mapping[str, object],
    *,
    bundled: Mapping[str, Mapping[str, Tensor]] | None = None,
    dtype: torch.dtype = torch.float16,
) -> list[Path]:
    """Write `NAME.safetensors`, and where diffusers can load it its own file beside; the paths.

    Args:
        bundled: words that belong to it, each with its vectors by text encoder.

    Raises:
        FileExistsError, OSError, CheckpointError: see `write_tensors`.
    """
    target = folder / f"{name}.safetensors"
    words = {
        f"bundle_emb.{word}.{key}": tensor
        for word, vectors in (bundled or {}).items()
        for key, tensor in embedding(vectors).items()
    }
    write_layout(target, pieces, model, "kohya", facts, more=words, dtype=dtype)
    if not pieces or not all(piece.low_rank for piece in pieces):
        return [target]
    write_layout(folder / DIFFUSERS, pieces, model, "diffusers", facts, dtype=dtype)
    return [target, folder / DIFFUSERS]


Layout = Literal["kohya", "diffusers"]


def write_layout(
    target: Path,
    pieces: list[Trained],
    model: Model,
    layout: Layout,
    facts: Mapping[str, object],
    *,
    more: Mapping[str, Tensor] | None = None,
    dtype: torch.dtype = torch.float16,
) -> None:
    """Write one file.

    Args:
        more: tensors that belong to it by names of their own.

    Raises:
        CheckpointError: diffusers' layout for what is not low-rank; also as `write_tensors` raises it.
        FileExistsError, OSError: see `write_tensors`.
    """
    if layout == "kohya":
        state, stated = kohya(pieces, model), metadata(model, target.stem, facts)
    else:
        if other := next((piece for piece in pieces if not piece.low_rank), None):
            raise CheckpointError(
                f"{other.module} changes by {', '.join(other.parts)}, and diffusers loads up and down alone; "
                "write kohya's layout, or adapter resize it first"
            )
        state, stated = diffusers(pieces)
    write_tensors(target, {**state, **(more or {})}, stated, dtype)


def write_embedding(
    folder: Path, name: str, vectors: Mapping[str, Tensor], model: Model, facts: Mapping[str, object]
) -> list[Path]:
    """Write `NAME.safetensors` as A1111 keeps words, and for one text encoder `learned_embeds.safetensors`."""
    target = folder / f"{name}.safetensors"
    write_tensors(target, embedding(vectors), metadata(model, name, facts, what="textual-inversion"))
    if len(vectors) > 1:
        return [target]
    other = folder / "learned_embeds.safetensors"
    write_tensors(other, {name: next(iter(vectors.values())).detach().float()}, {"format": "pt"})
    return [target, other]
