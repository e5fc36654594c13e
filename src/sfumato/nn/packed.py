"""Linear layers and convolutions that compute from weights laid out for this CPU, where that is faster.

`pack(network)` changes what modules compute, not what they are. A linear layer or a convolution whose packed form wins
the race for its shape keeps its weight in oneDNN's layout, in place of its own: a permutation, which `plain` turns back
to the bit, for state dicts, adapters and gradients. Convolutions of 3x3 may win by Winograd's filters (`nn.winograd`),
which are kept beside the weight, since they do not lead back to it.

What is raced depends on the shape of one picture alone, never on the batch, so that a picture is the same in any. Small
products are left as they are: packing costs more than they can win (docs/decisions/0032-packed-weights.md). The
operators are private ones of torch: `fault` tries them once, and where they fail nothing is packed.
"""

from collections.abc import Sequence
from functools import cache
from math import prod
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sfumato.choices import Engine
from sfumato.errors import RequestError, UnknownNameError
from sfumato.nn import winograd
from sfumato.nn.attention import Attending
from sfumato.nn.blockwise import quickest
from sfumato.nn.standing_in import StandIn
from sfumato.runtime.races import races

SMALL = 500_000_000
"""Additions and multiplications of one picture below which nothing is raced."""
LARGE = 100_000_000
"""Weights below which a model is left plain unless asked: nano's products are too small to win by packing."""
TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 3e-2}
"""How far a kernel's result may differ from the plain one, relative to its norm, in the trial."""

Pair = tuple[int, int]


def plain(weight: Tensor) -> Tensor:
    """A weight in the usual layout."""
    return weight.to_dense() if weight.is_mkldnn else weight


class _Packable(StandIn):
    """A layer that may compute from its weight laid out otherwise."""

    def serves(self, x: Tensor) -> bool:
        """Whether a packed way may compute this call."""
        same = x.device.type == "cpu" and x.dtype == self.weight.dtype and x.dtype in TOLERANCE
        return same and not (torch.is_grad_enabled() and (x.requires_grad or self.weight.requires_grad))

    def keep(self, weight: Tensor) -> None:
        """Lay out the weight anew."""
        self.weight = nn.Parameter(weight, requires_grad=False)

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        destination[prefix + "weight"] = plain(destination[prefix + "weight"])


