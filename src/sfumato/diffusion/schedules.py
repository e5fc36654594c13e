"""Schedules: the noise levels that a network was trained on, and the label by which it knows each of them.

Nothing here knows a network or a sampler; which of the levels a sampler visits is said by `grids`.
"""

import math
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

import torch
from jaxtyping import Float
from torch import Tensor

BetaKind = Literal["scaled_linear", "linear", "squaredcos_cap_v2"]


class Schedule(Protocol):
    """What denoisers and grids need of a schedule."""

    @property
    def num_timesteps(self) -> int:
        """The number T of levels in training."""

    @property
    def sigma_min(self) -> float:
        """The lowest level of the table, above 0."""

    @property
    def sigma_max(self) -> float:
        """The highest level."""

    def label(self, sigma: Tensor) -> Tensor:
        """The network's label of sigma; any shape."""

    def sigma(self, t: Tensor) -> Tensor:
        """The level of a label; any shape."""

    def level(self, index: Tensor) -> Tensor:
        """The sigma at a place of the table, from 0, the cleanest, to T - 1; maybe fractional; any shape."""


@dataclass(frozen=True, eq=False)
class DiscreteSchedule:
    """A table of T levels, ascending and above 0, labelled 0 to T - 1: epsilon and v models.

    Levels are variance exploding, ``sigma = sqrt((1 - abar) / abar)`` of the cumulative product abar of Ho
    et al. 2020 (arXiv:2006.11239). Between two entries sigma is linear in t, as in diffusers, or log sigma
    is, as in k-diffusion.
    """

    sigmas: Float[Tensor, " t"] = field(repr=False)
    log_interpolation: bool = False
    zero_terminal_snr: bool = False
    """The last level stands for pure noise."""

    def __post_init__(self) -> None:
        if self.sigmas.ndim != 1 or len(self.sigmas) < 2:
            raise ValueError(f"a schedule is a list of at least 2 levels, not of shape {tuple(self.sigmas.shape)}")
        if not bool((self.sigmas.diff() > 0).all()) or float(self.sigmas[0]) <= 0:
            raise ValueError("the levels of a schedule must ascend strictly and be above 0; flip or clip the table")

    @classmethod
    def from_betas(
        cls,
        kind: BetaKind = "scaled_linear",
        beta_start: float = 0.00085,
        beta_end: float = 0.012,
        num_timesteps: int = 1000,
        *,
        zero_terminal_snr: bool = False,
        log_interpolation: bool = False,
    ) -> "DiscreteSchedule":
        """The table of a beta schedule. The defaults are those of Stable Diffusion 1, 2 and XL.

        Args:
            kind: ``linear`` (Ho et al. 2020); ``scaled_linear``, linear in the root of beta (Rombach et al.
                2022, arXiv:2112.10752); ``squaredcos_cap_v2``, the cosine (Nichol and Dhariwal 2021,
                arXiv:2102.09672, eq. 17), which ignores the two betas.
            beta_start: the variance added by the first of the ``num_timesteps``.
            beta_end: that added by the last.
            zero_terminal_snr: rescale to end in pure noise (Lin et al. 2024, arXiv:2305.08891, algorithm 1).
                The last abar is kept at 2^-24, as diffusers does, so that the last sigma is 4096 and not
                infinite; or at half of the last but one, where other betas have that lower already.
            log_interpolation: see the class.
        """
        betas = _betas(kind, beta_start, beta_end, num_timesteps)
        return cls.of_betas(betas, zero_terminal_snr=zero_terminal_snr, log_interpolation=log_interpolation)

    @classmethod
    def of_betas(
        cls, betas: Float[Tensor, " t"], *, zero_terminal_snr: bool = False, log_interpolation: bool = False
    ) -> "DiscreteSchedule":
        """The table of these betas, the first that of the cleanest level; see `from_betas`."""
        if betas.ndim != 1 or not bool(((betas > 0) & (betas < 1)).all()):
            raise ValueError("betas are a list of numbers between 0 and 1")
        signal = (1 - betas.double()).cumprod(0)  # abar
        if zero_terminal_snr:
            root = signal.sqrt()
            signal = ((root - root[-1]) * root[0] / (root[0] - root[-1])) ** 2
            signal[-1] = _below(2.0**-24, float(signal[-2]))
        return cls(((1 - signal) / signal).sqrt().float(), log_interpolation, zero_terminal_snr)

    def ending_at(self, signal: float) -> "DiscreteSchedule":
        """With this abar in place of pure noise, where the table ends so; or half of the last but one."""
        if not self.zero_terminal_snr:
            return self
        signal = _below(signal, 1 / (1 + float(self.sigmas[-2]) ** 2))
        last = self.sigmas.new_tensor([((1 - signal) / signal) ** 0.5])
        return replace(self, sigmas=torch.cat([self.sigmas[:-1], last]))

    @property
    def num_timesteps(self) -> int:
        return len(self.sigmas)

    @property
    def sigma_min(self) -> float:
        return float(self.sigmas[0])

    @property
    def sigma_max(self) -> float:
        return float(self.sigmas[-1])

    def sigma(self, t: Tensor) -> Tensor:
        """The level of a label, which may be fractional and is clamped to [0, T - 1]; any shape."""
        table = self._scale(self.sigmas.to(t.device))
        t = t.to(table.dtype).clamp(0, len(table) - 1)
        low = t.floor().long().clamp(max=len(table) - 2)
        value = table[low].lerp(table[low + 1], t - low)
        return value.exp() if self.log_interpolation else value

    def label(self, sigma: Tensor) -> Tensor:
        """The label of a level, which is clamped to the table; the inverse of `sigma`; any shape."""
        table = self.sigmas.to(sigma.device)
        sigma = sigma.to(table.dtype).clamp(table[0], table[-1])
        low = (torch.searchsorted(table, sigma, right=True) - 1).clamp(0, len(table) - 2)
        left, right, value = (self._scale(v) for v in (table[low], table[low + 1], sigma))
        return low + (value - left) / (right - left)

    def level(self, index: Tensor) -> Tensor:
        """A place in the table is a label here."""
        return self.sigma(index)

    def _scale(self, sigma: Tensor) -> Tensor:
        """Sigma on the scale on which it is interpolated."""
        return sigma.log() if self.log_interpolation else sigma


