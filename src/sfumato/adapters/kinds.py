"""The mathematics of adapters: what each kind adds to a weight W of shape (out, in) or (out, in, h, w).

| kind   | change of W                                               | source                                       |
|--------|-----------------------------------------------------------|----------------------------------------------|
| lora   | up down                                                   | Hu et al. 2021, eq. 3                        |
| locon  | the same for convolutions; with a core: mid x1 up x2 down | Yeh et al. 2023 (LyCORIS), section 3         |
| loha   | (w1a w1b) * (w2a w2b), element by element                 | Hyeon-Woo et al. 2021 (FedPara), prop. 2     |
| lokr   | w1 (x) w2, Kronecker                                      | Yeh et al. 2023, section 3                   |
| ia3    | W scaled by rows or columns, less W                       | Liu et al. 2022, section 3.3                 |
| diff   | the change itself                                         | LyCORIS `full`                               |
| norm   | the change itself, of a normalisation                     | LyCORIS `norm`                               |
| set    | a new weight, less W                                      | PEFT `modules_to_save`, ComfyUI `set_weight` |
| oft    | R W or W R, less W; R rotates channels, block by block    | Qiu et al. 2023 (see `rotations`)            |
| glora  | W a1 a2 + b1 b2                                           | Chavan et al. 2023 (GLoRA)                   |

Biases change beside any of them: by a difference, to a new bias, or in lora by scale * the bias of `up`.
Low-rank kinds are multiplied by alpha / rank; in `oft`, alpha constrains the rotation instead. Any of them may carry
DoRA's magnitudes m (Liu et al. 2024, eq. 5): then W + change is first scaled to the norms m, by rows or columns as the
shape of m says, and the change is what that makes. Everything is float32.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from sfumato.adapters.rotations import cayley, turn_columns, turn_rows, within

Parts = Mapping[str, Tensor]
"""Tensors by the part they play, in our spelling: `down`, `up`, `hada_w1_a`, `lokr_w1`, `dora_scale` ..."""


class MisfitError(ValueError):
    """Parts that are incomplete or whose shapes do not make the weight's."""


@dataclass(frozen=True)
class Kind:
    """A kind of adapter: the parts by which it is known, and its change of a weight."""

    name: str
    marks: frozenset[str]
    parts: frozenset[str]
    """All that may belong to it, marks included."""
    change: Callable[[Parts, Tensor], Tensor]
    rank: Callable[[Parts], int | None]


def _need(parts: Parts, name: str) -> Tensor:
    if name not in parts:
        raise MisfitError(f"its part {name} is missing")
    return parts[name]


def _matrix(tensor: Tensor) -> Tensor:
    """(a, b) of (a, b), (a, b, 1, 1) or, for kernels, (a, b * h * w)."""
    if tensor.ndim < 2:
        raise MisfitError(f"a matrix is of the shape {tuple(tensor.shape)}")
    return tensor.flatten(1)


