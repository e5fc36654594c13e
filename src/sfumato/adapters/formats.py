"""The names that trainers give an adapter's tensors, as pieces: a module, and the parts of its change.

    lora_unet_mid_block_attentions_0_proj_in.lora_down.weight         kohya, LyCORIS; SDXL after LDM's block numbers
    lora_unet_joint_blocks_0_x_block_attn_qkv.lora_down.weight        the same for SD3, after its own code
    unet.mid_block.attentions.0.proj_in.lora_A.weight                 diffusers
    unet.mid_block.attentions.0.proj_in.lora.down.weight              diffusers before 0.23
    unet...attn1.processor.to_q_lora.down.weight                      diffusers before 0.20
    base_model.model.mid_block.attentions.0.proj_in.lora_A.weight     PEFT, with adapter_config.json beside it
    diffusion_model.middle_block.1.proj_in.lora_A.weight              ComfyUI
    module.mid_block...attn1.processor.to_q_lora.down.weight          AnimateDiff's adapters of a domain

A name ends in one of `ENDINGS`; what stands before is the module, still as the file spells it. Which module of a model
that is, `apply` finds by spelling the model's own names, for underscores cannot be split back into dots. What is of a
method that is not read here, `FOREIGN` names.
"""

import logging
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from sfumato.adapters.kinds import BIAS, KINDS, LOW_RANK, Kind, MisfitError, Parts, kind_of
from sfumato.adapters.peft import ROOT, PeftConfig
from sfumato.checkpoints.detect import detect
from sfumato.checkpoints.rules import Shapes, non_finite
from sfumato.checkpoints.single import describe
from sfumato.checkpoints.tensor_file import TensorFile, open_tensors
from sfumato.errors import CheckpointError

log = logging.getLogger(__name__)

ENDINGS: Mapping[str, str] = {
    ".lora_down.weight": "down",
    ".lora_up.weight": "up",
    ".lora_mid.weight": "mid",
    ".lora_A.weight": "down",
    ".lora_B.weight": "up",
    ".lora.down.weight": "down",
    ".lora.up.weight": "up",
    ".lora_linear_layer.down.weight": "down",
    ".lora_linear_layer.up.weight": "up",
    "_lora.down.weight": "down",
    "_lora.up.weight": "up",
    ".lora_up.bias": "up_bias",
    ".lora_B.bias": "up_bias",
    ".lora.up.bias": "up_bias",
    ".lora_linear_layer.up.bias": "up_bias",
    ".lora_magnitude_vector": "magnitude",
    ".lora_magnitude_vector.weight": "magnitude",
    ".ia3_l": "ia3_l",
    ".weight": "ia3",
    ".bias": "set_bias",
    ".base_layer.bias": "set_bias",
    ".set_weight": "set",
    ".on_input": "on_input",
    ".oft_R.weight": "oft_R",
    **{f".{name}.weight": name for name in ("a1", "a2", "b1", "b2", "bm")},
    **{
        f".{name}": name
        for kind in KINDS
        for name in kind.parts
        if "_" in name and not name.startswith(("ia3", "turn", "up_"))
    },
    **{f".{name}": name for name in ("alpha", "dora_scale", "diff", "diff_b", "b_norm", "rescale")},
}
"""Endings of names to the parts that they play. `.weight` is a part only beside `.on_input` (LyCORIS' IA3), and in
PEFT's own files, where it is of a module that was trained whole (`modules_to_save`)."""

_PEFT_METHODS = {
    "boft": "BOFT", "vera": "VeRA", "pvera": "PVeRA", "vblora": "VB-LoRA", "randlora": "RandLoRA", "hra": "HRA",
    "hira": "HiRA", "fourierft": "FourierFT", "waveft": "WaveFT", "miss": "MiSS", "bone": "Bone", "c3a": "C3A",
    "delora": "DeLoRA", "gralora": "GraLoRA", "road": "RoAd", "shira": "SHiRA", "tinylora": "TinyLoRA",
    "psoft": "PSOFT", "glora": "GLoRA", "ln_tuning": "LN tuning", "trainable_tokens": "trainable tokens",
}  # fmt: skip
"""What the names of their parameters begin with, as far as they are for the networks of this field."""
_PEFT = re.compile(rf"\.({'|'.join(_PEFT_METHODS)})_")