@dataclass(frozen=True, eq=False)
class LogLabelled(DiscreteSchedule):
    """The same levels, labelled ``log(sigma) / 4`` as EDM's: k-diffusion's networks of latents."""

    def label(self, sigma: Tensor) -> Tensor:
        """Not that of the table; any shape."""
        return sigma.log() / 4


def _below(signal: float, last: float) -> float:
    """An abar below the last one, or half of that."""
    return signal if signal < last else last / 2


def _betas(kind: BetaKind, start: float, end: float, count: int) -> Tensor:
    match kind:
        case "linear":
            return torch.linspace(start, end, count, dtype=torch.float64)
        case "scaled_linear":
            return torch.linspace(start**0.5, end**0.5, count, dtype=torch.float64) ** 2
        case "squaredcos_cap_v2":
            time = torch.linspace(0, 1, count + 1, dtype=torch.float64)
            signal = ((time + 0.008) / 1.008 * math.pi / 2).cos() ** 2
            return (1 - signal[1:] / signal[:-1]).clamp(max=0.999)
    raise ValueError(f"unknown beta schedule {kind!r}; use 'scaled_linear', 'linear' or 'squaredcos_cap_v2'")


@dataclass(frozen=True)
class FlowSchedule:
    """Levels of the straight path, sigma in (0, 1], labelled ``1000 * sigma``: flow models.

    ``shift`` moves levels towards noise, as larger pictures need (Esser et al. 2024, arXiv:2403.03206,
    eq. 23); 1 leaves them. It shapes the table and the grids, not the label.
    """

    shift: float = 1.0
    num_timesteps: int = 1000

    def __post_init__(self) -> None:
        if not self.shift > 0:
            raise ValueError(f"shift {self.shift} must be above 0; 1 is no shift, SD3 uses 3")

    @property
    def sigma_min(self) -> float:
        return float(self.shifted(torch.tensor(1 / self.num_timesteps, dtype=torch.float64)))

    @property
    def sigma_max(self) -> float:
        return 1.0

    def shifted(self, sigma: Tensor) -> Tensor:
        """``shift * s / (1 + (shift - 1) * s)``: keeps 0 and 1. Any shape."""
        return self.shift * sigma / (1 + (self.shift - 1) * sigma)

    def sigma(self, t: Tensor) -> Tensor:
        """The level of a label. Any shape."""
        return t / self.num_timesteps

    def label(self, sigma: Tensor) -> Tensor:
        """The label of a level: the inverse of `sigma`. Any shape."""
        return sigma * self.num_timesteps

    def level(self, index: Tensor) -> Tensor:
        """The table is the shift of 1/T, 2/T, ... 1."""
        return self.shifted((index + 1) / self.num_timesteps)


@dataclass(frozen=True)
class ContinuousSchedule:
    """All levels between two ends, labelled ``log(sigma) / 4``: EDM models (Karras et al. 2022, arXiv:2206.00364).

    There is no table; `level` is even in log sigma, in ``num_timesteps`` places, as in ComfyUI.
    """

    sigma_min: float = 0.002
    sigma_max: float = 80.0
    num_timesteps: int = 1000

    def __post_init__(self) -> None:
        if not 0 < self.sigma_min < self.sigma_max:
            raise ValueError(f"the levels of a schedule go up from above 0, not from {self.sigma_min} {self.sigma_max}")

    def sigma(self, t: Tensor) -> Tensor:
        """The level of a label. Any shape."""
        return (4 * t).exp()

    def label(self, sigma: Tensor) -> Tensor:
        """The label of a level: the inverse of `sigma`. Any shape."""
        return sigma.log() / 4

    def level(self, index: Tensor) -> Tensor:
        """Even in log sigma."""
        share = index / (self.num_timesteps - 1)
        return (math.log(self.sigma_min) + share * math.log(self.sigma_max / self.sigma_min)).exp()
