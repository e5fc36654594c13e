"""Linear layers and convolutions that multiply whole numbers of 8 bits, on CPUs that have instructions for it.

`quantise(network)` changes what its large layers compute: weights in 8 bits and a step for each output channel,
activations in 8 bits and a step for each picture and call, from the least to the greatest number that is there
(Jacob et al. 2018, arXiv:1712.05877). Nothing is calibrated beforehand, since what a denoiser sees changes with the
level of noise, and a picture is the same alone and in a batch. Sums are whole numbers of 32 bits, exact; what comes out
is in the precision of what came in.

The weight itself is given up once it is used: it takes a half of its memory in bfloat16. State dicts show what was kept
of it, so adapters fit as ever, and what they change is quantised again. Labels (of time, of size) and what leads to
and from the latents stay as they are.
"""

import math
from abc import ABC, abstractmethod
from functools import cache
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int8, UInt8
from torch import Tensor, nn

from sfumato.nn.packed import plain
from sfumato.nn.standing_in import StandIn
from sfumato.nn.stored import StoredConv2d, StoredLinear
from sfumato.runtime.precision import cpu_flags

INSTRUCTIONS = frozenset({"avx512_vnni", "avx_vnni", "amx_int8"})
"""Flags of CPUs whose products of 8-bit numbers are exact and quick, by Linux's names."""
NARROW = 64
"""Channels in or out below which a layer stays as it is: the seconds are elsewhere."""
SMALL = 20_000_000
"""Additions and multiplications of one picture below which a layer stays as it is: rounding costs more there."""
TOLERANCE = 0.02
"""How far a layer's result may be off, relative to its norm, in the trial; normal numbers in 8 bits are off by 0.01."""


class _Quantised(NamedTuple):
    """A weight as it is computed with.

    Attributes:
        packed: whole numbers in oneDNN's layout.
        step: what 1 of them is, for each output channel.
        zeros: where 0 lies in them: at 0.
        dtype: the precision it had.
    """

    packed: nn.Parameter
    step: Float[Tensor, " out"]
    zeros: Tensor
    dtype: torch.dtype

    def whole(self) -> Tensor:
        """The weight that is nearest to these numbers."""
        numbers = self.packed.to_dense().float()
        numbers = numbers.t() if numbers.dim() == 2 else numbers  # oneDNN has matrices the other way round
        return (numbers * self.step.view(-1, *[1] * (numbers.dim() - 1))).to(self.dtype)


def rounded(weight: Float[Tensor, "out ..."]) -> tuple[Int8[Tensor, "out ..."], Float[Tensor, " out"]]:
    """A weight in -127 to 127, and what 1 is in each output channel."""
    weight = weight.float().contiguous()
    step = (weight.flatten(1).abs().amax(1) / 127).clamp_min(torch.finfo(torch.float32).tiny)
    return torch.round(weight / step.view(-1, *[1] * (weight.dim() - 1))).to(torch.int8), step


def seen(x: Float[Tensor, "..."]) -> tuple[UInt8[Tensor, "..."], float, int] | None:
    """Activations in 0 to 255, what 1 is and where 0 lies; None: something is not finite.

    0 is a whole number of them, so that padding adds nothing.
    """
    low, high = (float(each) for each in torch.aminmax(x))
    if not (math.isfinite(low) and math.isfinite(high)):
        return None
    low, high = min(low, 0.0), max(high, 0.0)
    step = (high - low) / 255 or 1.0
    zero = round(-low / step)
    return torch.mul(x.float(), 1 / step).add_(zero + 0.5).clamp_(0, 255).to(torch.uint8), step, zero


class _Layer(StandIn, ABC):
    """A layer that computes in 8 bits, picture by picture, each with a step of its own."""

    _kept: _Quantised | None = None

    @abstractmethod
    def _operations(self, x: Tensor) -> int:
        """Additions and multiplications of one picture."""

    @abstractmethod
    def _lay_out(self, numbers: Tensor, step: Tensor) -> Tensor:
        """A rounded weight in oneDNN's layout."""

    @abstractmethod
    def _product(self, numbers: Tensor, step: float, zero: int, weight: _Quantised, dtype: torch.dtype) -> Tensor:
        """What comes of rounded activations."""

    @abstractmethod
    def _plainly(self, x: Tensor) -> Tensor:
        """What comes of activations as they are."""

    def forward(self, x: Tensor) -> Tensor:
        floats = x.dtype in (torch.bfloat16, torch.float32)
        serves = x.device.type == "cpu" and floats and not torch.is_grad_enabled()
        if self._operations(x) < SMALL or not serves:
            return self._plainly(x)
        weight = self._quantised(x.dtype)

        def computed(picture: Tensor) -> Tensor:
            found = seen(picture)
            return self._plainly(picture) if found is None else self._product(*found, weight, x.dtype)

        return computed(x) if len(x) == 1 else torch.cat([computed(picture) for picture in x.split(1)])

    def whole(self) -> Tensor:
        """Its weight in the usual form: what it was given, until it is quantised."""
        weight, kept = self.weight, self._kept
        return kept.whole() if kept is not None and kept.packed is weight else weight

    def _quantised(self, dtype: torch.dtype) -> _Quantised:
        """The weight as it is computed with, from now on the only one; as it is in `dtype`, in which others compute."""
        weight, kept = self.weight, self._kept  # in this order: another thread sets them in the other
        if kept is None or kept.packed is not weight:
            numbers, step = rounded(weight.to(dtype))
            packed = nn.Parameter(self._lay_out(numbers, step), requires_grad=False)
            kept = _Quantised(packed, step, torch.zeros(len(step), dtype=torch.int32), weight.dtype)
            self._kept = kept
            self.weight = kept.packed
        return kept

    def _bias(self, dtype: torch.dtype) -> Tensor | None:
        bias = self._parameters["bias"]
        return None if bias is None else bias.to(dtype)

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        destination[prefix + "weight"] = self.whole()


