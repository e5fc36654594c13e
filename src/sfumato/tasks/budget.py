"""Painting within so many seconds: what a request leaves open is planned from what this machine has measured.

How long a painting takes is a line: its steps, each of the same cost, and what comes once and with each picture. Its
numbers, the pace, are kept in the cache folder after each painting, by all in the request that costs time. Where there
are none, the request itself is begun, its first steps are timed, and it is left again.

What is lost for time is lost in the order of docs/decisions/0033-what-fast-loses.md, and no more than is needed.
"""

import json
import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from hashlib import sha256
from typing import Any, Self

from sfumato.adapters.applied import Applied
from sfumato.diffusion.samplers import SAMPLERS, Sampler
from sfumato.errors import RequestError
from sfumato.model import Model
from sfumato.requests import Painting, Txt2Img
from sfumato.requests.fields import SECONDS, amount_of
from sfumato.results import Progress, Result
from sfumato.runtime.remembered import Remembered
from sfumato.tasks.forecast import nearest, spoken
from sfumato.tasks.session import FEW, keeps_deep
from sfumato.tasks.table import runner

LADDER = ((2 / 3, 1), (1, 2), (2 / 3, 2), (1 / 2, 2), (1 / 2, 3))
"""Shares of the model's own steps, with a deep cache, in the order of their loss. A rung is this share at least: as
many steps are taken as fit."""
SIDES = (1, 7 / 8, 3 / 4, 5 / 8, 1 / 2)
"""Shares of the model's own size that may be tried where none is given; a smaller picture is the last resort."""
KEPT = 0.95
"""The part of the budget that is planned: paintings differ by some hundredths."""
ROOM = 1.1
"""By how much more a budget is named than what was refused would need, which is measured anew then."""
TIMED = 3
"""Steps that a painting is begun with to time it: a whole one, one on what is kept, and a whole one that is warm."""
LONG = 1.0
"""Seconds below which the pace of a painting is not kept."""
NEAR = 0.05
"""How much a pace must differ to be written anew."""
FREE = (
    *("prompt", "negative", "seed", "subseed", "subseed_strength", "count", "steps", "deep_cache", "fast", "budget"),
    *("model", "guidance", "guidance_rescale", "eta", "ensd", "noise_multiplier", "schedule"),
    *("as_written", "clip_skip"),
)
"""Fields that cost no time, or whose cost is counted otherwise."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pace:
    """What a painting costs on this machine, in seconds.

    Attributes:
        whole: a step of a batch.
        shallow: a step on deep features that are kept; 0: not measured.
        once: before the first step.
        each: a picture, after its last step.
        share: steps that are run of a picture, by those that are asked for: strength, rounds, passes.
    """

    whole: float
    shallow: float
    once: float
    each: float
    share: float

    @classmethod
    def read(cls, kept: Any) -> Self | None:
        """The pace that was kept as JSON, or None."""
        try:
            found = cls(**kept)
            sound = all(math.isfinite(value) and value >= 0 for value in asdict(found).values())
        except TypeError:
            return None
        return found if sound and found.whole and found.share else None

    def seconds(self, request: Painting, steps: int, deep_cache: int) -> float:
        """What a request takes with so many steps."""
        batches = math.ceil(request.count / (request.batch or 1))
        run = max(1, round(self.share * steps))
        whole = math.ceil(run / deep_cache)
        return self.once + batches * (whole * self.whole + (run - whole) * self.shallow) + request.count * self.each

    def scaled(self, times: float) -> "Pace":
        """The pace of pictures of so many times the pixels."""
        return Pace(self.whole * times, self.shallow * times, self.once, self.each * times, self.share)

    def near(self, other: "Pace") -> bool:
        """Whether both say the same."""
        return all(
            math.isclose(one, two, rel_tol=NEAR, abs_tol=NEAR * self.whole)
            for one, two in zip(asdict(self).values(), asdict(other).values(), strict=True)
        )


@cache
def paces() -> Remembered:
    """Those of this machine."""
    return Remembered.of_machine("paces")


def within(applied: Applied, request: Painting, since: float) -> Painting:
    """The request without its budget: what it leaves open is filled in so that the budget is kept.

    Args:
        since: what `time.perf_counter` said when the budget began.

    Raises:
        RequestError: no plan keeps it; the message says what the nearest that can is.
    """
    assert request.budget is not None
    end = since + KEPT * amount_of(request.budget, SECONDS)
    free = request.changed(budget=None)
    model = applied.model
    sampler = _sampler(model, request)
    if sampler.adaptive:
        raise RequestError(
            f"budget is {request.budget}, and {sampler.name} takes as many steps as it needs; take another sampler"
        )
    if getattr(free, "hires_steps", None) is not None:
        raise RequestError("budget plans the steps of both passes together; leave hires_steps or budget out")
    least: tuple[float, Painting] | None = None
    for sized, times in _sizes(model, free):
        pace = _pace(applied, sized, times, end)
        for fewest, most, deep in _rungs(model, sized):
            now = time.perf_counter()
            steps = _fitting(pace, sized, (fewest, most), deep, end - now)
            planned = sized.changed(steps=steps or fewest, deep_cache=deep)
            takes = now - since + pace.seconds(planned, steps or fewest, deep)
            if steps is not None:
                log.warning("budget %s: %s, about %s", request.budget, _told(model, planned), spoken(takes))
                return planned
            if least is None or takes < least[0]:
                least = takes, planned
    assert least is not None
    takes, planned = least
    raise RequestError(
        f"budget {request.budget} cannot be kept: the least is {_told(model, planned)}, which takes {spoken(takes)} "
        f"here; give --budget {math.ceil(ROOM * takes / KEPT)}s{_or_fewer(request)}"
    )


def _sampler(model: Model, request: Painting) -> Sampler:
    name = request.sampler or model.sampling.sampler
    return next(row for row in SAMPLERS if row.name == name)


def _saves_deep(model: Model, request: Painting) -> bool:
    """Whether a deep cache is planned: with one call a step, whole steps and others can be told apart."""
    few = model.family.steps <= FEW
    return keeps_deep(model, request) and not few and _sampler(model, request).evaluations == 1


def _or_fewer(request: Painting) -> str:
    """What else would help."""
    ways = (["fewer --steps"] if request.steps is not None else []) + (["fewer pictures"] if request.count > 1 else [])
    return f", or {' or '.join(ways)}" if ways else ""


def _told(model: Model, request: Painting) -> str:
    steps = model.family.steps
    told = f"{request.steps} steps" if request.steps == steps else f"{request.steps} of {steps} steps"
    told += f" with deep cache {request.deep_cache}" if request.deep_cache > 1 else ""
    if request.task == "txt2img" and request.width and request.height and (request.width, request.height) != model.size:
        told += f" at {request.width}x{request.height}"
    return told


def _sizes(model: Model, request: Painting) -> Iterator[tuple[Painting, float]]:
    """The request at each size that it leaves open, and the share of the pixels of the first."""
    held = request.width is not None or request.height is not None
    if not isinstance(request, Txt2Img) or held or request.regions:  # which are places in pixels
        yield request, 1.0
        return
    for side in SIDES:
        size = tuple(max(1, round(side * own / model.grain)) * model.grain for own in model.size)
        if nearest(model.family, model.size, (size[0], size[1]), model.grain) == size:
            chosen = {} if side == 1 else {"width": size[0], "height": size[1]}
            yield request.changed(**chosen), math.prod(size) / math.prod(model.size)


def _rungs(model: Model, request: Painting) -> Iterator[tuple[int, int, int]]:
    """For each rung of the ladder that a request leaves open: the fewest and the most steps, and the deep cache."""
    own = model.family.steps
    able = request.deep_cache == 1 and _saves_deep(model, request)
    caches = {1, 2, 3} if able else {request.deep_cache}
    if request.steps is not None:
        yield from ((request.steps, request.steps, deep) for deep in sorted(caches))
        return
    rungs = LADDER if able else [(share, request.deep_cache) for share in (2 / 3, 1 / 2)]
    yield from ((math.ceil(share * own), own, deep) for share, deep in rungs)


def _fitting(pace: Pace, request: Painting, steps: tuple[int, int], deep: int, seconds: float) -> int | None:
    """The most steps that fit, or None."""
    fewest, most = steps
    return next((n for n in range(most, fewest - 1, -1) if pace.seconds(request, n, deep) <= seconds), None)


# ------------------------------------------------------------------------------------------------------------- pace


def _pace(applied: Applied, request: Painting, times: float, end: float) -> Pace:
    """The pace of a request: remembered, or measured now where there is time for that until `end`."""
    deep = request.deep_cache > 1 or _saves_deep(applied.model, request)
    known = Pace.read(paces().get(key(applied.model, request)))
    if known is not None and (known.shallow or not deep):
        return known
    if times < 1:
        whole = Pace.read(paces().get(key(applied.model, request.changed(width=None, height=None))))
        if whole is not None and whole.scaled(times).seconds(request, TIMED + 1, 1) > (end - time.perf_counter()) / 4:
            return whole.scaled(times)
    asked = request.changed(deep_cache=max(2, request.deep_cache) if deep else 1)
    asked = asked.changed(count=min(asked.count, asked.batch or 1))
    timed = Timed(runner(request.task)(applied, asked), applied.model, asked)
    for event in timed:
        if isinstance(event, Progress) and event.index + 1 == min(TIMED, event.total):
            timed.preview(event.preview)
            break
        if time.perf_counter() > end:
            break
    timed.keep()
    return timed.pace()


class Timed:
    """The events of a painting, whose pace is kept when they are over.

    What whoever is told of them does meanwhile is not counted.
    """

    def __init__(self, events: Iterator[Progress | Result], model: Model, request: Painting) -> None:
        self.events, self.model, self.request = events, model, request
        self.begun = 0.0
        """Seconds until the first step was done."""
        self.steps: dict[bool, list[float]] = {True: [], False: []}
        """Seconds of the other steps, by whether they ran whole."""
        self.pictures: list[float] = []
        self.total = 0
        self._since = time.perf_counter()

    def __iter__(self) -> Iterator[Progress | Result]:
        while True:
            since = time.perf_counter()
            event = next(self.events, None)
            seconds = time.perf_counter() - since
            if event is None:
                if time.perf_counter() - self._since > LONG and not self.request.fast:  # which takes other steps
                    self.keep()
                return
            if isinstance(event, Result):
                self.pictures += [seconds / max(1, len(event))] * len(event)
            elif self.total:
                self.steps[event.index % self.request.deep_cache == 0].append(seconds)
            else:
                self.begun, self.total = seconds, event.total
            yield event

    def preview(self, preview: Callable[[], Sequence[object]]) -> None:
        """Time what a picture takes after its last step."""
        since = time.perf_counter()
        made = preview()
        self.pictures.append((time.perf_counter() - since) / max(1, len(made)))

    def pace(self) -> Pace:
        """What was measured."""
        deep = self.request.deep_cache > 1
        known = Pace.read(paces().get(key(self.model, self.request)))
        whole = _median(self.steps[True]) or (0.0 if known is None else known.whole) or self.begun
        shallow = _median(self.steps[False]) if deep else 0.0 if known is None else known.shallow
        steps = self.request.steps or self.model.family.steps
        return Pace(whole, shallow, max(0.0, self.begun - whole), _median(self.pictures), self.total / steps)

    def keep(self) -> None:
        """Remember it."""
        if not self.total:
            return
        name, pace = key(self.model, self.request), self.pace()
        known = Pace.read(paces().get(name))
        if known is None or not pace.near(known):
            paces().keep(name, asdict(pace))


def _median(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2] if values else 0.0


def key(model: Model, request: Painting) -> str:
    """Under which a pace is kept: all that costs time."""
    costs = {name: value for name, value in json.loads(request.to_json()).items() if name not in FREE}
    guided = request.guidance is None or request.guidance != 1
    facts = [costs, guided, request.prompt.count(" AND "), model.hash, model.vae_hash, str(model.dtype), model.engine]
    return f"{model.name} {request.task} {sha256(json.dumps([*facts, str(model.device)]).encode()).hexdigest()[:16]}"