FOREIGN: tuple[tuple[str, str], ...] = (
    (r"(motion_modules|temporal_transformer)\..*lora", "a motion LoRA of AnimateDiff, for its motion module"),
    (
        r"^(unet|text_encoder)[^.\n]*:\d+:(up|down)$",
        "a LoRA by cloneofsimo's tool, which numbers modules (its lora_add merges)",
    ),
    (r"^lora_controlnet$", "a Control-LoRA, a small ControlNet"),
    (r"^ip_adapter\.\d+\.to_[qkv]_lora\.|^ip_adapter\.\d+\.to_out_lora\.", "an IP-Adapter for faces"),
    (r"\.lora_E(\.|$)", "AdaLoRA of PEFT"),
)
"""Names of tensors by which a method is known that is not read, and what such a file is."""
READ = "LoRA, LoCon, LoHa, LoKr, DoRA, IA3, OFT, GLoRA and whole differences"

_OLD_ATTENTION = (
    (re.compile(r"\.processor\.(?=to_|add_)"), "."),
    (re.compile(r"\.self_attn\.to_([qkv])$"), r".self_attn.\1_proj"),
    (re.compile(r"\.self_attn\.to_out$"), ".self_attn.out_proj"),
    (re.compile(r"\.to_out$"), ".to_out.0"),
)
"""The attention layers as diffusers named them when a processor held their adapters."""

BUNDLED = "bundle_emb."
"""Before embeddings that an adapter was trained with: `bundle_emb.NAME.` and a name as in a file of one."""


@dataclass(frozen=True)
class Piece:
    """An adapter's share of one module."""

    module: str
    """The module as the file spells it."""
    parts: Parts
    kind: Kind | None
    """None: it changes a bias alone."""
    scale: float
    """alpha / rank."""
    names: tuple[str, ...]
    """Names of its tensors in the file."""

    @property
    def label(self) -> str:
        """What to call its kind."""
        if self.kind is None:
            return next(BIAS[part] for part in self.parts if part in BIAS)
        name = self.kind.name
        if name == "lora" and self.parts.get("down", _NOTHING).ndim == 4:
            name = "locon"
        return f"{name}, dora" if "dora_scale" in self.parts else name

    @property
    def rank(self) -> int | None:
        """Rank of its matrices; None where there is none."""
        return None if self.kind is None else self.kind.rank(self.parts)


_NOTHING = torch.empty(0)


@dataclass(frozen=True)
class Adapter:
    """A file of pieces."""

    path: Path
    format: str
    pieces: tuple[Piece, ...]
    strange: tuple[str, ...]
    """Names of no part that is known here."""
    faults: tuple[str, ...]
    """Modules whose parts make no kind, and why."""
    file: TensorFile
    bundled: Mapping[str, Mapping[str, Tensor]] = field(default_factory=dict)
    """Embeddings that came along, by name."""
    kinds: Mapping[str, int] = field(default_factory=dict)
    family: str = ""
    """What it was made for, as far as it tells."""
    foreign: str = ""
    """What it is, when that is not read here; then it has no pieces."""
    doubt: str = ""
    """What had to be assumed."""


def is_adapter(shapes: Shapes) -> bool:
    """Whether a file of these tensors is an adapter of weights, be it one that is read here or not."""
    parts = (ENDINGS.get(_ending(name) or "", "ia3") for name in shapes)
    return any(part not in ("alpha", "ia3", "set_bias") for part in parts) or bool(foreign(shapes))


def foreign(shapes: Shapes) -> str:
    """What a file of these tensors is when its method is not read here, else empty."""
    if any(len(shape) == 4 and name.endswith(".oft_blocks") for name, shape in shapes.items()):
        return "BOFT of LyCORIS"
    lines = "\n".join(shapes)
    for pattern, what in FOREIGN:
        if re.search(pattern, lines, re.MULTILINE):
            return what
    method = _PEFT.search(lines)
    return f"{_PEFT_METHODS[method[1]]} of PEFT" if method else ""