def _core(core: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """Tucker's form: core (l, r, h, w), left (out, l), right (r, in) -> (out, in, h, w)."""
    return torch.einsum("l r ..., o l, r i -> o i ...", core, left, right)


def _lora(parts: Parts, weight: Tensor) -> Tensor:
    up, down = _need(parts, "up"), _need(parts, "down")
    if "mid" in parts:
        return _core(parts["mid"], _matrix(up), _matrix(down))
    return _matrix(up) @ _matrix(down)


def _loha(parts: Parts, weight: Tensor) -> Tensor:
    factors = []
    for n in (1, 2):
        a, b = _need(parts, f"hada_w{n}_a"), _need(parts, f"hada_w{n}_b")
        core = parts.get(f"hada_t{n}")
        factors.append(_matrix(a) @ _matrix(b) if core is None else _core(core, a.T, b))
    return factors[0] * factors[1]


def _kronecker_factor(parts: Parts, name: str) -> Tensor:
    if name in parts:
        return parts[name]
    a, b = _need(parts, f"{name}_a"), _need(parts, f"{name}_b")
    core = parts.get(name.replace("_w", "_t"))
    if core is not None:
        return _core(core, a.T, b)
    if b.ndim > 2:  # a kernel's matrix, (rank, in, h, w)
        return torch.einsum("o l, l i ... -> o i ...", a, b)
    return _matrix(a) @ b


def _lokr(parts: Parts, weight: Tensor) -> Tensor:
    first, second = _kronecker_factor(parts, "lokr_w1"), _kronecker_factor(parts, "lokr_w2")
    if first.ndim < 2 or second.ndim < 2:
        raise MisfitError("a Kronecker factor is no matrix")
    rest = weight.shape[2:]
    if second.ndim == 2 and second.numel() * first.numel() == weight.numel():  # kernels flattened into columns
        second = second.reshape(second.shape[0], -1, *rest)
    return torch.kron(first.reshape(*first.shape[:2], *[1] * len(rest)), second.contiguous())


def _ia3(parts: Parts, weight: Tensor) -> Tensor:
    """LyCORIS stores the change of the factor, PEFT the factor: read as the change (see `formats`)."""
    if "ia3_in" in parts:
        return _scaled(weight, parts["ia3_in"], axis=1)
    return _scaled(weight, _need(parts, "ia3_out"), axis=0)


def _scaled(weight: Tensor, factors: Tensor, *, axis: int) -> Tensor:
    """Rows (axis 0) or columns (1) of a weight times a factor each."""
    if factors.numel() != weight.shape[axis]:
        raise MisfitError(f"{factors.numel()} factors are for {weight.shape[axis]} {'columns' if axis else 'rows'}")
    shape = [1] * weight.ndim
    shape[axis] = -1
    return weight * factors.reshape(shape)


_TURNS = ("oft_blocks", "oft_diag", "turn_peft", "turn_in")


def _oft(parts: Parts, weight: Tensor) -> Tensor:
    """LyCORIS and kohya turn rows: `oft_blocks` are matrices whose skew part counts, `oft_diag` (old LyCORIS) are
    rotations, `rescale` factors of the turned rows. PEFT (`turn_peft`, a rotation that `formats` makes) and after it
    OneTrainer and sd-scripts (`turn_in`) turn what goes in, but these turn kernels the other way.
    """
    for name in _TURNS:
        if name in parts and (parts[name].ndim != 3 or parts[name].shape[1] != parts[name].shape[2]):
            butterfly = "; butterflies (BOFT) are not known" if parts[name].ndim == 4 else ""
            raise MisfitError(f"{name} of the shape {tuple(parts[name].shape)} is no row of square blocks{butterfly}")
    if "turn_peft" in parts:
        if weight.ndim > 2 and weight[0, 0].numel() > 1:
            raise MisfitError("PEFT's OFT of a kernel acts otherwise merged than not; which is meant cannot be told")
        return turn_columns(weight, parts["turn_peft"]) - weight
    if "turn_in" in parts:
        return turn_columns(weight, parts["turn_in"] if weight.ndim == 2 else parts["turn_in"].mT) - weight
    if "oft_blocks" in parts:
        q = parts["oft_blocks"] - parts["oft_blocks"].mT
        most = float(parts["constraint"]) * weight.shape[0] if "constraint" in parts else 0.0
        turned = turn_rows(weight, cayley(within(q, most) if most > 0 else q))
    else:
        turned = turn_rows(weight, _need(parts, "oft_diag"))
    return (_scaled(turned, parts["rescale"], axis=0) if "rescale" in parts else turned) - weight


def _glora(parts: Parts, weight: Tensor) -> Tensor:
    """In old files 1 and 2 are the other way round: then a1 (rank, in) is wide, where it is else (in, rank)."""
    a1, a2, b1, b2 = (_matrix(_need(parts, name)) for name in ("a1", "a2", "b1", "b2"))
    if a1.shape[0] < a1.shape[1]:
        a1, a2, b1, b2 = a2, a1, b2, b1
    straight = _core(parts["bm"], b1, b2) if "bm" in parts else (b1 @ b2).reshape(weight.shape)
    return straight + torch.einsum("o i ..., i r, r j -> o j ...", weight, a1, a2)


def _set(parts: Parts, weight: Tensor) -> Tensor:
    if parts["set"].numel() != weight.numel():
        raise MisfitError(f"a weight of the shape {tuple(parts['set'].shape)} for {tuple(weight.shape)}")
    return parts["set"].reshape(weight.shape) - weight


def _shorter_side(parts: Parts) -> int | None:
    return min(parts["a1"].shape[:2]) if "a1" in parts and parts["a1"].ndim > 1 else None


def _first(*names: str) -> Callable[[Parts], int | None]:
    """The rank, which is the first axis of the first of these parts that is there."""

    def rank(parts: Parts) -> int | None:
        return next((parts[name].shape[0] for name in names if name in parts and parts[name].ndim), None)

    return rank


def _kind(name: str, marks: str, also: str, change: Callable[[Parts, Tensor], Tensor], *rank: str) -> Kind:
    return Kind(name, frozenset(marks.split()), frozenset(f"{marks} {also}".split()), change, _first(*rank))


KINDS: tuple[Kind, ...] = (
    _kind("lora", "down up", "mid up_bias", _lora, "down"),
    _kind("loha", "hada_w1_a hada_w1_b hada_w2_a hada_w2_b", "hada_t1 hada_t2", _loha, "hada_w1_b"),
    _kind(
        "lokr",
        "lokr_w1 lokr_w2 lokr_w1_a lokr_w1_b lokr_w2_a lokr_w2_b",
        "lokr_t1 lokr_t2",
        _lokr,
        "lokr_w1_b",
        "lokr_w2_b",
    ),
    _kind("ia3", "ia3_in ia3_out", "ia3_bias", _ia3),
    _kind("diff", "diff", "", lambda parts, _: parts["diff"]),
    _kind("norm", "w_norm", "", lambda parts, _: parts["w_norm"]),
    _kind("set", "set", "", _set),
    _kind("oft", " ".join(_TURNS), "rescale constraint", _oft, *_TURNS),
    Kind(
        "glora", frozenset({"a1", "a2", "b1", "b2"}), frozenset({"a1", "a2", "b1", "b2", "bm"}), _glora, _shorter_side
    ),
)
LOW_RANK = frozenset({"lora", "loha", "lokr", "glora"})
"""Kinds that are multiplied by alpha / rank."""
BIAS = {"diff_b": "diff", "b_norm": "norm", "set_bias": "set"}
"""Changes of a bias, by part, and the kind they make where they stand alone; they stand beside any kind."""
ANYWHERE = frozenset({"alpha", "dora_scale", *BIAS})


def kind_of(parts: Parts) -> Kind | None:
    """The kind of these parts; None where they only change a bias.

    Raises:
        MisfitError: they are of no kind or of two.
    """
    found = [kind for kind in KINDS if kind.marks & parts.keys()]
    if len(found) > 1:
        raise MisfitError(f"it is {found[0].name} and {found[1].name} at once")
    strange = parts.keys() - ANYWHERE - (found[0].parts if found else frozenset())
    if strange or not (found or parts.keys() & BIAS.keys()):
        raise MisfitError(f"its parts {', '.join(sorted(parts))} are of no kind")
    return found[0] if found else None


def weight_change(kind: Kind, parts: Parts, scale: float, weight: Float[Tensor, "o ..."]) -> Float[Tensor, "o ..."]:
    """What an adapter at full strength adds to `weight` (float32).

    Raises:
        MisfitError: parts that are missing or do not make the weight's shape.
    """
    parts = {name: part.to(weight.device, torch.float32) for name, part in parts.items()}
    try:
        change = kind.change(parts, weight) * scale
    except (RuntimeError, IndexError) as error:
        raise MisfitError("its parts do not multiply") from error
    # Kernels come flattened, and linear layers as 1x1 kernels, but both axes of channels must be the weight's.
    flat = change.ndim == 2 and change.shape[0] == weight.shape[0] and change.numel() == weight.numel()
    if not flat and _trimmed(change) != _trimmed(weight):
        raise MisfitError(f"it makes the shape {tuple(change.shape)} for {tuple(weight.shape)}")
    change = change.reshape(weight.shape)
    return _to_magnitudes(weight + change, parts["dora_scale"]) - weight if "dora_scale" in parts else change


def _trimmed(tensor: Tensor) -> tuple[int, ...]:
    shape = list(tensor.shape)
    while len(shape) > 1 and shape[-1] == 1:
        shape.pop()
    return tuple(shape)


def _to_magnitudes(weight: Tensor, magnitude: Tensor) -> Tensor:
    """Rows (or columns, by the shape of `magnitude`) of `weight` scaled to these norms."""
    by_row = magnitude.ndim == 1 or magnitude.shape[0] == weight.shape[0]
    if weight.ndim < 2 or magnitude.numel() != weight.shape[0 if by_row else 1]:
        raise MisfitError(f"magnitudes of the shape {tuple(magnitude.shape)} for {tuple(weight.shape)}")
    axes = [axis for axis in range(weight.ndim) if axis != (0 if by_row else 1)]
    norms = torch.linalg.vector_norm(weight, dim=axes, keepdim=True)
    shape = [1] * weight.ndim
    shape[0 if by_row else 1] = -1
    return weight * (magnitude.reshape(shape) / norms.clamp_min(torch.finfo(torch.float32).eps))


def bias_change(parts: Parts, scale: float, bias: Float[Tensor, " o"] | None) -> Float[Tensor, " o"] | None:
    """What an adapter at full strength adds to a `bias` (float32); None: nothing.

    Raises:
        MisfitError: a change of a bias that is not there or of another length.
    """
    if "ia3_bias" in parts and bias is not None:
        return _scaled(bias, parts["ia3_bias"].to(bias.device, torch.float32), axis=0)
    total = None
    for name in [name for name in ("up_bias", *BIAS) if name in parts]:
        given = parts[name]
        if bias is None or given.numel() != bias.numel():
            there = "there is none" if bias is None else f"it has {bias.numel()} numbers"
            raise MisfitError(f"a change of a bias of the shape {tuple(given.shape)}, but {there}")
        given = given.to(bias.device, torch.float32).reshape(bias.shape)
        change = {"up_bias": scale * given, "set_bias": given - bias}.get(name, given)
        total = change if total is None else total + change
    return total
