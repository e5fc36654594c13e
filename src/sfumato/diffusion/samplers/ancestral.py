"""One evaluation a step, and one D: what differs is the noise that is kept, and how much is fresh."""

from collections.abc import Iterator

from ..descent import Descent
from ..schedules import ContinuousSchedule, Schedule
from ..step import Level, Step, level


def ddim(descent: Descent, *, eta: float = 0.0) -> Iterator[Step]:
    """DDIM (Song et al. 2021, eq. 12 and 16): eta 0 is deterministic, eta 1 is ancestral, as DDPM."""
    x = descent.x
    for stride in descent.strides():
        x, clean = descent.stepped(x, stride, eta)
        yield stride.done(x, clean)


def euler(descent: Descent) -> Iterator[Step]:
    """Euler's method on ``dx/dsigma = (x - D) / sigma`` (Karras et al. 2022), which is DDIM."""
    return ddim(descent)


def euler_a(descent: Descent, *, eta: float = 1.0) -> Iterator[Step]:
    """Euler ancestral (k-diffusion): Euler to below the next level, and noise up to it: DDIM with an eta."""
    return ddim(descent, eta=eta)


def ddpm(descent: Descent) -> Iterator[Step]:
    """DDPM (Ho et al. 2020, algorithm 2, with the posterior's variance): DDIM with eta 1."""
    return ddim(descent, eta=1.0)


def lcm(descent: Descent) -> Iterator[Step]:
    """Multistep consistency sampling: D, then all the noise anew (Luo et al. 2023, algorithm 3).

    For networks distilled to give the end of the trajectory. A plain denoiser gives the mean of what may be
    there, and the samples come out too smooth, however many the steps.
    """
    x = descent.x
    for stride in descent.strides():
        clean = descent.clean(x, stride.now)
        x = stride.remix(x, clean, 0.0, stride.fresh(descent.noise, 0.0))
        yield stride.done(x, clean)


def tcd(descent: Descent, *, eta: float = 0.3, schedule: Schedule | None = None) -> Iterator[Step]:
    """Trajectory consistency sampling (Zheng et al. 2024, algorithm 4): to before the next time, and noise back.

    The step goes to ``1 - eta`` of the next time (the paper's gamma is eta), and noise is added up to it.
    Time is the label of ``schedule``, cut to a whole one; sigma itself, if there is no schedule of whole labels.
    For networks which were distilled for it; eta 0 is DDIM, and 1 nearly `lcm`.
    """

    def earlier(then: Level) -> Level:
        if schedule is None or isinstance(schedule, ContinuousSchedule):
            return level(descent.path, (1 - eta) * then.tensor)
        label = ((1 - eta) * schedule.label(then.tensor) + 1e-3).floor()  # 998.9999 is 999
        return level(descent.path, schedule.sigma(label).to(then.tensor))

    x = descent.x
    for stride in descent.strides():
        clean = descent.clean(x, stride.now)
        kept = 1.0
        if eta > 0 and stride.then.sigma > 0:
            kept = min(1.0, earlier(stride.then).ratio / stride.then.ratio)
        x = stride.remix(x, clean, kept, stride.fresh(descent.noise, kept))
        yield stride.done(x, clean)
