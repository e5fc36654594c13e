"""The samplers which people can choose, as data."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from jaxtyping import Float
from torch import Tensor

from ..denoiser import Denoise
from ..descent import Descent
from ..noise import NoiseSource
from ..path import VARIANCE_EXPLODING, Path
from ..schedules import Schedule
from ..step import Step
from .ancestral import ddim, ddpm, euler, euler_a, lcm, tcd
from .dpm_solver import dpm_adaptive, dpm_fast
from .dpmpp import (
    dpmpp_2m,
    dpmpp_2m_sde,
    dpmpp_2m_sde_heun,
    dpmpp_2s,
    dpmpp_2s_a,
    dpmpp_3m_sde,
    dpmpp_sde,
    res_multistep,
    res_multistep_a,
    sa_solver,
    unipc,
)
from .er_sde import er_sde
from .multistep import deis, deis_2m, gradient_estimation, ipndm, lms, plms
from .runge_kutta import dpm_2, dpm_2_a, heun, restart

SamplerFunction = Callable[..., Iterator[Step]]
"""Takes a `Descent`, and by keyword what its row says."""


@dataclass(frozen=True)
class Sampler:
    """A sampler which people can choose.

    Args:
        name: for requests and files.
        label: for menus.
        function: see `SamplerFunction`.
        order: at which it converges to the trajectory, with eta 0 where it has an eta; 0 where none is known.
        evaluations: calls of the denoiser a step; the function's docstring has the exceptions.
        stochastic: whether it adds noise by default.
        eta: the default share of fresh noise; None where there is no such choice.
        own_levels: it takes of ``sigmas`` the ends and the count, and steps as it likes.
        adaptive: its steps depend on x, so that an image must be run alone to be the same as in a batch.
        distilled: it is for networks distilled to give the end of the trajectory, and with others the variance
            of its samples does not converge.
        timed: it takes the labels of a ``schedule``.
    """

    name: str
    label: str
    function: SamplerFunction
    order: int
    evaluations: int = 1
    stochastic: bool = False
    eta: float | None = None
    own_levels: bool = False
    adaptive: bool = False
    distilled: bool = False
    timed: bool = False

    def bound(self, **options: Any) -> "Sampler":
        """The same sampler with keywords of its function set, as a model's own scheduler may have it."""
        return replace(self, function=partial(self.function, **options)) if options else self

    def __call__(
        self,
        denoise: Denoise,
        x: Float[Tensor, "b *rest"],
        sigmas: Float[Tensor, " steps+1"],
        *,
        noise: NoiseSource | None = None,
        path: Path = VARIANCE_EXPLODING,
        eta: float | None = None,
        schedule: Schedule | None = None,
    ) -> Iterator[Step]:
        """Run it; see `Descent`. ``eta`` None takes the row's; ValueError is raised for an eta where there is none."""
        if self.eta is None and eta is not None:
            raise ValueError(f"eta {eta}: {self.label} has none; leave it out, or take a sampler with eta")
        options: dict[str, Any] = {}
        if self.eta is not None:
            options["eta"] = self.eta if eta is None else eta
        if self.timed:
            options["schedule"] = schedule
        return self.function(Descent(denoise, x, sigmas, noise, path), **options)


SAMPLERS: tuple[Sampler, ...] = (
    Sampler("euler", "Euler", euler, order=1),
    Sampler("euler_a", "Euler a", euler_a, order=1, stochastic=True, eta=1.0),
    Sampler("heun", "Heun", heun, order=2, evaluations=2),
    Sampler("dpm_2", "DPM2", dpm_2, order=2, evaluations=2),
    Sampler("dpm_2_a", "DPM2 a", dpm_2_a, order=2, evaluations=2, stochastic=True, eta=1.0),
    Sampler("lms", "LMS", lms, order=2),
    Sampler("dpmpp_2s_a", "DPM++ 2S a", dpmpp_2s_a, order=2, evaluations=2, stochastic=True, eta=1.0),
    Sampler("dpmpp_2s", "DPM++ 2S", dpmpp_2s, order=2),
    Sampler("dpmpp_2m", "DPM++ 2M", dpmpp_2m, order=2),
    Sampler("dpmpp_sde", "DPM++ SDE", dpmpp_sde, order=2, evaluations=2, stochastic=True, eta=1.0),
    Sampler("dpmpp_2m_sde", "DPM++ 2M SDE", dpmpp_2m_sde, order=2, stochastic=True, eta=1.0),
    Sampler("dpmpp_2m_sde_heun", "DPM++ 2M SDE Heun", dpmpp_2m_sde_heun, order=2, stochastic=True, eta=1.0),
    Sampler("dpmpp_3m_sde", "DPM++ 3M SDE", dpmpp_3m_sde, order=2, stochastic=True, eta=1.0),
    Sampler("dpm_fast", "DPM fast", dpm_fast, order=2, eta=0.0, own_levels=True),
    Sampler(
        "dpm_adaptive", "DPM adaptive", dpm_adaptive, order=0, evaluations=3, eta=0.0, own_levels=True, adaptive=True
    ),
    Sampler("restart", "Restart", restart, order=0, evaluations=2, stochastic=True, own_levels=True),
    Sampler("ddpm", "DDPM", ddpm, order=0, stochastic=True),
    Sampler("ddim", "DDIM", ddim, order=1, eta=0.0),
    Sampler("plms", "PLMS", plms, order=2),
    Sampler("ipndm", "IPNDM", ipndm, order=2),
    Sampler("gradient_estimation", "Gradient estimation", gradient_estimation, order=1),
    Sampler("unipc", "UniPC", unipc, order=3),
    Sampler("deis", "DEIS", deis, order=2),
    Sampler("deis_2m", "DEIS 2M", deis_2m, order=2),
    Sampler("res_multistep", "RES multistep", res_multistep, order=2),
    Sampler("res_multistep_a", "RES multistep a", res_multistep_a, order=2, stochastic=True, eta=1.0),
    Sampler("er_sde", "ER-SDE", er_sde, order=2, stochastic=True, eta=1.0),
    Sampler("sa_solver", "SA-Solver", sa_solver, order=2, stochastic=True, eta=1.0, timed=True),
    Sampler("lcm", "LCM", lcm, order=0, stochastic=True, distilled=True),
    Sampler("tcd", "TCD", tcd, order=1, stochastic=True, eta=0.3, distilled=True, timed=True),
)