class PackedLinear(_Packable, nn.Linear):
    """A linear layer that computes from a packed weight where that is faster."""

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.weight, self.bias
        rows = x.shape[-2] if x.dim() > 2 else 1
        if 2 * rows * weight.numel() < SMALL or not self.serves(x):
            return F.linear(x, plain(weight), bias)
        if not weight.is_mkldnn:
            packed = cache(lambda: torch.ops.mkldnn._reorder_linear_weight(weight, x.numel() // x.shape[-1]))
            ways = {"plain": lambda: F.linear(x, weight, bias), "packed": lambda: _linear(x, packed(), bias)}
            race = f"linear {_name(x.dtype)} {tuple(weight.shape)}"
            if races().winner(race, ways) == "plain":
                return F.linear(x, weight, bias)
            self.keep(packed())
            weight = self.weight
        return _linear(x, weight, bias)


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    found: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return found


class PackedConv2d(_Packable, nn.Conv2d):
    """A convolution that computes from a packed weight, or by Winograd's filters, where that is faster.

    Args:
        filtered: whether its filters may be kept beside the weight.
    """

    def __init__(self, module: nn.Conv2d, *, filtered: bool) -> None:
        super().__init__(module)
        self.filtered = filtered
        self._filters: tuple[Tensor, winograd.Bands, Tensor] | None = None
        """The weight, its bands, and its filters in them."""

    def __deepcopy__(self, memo: dict[int, Any]) -> "PackedConv2d":
        twin = PackedConv2d(self, filtered=self.filtered)
        twin._parameters = {
            name: None if value is None else memo.get(id(value), value) for name, value in self._parameters.items()
        }
        twin._filters = self._filters
        return twin

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.weight, self.bias
        if 2 * prod(x.shape[1:]) // prod(_pair(self.stride)) * weight.shape[0] * prod(self.kernel_size) < (
            SMALL * self.groups
        ) or not self.serves(x):
            return self._conv_forward(x, plain(weight), bias)
        x = x.contiguous(memory_format=torch.channels_last)
        return self._by_filters(x) if self.filtered else self._packed(x)

    def _by_filters(self, x: Tensor) -> Tensor:
        weight, bias = self.weight, self.bias
        ways = {
            "plain": lambda: self._conv_forward(x, weight, bias),
            "winograd": lambda: self._winograd(x),
        }
        if races().winner(f"conv {_name(x.dtype)} {tuple(x.shape[1:])} {len(weight)}", ways) == "plain":
            self._filters = None
            return self._conv_forward(x, weight, bias)
        return self._winograd(x)

    def _winograd(self, x: Tensor) -> Tensor:
        bands = winograd.Bands.of(x.shape, winograd.outputs(x.dtype))
        kept = self._filters
        if kept is None or kept[0] is not self.weight or kept[1].tiles != bands.tiles:
            self._filters = kept = self.weight, bands, winograd.filters(self.weight, bands)
        return winograd.convolve(x, kept[2], bands, self.bias, self.out_channels)

    def _packed(self, x: Tensor) -> Tensor:
        weight, bias = self.weight, self.bias
        padding, stride, dilation = _pair(self.padding), _pair(self.stride), _pair(self.dilation)
        how = (padding, stride, dilation, self.groups)

        def convolved(packed: Tensor) -> Tensor:
            found: Tensor = torch.ops.mkldnn._convolution_pointwise(x, packed, bias, *how, "none", [], "")
            return found

        if not weight.is_mkldnn:
            packed = cache(lambda: torch.ops.mkldnn._reorder_convolution_weight(weight, *how, list(x.shape)))
            ways = {"plain": lambda: self._conv_forward(x, weight, bias), "packed": lambda: convolved(packed())}
            race = f"conv {_name(x.dtype)} {tuple(weight.shape)} {how}"
            if races().winner(race, ways) == "plain":
                return self._conv_forward(x, weight, bias)
            self.keep(packed())
            weight = self.weight
        return convolved(weight)


def _pair(value: Any) -> Pair:
    return value


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def choose_engine(
    device: torch.device, dtype: torch.dtype, engine: Engine = "auto", weights: int = LARGE
) -> Literal["plain", "packed"]:
    """The engine of networks on a device: what is asked for; `auto` packs large ones where that is possible.

    Args:
        weights: how many the networks have; small ones are not even tried, which would take milliseconds.

    Raises:
        UnknownNameError: for another engine.
        RequestError: `packed` is asked for and cannot be had.
    """
    if engine not in get_args(Engine):
        raise UnknownNameError("engine", str(engine)[:64], get_args(Engine))
    if engine == "plain" or (engine == "auto" and weights < LARGE):
        return "plain"
    why = f"weights are packed for CPUs, not for {device.type}" if device.type != "cpu" else fault(dtype)
    if why is None:
        return "packed"
    if engine == "packed":
        raise RequestError(f"the packed engine cannot be had here: {why}; use plain or auto")
    return "plain"


def pack(networks: Sequence[nn.Module], memory: int) -> None:
    """Let the linear layers and convolutions of networks compute from packed weights where they win, and attention in
    the form that wins; they must not be in use nor share modules with others. What is of a precision whose operators
    fail stays as it is.

    Args:
        memory: bytes that Winograd's filters may take in all; the smallest weights, which are those of the largest
            maps, come first.
    """
    modules = [module for network in networks for module in network.modules()]
    convs = [module for module in modules if type(module) is nn.Conv2d and _filterable(module)]
    filtered: set[int] = set()
    for conv in sorted(convs, key=lambda conv: conv.weight.numel()):
        memory -= int(winograd.growth(conv.weight.dtype) * conv.weight.numel() * conv.weight.element_size())
        if memory < 0:
            break
        filtered.add(id(conv))
    for parent in modules:
        if isinstance(parent, Attending):
            parent.attend = quickest
        for name, child in list(parent.named_children()):
            if not isinstance(child, nn.Linear | nn.Conv2d) or fault(child.weight.dtype) is not None:
                continue
            if type(child) is nn.Linear:
                setattr(parent, name, PackedLinear(child))
            elif type(child) is nn.Conv2d and isinstance(child.padding, tuple) and child.padding_mode == "zeros":
                setattr(parent, name, PackedConv2d(child, filtered=id(child) in filtered))


def _filterable(conv: nn.Conv2d) -> bool:
    return min(conv.in_channels, conv.out_channels) >= 32 and winograd.is_filterable(conv)


def filter_bytes(network: nn.Module) -> int:
    """How many bytes the filters of a network take once all are made."""
    convs = [module for module in network.modules() if isinstance(module, PackedConv2d) and module.filtered]
    return sum(
        int(winograd.growth(conv.weight.dtype) * conv.weight.numel() * conv.weight.element_size()) for conv in convs
    )


def without_filters(network: nn.Module) -> None:
    """Let the convolutions of a network do without filters from now on."""
    for module in network.modules():
        if isinstance(module, PackedConv2d):
            module.filtered, module._filters = False, None


def packed_bytes(network: nn.Module) -> dict[str, int]:
    """How many bytes of a network's weights are computed from as they are, packed, and by filters beside them."""
    sums = {"plain": 0, "packed": 0, "filters": 0}
    for module in network.modules():
        for value in module.parameters(recurse=False):
            sums["packed" if value.is_mkldnn else "plain"] += value.numel() * value.element_size()
        if isinstance(module, PackedConv2d) and module._filters is not None:
            filters = module._filters[2]
            sums["filters"] += filters.numel() * filters.element_size()
    return sums


@cache
def fault(dtype: torch.dtype = torch.float32) -> str | None:
    """Why weights of a precision cannot be packed here; None: they can. Tried on small numbers, in milliseconds."""
    if not torch.backends.mkldnn.is_available():
        return "this torch has no oneDNN"
    if dtype not in TOLERANCE:
        return f"{_name(dtype)} is no precision of its operators"
    try:
        with torch.inference_mode():
            return _trial(dtype)
    except Exception as error:  # a private operator may be gone, or take other arguments
        return f"torch {torch.__version__}: {' '.join(str(error).split())[:120]}"


def faults() -> dict[str, str | None]:
    """`fault` of each precision, by name."""
    return {_name(dtype): fault(dtype) for dtype in TOLERANCE}


def _trial(dtype: torch.dtype) -> str | None:
    """What is wrong with the operators in a precision."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 32, 10, 7, generator=generator).to(dtype).contiguous(memory_format=torch.channels_last)
    weight = torch.randn(48, 32, 3, 3, generator=generator).to(dtype) / 17
    bias = torch.randn(48, generator=generator).to(dtype)
    rows, matrix = x.permute(0, 2, 3, 1).flatten(1, 2), weight[..., 0, 0].contiguous()
    how = ((1, 1), (1, 1), (1, 1), 1)
    packed = torch.ops.mkldnn._reorder_convolution_weight(weight, *how, list(x.shape))
    laid = torch.ops.mkldnn._reorder_linear_weight(matrix, rows.shape[0] * rows.shape[1])
    bands = winograd.Bands.of(x.shape, winograd.outputs(dtype))
    direct = F.conv2d(x, weight, bias, padding=1)
    found = {
        "linear": (_linear(rows, laid, bias), F.linear(rows, matrix, bias)),
        "conv": (torch.ops.mkldnn._convolution_pointwise(x, packed, bias, *how, "none", [], ""), direct),
        "winograd": (winograd.convolve(x, winograd.filters(weight, bands), bands, bias, 48), direct),
        "conv unpacked": (packed.to_dense(), weight),
        "linear unpacked": (laid.to_dense(), matrix),
    }
    for name, (ours, right) in found.items():
        limit = 0.0 if "unpacked" in name else TOLERANCE[dtype]
        off = float((ours.float() - right.float()).norm() / right.float().norm())
        if not off <= limit:
            return f"{name} in {_name(dtype)} is off by {off:.1e}, at most {limit:g} is right"
    return None
