"""Noise levels: the table a network was trained on, and the descending grids on which it is sampled.

A schedule answers two questions: which label the network wants at a noise level, and which levels there
are. A grid picks ``steps`` of them and closes with the final level. Nothing here knows a network or a
sampler.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal, Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from .spacing import Spacing as Spacing
from .spacing import at_most, beta_between, beta_quantiles, even, exponential_between, karras_between

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


# --------------------------------------------------------------------------------------------- schedules


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


# ------------------------------------------------------------------------------------------------- grids


NATIVE = Spacing()
"""k-diffusion's: even from the noisiest place to the cleanest, not rounded."""


def spaced(
    schedule: Schedule, steps: int, *, final: float = 0.0, spacing: Spacing = NATIVE
) -> Float[Tensor, " steps+1"]:
    """Levels at places of the table. The default is k-diffusion's ``get_sigmas``."""
    return closed(schedule.level(spacing.places(steps, schedule.num_timesteps)), final)


def karras(
    schedule: Schedule, steps: int, *, final: float = 0.0, spacing: Spacing | None = None, rho: float = 7.0
) -> Float[Tensor, " steps+1"]:
    """Even in ``sigma^(1/rho)`` (Karras et al. 2022, arXiv:2206.00364, eq. 5), between the ends of the table.

    With a spacing, between the first and last level of that: diffusers' Euler and Heun do so, DPM-Solver and
    UniPC do not.
    """
    high, low = _ends(schedule, steps, spacing)
    return closed(karras_between(high, low, steps, rho), final)


def exponential(
    schedule: Schedule, steps: int, *, final: float = 0.0, spacing: Spacing | None = None
) -> Float[Tensor, " steps+1"]:
    """Even in log sigma, between the ends of the table, or of a spacing as for `karras`."""
    return polyexponential(schedule, steps, final=final, spacing=spacing)


def polyexponential(
    schedule: Schedule, steps: int, *, final: float = 0.0, spacing: Spacing | None = None, rho: float = 1.0
) -> Float[Tensor, " steps+1"]:
    """A power of an even ramp, in log sigma (k-diffusion's ``get_sigmas_polyexponential``).

    A rho of 1, which is the default there as well, is `exponential`; above, more levels are low.
    """
    high, low = _ends(schedule, steps, spacing)
    return closed(exponential_between(high, low, steps, rho), final)


def beta(
    schedule: Schedule, steps: int, *, final: float = 0.0, alpha: float = 0.6, beta: float = 0.6
) -> Float[Tensor, " steps+1"]:
    """Places of the table at even quantiles of a beta distribution (Lee et al. 2024, arXiv:2407.12173).

    Below 1 its two parameters put more levels at both ends. As ComfyUI's ``beta_scheduler``, whose places are
    rounded.
    """
    at_most(schedule.num_timesteps, steps)
    shares = 1 - torch.arange(steps, dtype=torch.float64) / steps
    return closed(schedule.level(beta_quantiles(shares, alpha, beta) * (schedule.num_timesteps - 1)), final)


def beta_in_sigma(
    schedule: Schedule, steps: int, *, final: float = 0.0, alpha: float = 0.6, beta: float = 0.6
) -> Float[Tensor, " steps+1"]:
    """Quantiles of a beta distribution between the ends of the table, in sigma: AUTOMATIC1111's and diffusers'."""
    return closed(beta_between(schedule.sigma_max, schedule.sigma_min, steps, alpha, beta), final)


def kl_optimal(schedule: Schedule, steps: int, *, final: float = 0.0) -> Float[Tensor, " steps+1"]:
    """Even in the arc tangent of sigma, between the ends of the table (Sabour et al. 2024, arXiv:2404.14507)."""
    return closed(even(math.atan(schedule.sigma_max), math.atan(schedule.sigma_min), steps).tan(), final)


ALIGNED: dict[str, tuple[float, ...]] = {
    "sd1": (14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029),
    "sdxl": (14.615, 6.315, 3.771, 2.181, 1.342, 0.862, 0.555, 0.380, 0.234, 0.113, 0.029),
    "svd": (700.0, 54.5, 15.886, 7.977, 4.248, 1.789, 0.981, 0.403, 0.173, 0.034, 0.002),
}
"""The levels that Sabour et al. 2024 found for Stable Diffusion 1.5, XL and Stable Video Diffusion."""


def align_your_steps(
    schedule: Schedule, steps: int, *, final: float = 0.0, model: str = "sd1"
) -> Float[Tensor, " steps+1"]:
    """Levels optimised for a model, interpolated in log sigma (Sabour et al. 2024, arXiv:2404.14507).

    Args:
        model: of `ALIGNED`. A schedule that goes up to the levels of ``svd`` takes those.

    Raises:
        ValueError: the schedule is a `FlowSchedule`.
    """
    if isinstance(schedule, FlowSchedule):
        raise ValueError("the aligned grid is for Stable Diffusion's levels, not for flow schedules; use 'trailing'")
    aligned = ALIGNED["svd" if isinstance(schedule, ContinuousSchedule) and schedule.sigma_max >= 700 else model]
    places = even(0.0, len(aligned) - 1.0, steps)
    table = torch.tensor(aligned, dtype=torch.float64).log()
    low = places.floor().long().clamp(max=len(aligned) - 2)
    return closed(table[low].lerp(table[low + 1], places - low).exp(), final)