def _ending(name: str) -> str | None:
    name = name.replace(".default.", ".").removesuffix(".default")
    return max((ending for ending in ENDINGS if name.endswith(ending)), key=len, default=None)


def _split(name: str) -> tuple[str, str] | None:
    """The module and the part that a tensor's name says."""
    ending = _ending(name)
    if ending is None:
        return None
    module = name.replace(".default.", ".").removesuffix(".default")[: -len(ending)]
    whole = module.startswith(ROOT) and ending == ".weight"
    module = module.removeprefix(ROOT).removeprefix("module.")
    if ending.startswith("_"):
        for pattern, new in _OLD_ATTENTION:
            module = pattern.sub(new, module)
    return (module, "set" if whole else ENDINGS[ending]) if module else None


def read_adapter(path: Path) -> Adapter:
    """Take a file apart. What it does not understand is kept by name, for `fit` to complain of.

    Raises:
        CheckpointError: it cannot be read, is no adapter or of a method that is not read here, or holds NaN or
            infinity.
    """
    file = open_tensors(path)
    if not is_adapter(file.shapes):
        what = describe(detect(file.shapes, file.metadata, str(path)))
        raise CheckpointError(f"{path} is no LoRA or kin of it: it is {what}")
    state = file.read()
    if bad := non_finite(state):
        raise CheckpointError(f"{path}: {len(bad)} tensors hold NaN or infinity, first {bad[0]!r}; get a sound copy")
    adapter = assemble(file, state)
    if adapter.foreign:
        raise CheckpointError(f"{path} is {adapter.foreign}; {READ} are read here")
    if adapter.doubt:
        log.warning("%s: %s", path, adapter.doubt)
    return adapter


def assemble(file: TensorFile, state: Mapping[str, Tensor]) -> Adapter:
    """The pieces of a file whose tensors are `state`.

    Raises:
        CheckpointError: an `adapter_config.json` or metadata that cannot be read.
    """
    config = PeftConfig.read(file)
    if what := foreign(file.shapes) or config.foreign:
        return Adapter(file.path, _format(file.shapes), (), (), (), file, foreign=what)
    groups: dict[str, dict[str, str]] = {}
    bundled: dict[str, dict[str, Tensor]] = {}
    strange = []
    for name, tensor in state.items():
        if name.startswith(BUNDLED):
            word, _, key = name.removeprefix(BUNDLED).partition(".")
            bundled.setdefault(word, {})[key] = tensor
            continue
        found = _split(name)
        if found is None or found[1] in groups.get(found[0], {}):
            strange.append(name)
        else:
            groups.setdefault(found[0], {})[found[1]] = name
    pieces, faults = [], []
    for module, names in groups.items():
        if "ia3" in names and "on_input" not in names:
            strange.append(names.pop("ia3"))
        if not names:
            continue
        parts = {part: state[name] for part, name in names.items()}
        try:
            pieces.append(_piece(module, parts, tuple(names.values()), config))
        except MisfitError as error:
            faults.append(f"{next(iter(names.values()))}: {error}")
    kinds = Counter(piece.label for piece in pieces)
    return Adapter(
        file.path,
        _format(file.shapes),
        tuple(pieces),
        tuple(strange),
        tuple(faults),
        file,
        bundled,
        dict(kinds.most_common()),
        _family(file.metadata, pieces),
        doubt=_doubt(file.shapes, config, pieces),
    )


def _doubt(shapes: Shapes, config: PeftConfig, pieces: Iterable[Piece]) -> str:
    """PEFT never writes alphas as tensors."""
    silent = not config.parts and not any(name.endswith(".alpha") for name in shapes)
    if silent and _format(shapes) == "PEFT" and any(piece.rank is not None for piece in pieces):
        return "adapter_config.json, in which PEFT writes alpha, is not beside it; alpha / rank is taken to be 1"
    return ""