class QuantisedLinear(_Layer, nn.Linear):
    """A linear layer in 8 bits."""

    def _operations(self, x: Tensor) -> int:
        return 2 * (x.shape[-2] if x.dim() > 2 else 1) * self.in_features * self.out_features

    def _lay_out(self, numbers: Tensor, step: Tensor) -> Tensor:
        packed: Tensor = torch.ops.onednn.qlinear_prepack(numbers, None)
        return packed

    def _product(self, numbers: Tensor, step: float, zero: int, weight: _Quantised, dtype: torch.dtype) -> Tensor:
        made: Tensor = torch.ops.onednn.qlinear_pointwise(
            numbers, step, zero, *weight[:3], self._bias(torch.float32), 1.0, 0, dtype, "none", [], ""
        )
        return made

    def _plainly(self, x: Tensor) -> Tensor:
        return F.linear(x, self.whole().to(x.dtype), self._bias(x.dtype))


class QuantisedConv2d(_Layer, nn.Conv2d):
    """A convolution in 8 bits."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.contiguous(memory_format=torch.channels_last))

    def _operations(self, x: Tensor) -> int:
        places = math.prod(x.shape[2:]) // math.prod(self.stride)
        return 2 * places * self.in_channels * self.out_channels * math.prod(self.kernel_size)

    @property
    def _how(self) -> tuple[list[Any], ...]:
        return [*self.stride], [*self.padding], [*self.dilation]

    def _lay_out(self, numbers: Tensor, step: Tensor) -> Tensor:
        packed: Tensor = torch.ops.onednn.qconv_prepack(numbers, step, 1.0, 0, *self._how, self.groups, None)
        return packed

    def _product(self, numbers: Tensor, step: float, zero: int, weight: _Quantised, dtype: torch.dtype) -> Tensor:
        how = *self._how, self.groups
        made: Tensor = torch.ops.onednn.qconv_pointwise(
            numbers, step, zero, *weight[:3], self._bias(torch.float32), *how, 1.0, 0, dtype, "none", [], ""
        )
        return made

    def _plainly(self, x: Tensor) -> Tensor:
        weight = self.whole().to(x.dtype, memory_format=torch.channels_last)
        return self._conv_forward(x, weight, self._bias(x.dtype))


def quantise(network: nn.Module) -> None:
    """Let the large layers of a network compute in 8 bits; it must not be in use nor share modules with others."""
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if type(child) not in (nn.Linear, nn.Conv2d, StoredLinear, StoredConv2d):
                continue
            if isinstance(child, nn.Linear) and min(child.in_features, child.out_features) >= NARROW:
                setattr(parent, name, QuantisedLinear(child))
            elif isinstance(child, nn.Conv2d) and _plain_form(child):
                setattr(parent, name, QuantisedConv2d(child))


def _plain_form(conv: nn.Conv2d) -> bool:
    wide = min(conv.in_channels, conv.out_channels) >= NARROW
    return wide and conv.groups == 1 and isinstance(conv.padding, tuple) and conv.padding_mode == "zeros"


def whole_weight(module: nn.Linear | nn.Conv2d) -> Tensor:
    """The weight of a layer in the usual form, however it computes."""
    return module.whole() if isinstance(module, _Layer) else plain(module.weight)


@cache
def fault(dtype: torch.dtype = torch.float32) -> str | None:
    """Why nothing can be computed in 8 bits here; None: it can. Tried on small numbers, in milliseconds.

    Args:
        dtype: what comes in and goes out.
    """
    if not INSTRUCTIONS & cpu_flags():
        return "this CPU has no VNNI or AMX, without which sums of 8-bit products overflow"
    try:
        with torch.inference_mode():
            return _trial(dtype)
    except Exception as error:  # a private operator may be gone, or take other arguments
        return f"torch {torch.__version__}: {' '.join(str(error).split())[:120]}"


def _trial(dtype: torch.dtype) -> str | None:
    """What is wrong with the operators."""
    generator = torch.Generator().manual_seed(0)
    conv, linear = nn.Conv2d(64, 64, 3, padding=1).to(dtype), nn.Linear(64, 4096).to(dtype)
    x = torch.randn(2, 64, 24, 16, generator=generator).to(dtype)
    rows = (x.flatten(2).transpose(1, 2) + 1).contiguous()
    largest = nn.Linear(512, 64, bias=False).to(dtype)
    nn.init.constant_(largest.weight, 127.0)
    full = torch.full((1, 384, 512), 255.0, dtype=dtype)  # sums of 8,290,560 * 2, far beyond 16 bits
    tried = {
        "conv": (QuantisedConv2d(conv)(x), conv(x)),
        "linear": (QuantisedLinear(linear)(rows), linear(rows)),
        "large sums": (QuantisedLinear(largest)(full), largest(full)),
    }
    for name, (ours, right) in tried.items():
        off = float((ours.float() - right.float()).norm() / right.float().norm())
        if not off <= TOLERANCE:
            return f"{name} in 8 bits is off by {off:.1e}, at most {TOLERANCE:g} is right"
    return None