def ddim_uniform(schedule: Schedule, steps: int, *, final: float = 0.0) -> Float[Tensor, " n"]:
    """Every (T // steps)-th place of the table from 1 on, as the first DDIM had them.

    Where ``steps`` does not divide T the way has a step more, or some: AUTOMATIC1111 and ComfyUI take them all.
    `Spacing` with ``leading`` and an offset of 1 leaves out the noisiest.
    """
    total = schedule.num_timesteps
    at_most(total, steps)
    places = torch.arange(1, total, total // steps, dtype=torch.float64) if steps > 1 else torch.tensor([total - 1.0])
    return closed(schedule.level(places.flip(0)), final)


def simple(schedule: Schedule, steps: int, *, final: float = 0.0) -> Float[Tensor, " steps+1"]:
    """Every (T / steps)-th level of the table, from the noisy end (ComfyUI's ``simple_scheduler``)."""
    total = schedule.num_timesteps
    at_most(total, steps)
    skipped = torch.arange(steps, dtype=torch.float64) * (total / steps)
    return closed(schedule.level(total - 1 - skipped.floor()), final)


def lcm(schedule: Schedule, steps: int, *, final: float = 0.0, trained: int = 50) -> Float[Tensor, " steps+1"]:
    """Levels at which a latent consistency model was distilled (Luo et al. 2023, arXiv:2310.04378).

    There are ``trained`` of them, every (T // trained)-th place of the table. Every (trained / steps)-th is taken,
    from the noisy end, as by diffusers' LCMScheduler.
    """
    at_most(schedule.num_timesteps, trained)
    at_most(trained, steps)
    places = torch.arange(trained, 0, -1, dtype=torch.float64) * (schedule.num_timesteps // trained) - 1
    return closed(schedule.level(places[torch.arange(steps) * trained // steps]), final)


def shifted(schedule: Schedule, steps: int, *, final: float = 0.0) -> Float[Tensor, " steps+1"]:
    """Even between the ends of a flow table, then through its shift: diffusers' FlowMatchEuler.

    The ends of the table are shifted already, so that its low end is shifted twice; SD3 pipelines do run so.

    Raises:
        ValueError: the schedule is not a `FlowSchedule`.
    """
    if not isinstance(schedule, FlowSchedule):
        raise ValueError(f"the shifted grid is for flow schedules, not {type(schedule).__name__}; use 'trailing'")
    return closed(schedule.shifted(even(schedule.sigma_max, schedule.sigma_min, steps)), final)


def _ends(schedule: Schedule, steps: int, spacing: Spacing | None) -> tuple[float, float]:
    if spacing is None:
        return schedule.sigma_max, schedule.sigma_min
    levels = schedule.level(spacing.places(steps, schedule.num_timesteps))
    return float(levels[0]), float(levels[-1])


def closed(levels: Tensor, final: float) -> Tensor:
    """Append the final level, and refuse what does not descend: a step of no length would divide by 0."""
    sigmas = torch.cat([levels.float(), torch.tensor([final], dtype=torch.float32)])
    if not bool((sigmas.diff() < 0).all()):
        raise ValueError(
            f"a grid must descend strictly, and {len(levels)} levels from {float(levels[0]):.4g} to "
            f"{float(levels[-1]):.4g} and then {final:.4g} do not; take fewer steps or a lower final level"
        )
    return sigmas


GridFunction = Callable[..., Tensor]
"""``(schedule, steps, *, final=0.0) -> (steps + 1,)`` float32, strictly descending, ``final`` the last."""


@dataclass(frozen=True)
class Grid:
    """A grid which people can choose: ``name`` for requests, ``label`` for menus. Call it as its function."""

    name: str
    label: str
    function: GridFunction
    flow_only: bool = False
    discrete_only: bool = False

    def __call__(self, schedule: Schedule, steps: int, *, final: float = 0.0) -> Float[Tensor, " steps+1"]:
        """Descending levels: ``steps`` of the schedule's and then ``final``; see `GridFunction`.

        `ddim_uniform` alone may have more.
        """
        return self.function(schedule, steps, final=final)


GRIDS: dict[str, Grid] = {
    grid.name: grid
    for grid in (
        Grid("normal", "Normal", spaced),
        Grid("linspace", "Linspace", partial(spaced, spacing=Spacing("linspace", interior=True, rounded=True))),
        Grid("leading", "Leading", partial(spaced, spacing=Spacing("leading", offset=1))),
        Grid("trailing", "Trailing", partial(spaced, spacing=Spacing("trailing"))),
        Grid("karras", "Karras", karras),
        Grid("exponential", "Exponential", exponential),
        Grid("polyexponential", "Polyexponential", polyexponential),
        Grid("sgm_uniform", "SGM Uniform", partial(spaced, spacing=Spacing("linspace", interior=True))),
        Grid("simple", "Simple", simple),
        Grid("ddim", "DDIM", ddim_uniform),
        Grid("beta", "Beta", beta),
        Grid("kl_optimal", "KL Optimal", kl_optimal),
        Grid("align_your_steps", "Align Your Steps", align_your_steps, discrete_only=True),
        Grid("lcm", "LCM", lcm),
        Grid("shifted", "Shifted", shifted, flow_only=True),
    )
}