def _piece(module: str, parts: dict[str, Tensor], names: tuple[str, ...], config: PeftConfig) -> Piece:
    alpha = parts.pop("alpha", None)
    if alpha is not None and alpha.numel() != 1:
        raise MisfitError(f"alpha has the shape {tuple(alpha.shape)}")
    if "oft_blocks" in parts and alpha is not None:
        parts["constraint"], alpha = alpha, None
    if "oft_R" in parts:
        parts["turn_peft" if config.parts else "turn_in"] = config.rotations(parts.pop("oft_R").float())
    if "magnitude" in parts:  # PEFT: always a number a row, whatever its shape
        parts["dora_scale"] = parts.pop("magnitude").reshape(-1)
    if "ia3" in parts:
        by_column = bool(parts.pop("on_input").reshape(-1)[:1].any())
        parts["ia3_in" if by_column else "ia3_out"] = parts.pop("ia3")
    if "ia3_l" in parts:  # PEFT stores the factor, and that of rows scales the bias too
        factor = parts.pop("ia3_l").float() - 1
        # (1, in) or (out, 1); of a convolution (1, in, 1, 1) or, too, (1, out, 1, 1).
        by_column = factor.shape[0] == 1 if factor.ndim == 2 else config.scales_columns(module)
        parts |= {"ia3_in": factor} if by_column else {"ia3_out": factor, "ia3_bias": factor}
    kind = kind_of(parts)
    if kind is None or kind.name not in LOW_RANK:
        return Piece(module, parts, kind, 1.0, names)
    scale = config.scale(module, parts, None if alpha is None else float(alpha), kind.rank(parts))
    return Piece(module, parts, kind, scale, names)


def _format(shapes: Shapes) -> str:
    names = shapes.keys()
    if any(name.startswith(("lora_", "lycoris_", "oft_")) for name in names):
        blocks = any(re.search("_(input|output|joint)_blocks_", name) for name in names)
        return "kohya, LDM block names" if blocks else "kohya"
    if any(name.startswith(ROOT) for name in names):
        return "PEFT"
    if any(name.startswith("diffusion_model.") for name in names):
        return "ComfyUI"
    old = any(re.search(r"(\.lora|_lora|\.lora_linear_layer)\.(down|up)\.weight$", name) for name in names)
    return "diffusers, old" if old else "diffusers"


_ARCHITECTURES = (
    ("stable-diffusion-xl", "sdxl"),
    ("sdxl", "sdxl"),
    ("stable-diffusion-v3", "sd3"),
    ("sd3", "sd3"),
    ("stable-diffusion-v2", "sd2"),
    ("sd_v2", "sd2"),
    ("stable-diffusion-v1", "sd1"),
    ("sd_v1", "sd1"),
    ("flux", "flux"),
    ("chroma", "chroma"),
    ("qwen", "qwen"),
    ("wan", "wan"),
    ("hunyuan", "hunyuan"),
    ("lumina", "lumina"),
    ("stable-cascade", "cascade"),
)
"""Beginnings of what `modelspec.architecture` and `ss_base_model_version` say."""
_MODULES = (
    (r"double_blocks|single_blocks|single_transformer_blocks", "flux"),
    (r"transformer_blocks[._]\d+[._](img|txt)_(mlp|mod)", "qwen"),
    (r"(^|[._])blocks[._]\d+[._](cross|self)_attn[._]", "wan"),
    (r"joint_blocks|joint_transformer_blocks|attn2?[._]add_[qkv]_proj", "sd3"),
    (r"^lora_te2_|^text_encoder_2\.", "sdxl"),
)
_CONTEXTS = {768: "sd1", 1024: "sd2", 2048: "sdxl", 1280: "sdxl"}


def _family(metadata: Mapping[str, str], pieces: list[Piece]) -> str:
    """The family by what the metadata say, by names that only one family has, or by the width of the text tokens."""
    for key in ("modelspec.architecture", "ss_base_model_version"):
        for start, family in _ARCHITECTURES:
            if metadata.get(key, "").lower().startswith(start):
                return family
    for pattern, family in _MODULES:
        if any(re.search(pattern, piece.module) for piece in pieces):
            return family
    for pattern in (r"attn2[._]to_k$", r"self_attn[._]q_proj$"):
        for piece in pieces:
            down = piece.parts.get("down")
            if re.search(pattern, piece.module) and down is not None and down.ndim > 1:
                return _CONTEXTS.get(down.shape[1], "")
    return ""
