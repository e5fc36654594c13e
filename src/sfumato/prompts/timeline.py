"""For a number of steps, the distinct readings of each part of a prompt and the step at which each begins."""

from dataclasses import dataclass
from typing import Literal

from sfumato.prompts import emphasis
from sfumato.prompts.grammar import Part, Prompt
from sfumato.prompts.reading import Reading


@dataclass(frozen=True)
class Track:
    """One part of the prompt over time: evaluation i of the denoiser is told ``readings[order[i]]``."""

    readings: tuple[Reading, ...]
    """All distinct, each to be encoded once."""
    order: tuple[int, ...]
    weight: float = 1.0
    """Of the part among those joined by AND."""

    @property
    def begins(self) -> tuple[tuple[int, int], ...]:
        """(evaluation, index into `readings`) wherever the reading changes, the first at evaluation 0."""
        changes = [i for i in range(len(self.order)) if i == 0 or self.order[i] != self.order[i - 1]]
        return tuple((i, self.order[i]) for i in changes)


def timeline(
    prompt: Prompt, steps: int, *, evaluations: Literal[1, 2] = 1, first_pass: int | None = None, late: bool = False
) -> tuple[Track, ...]:
    """A track for each part of the prompt.

    Args:
        steps: of the sampler.
        evaluations: of the denoiser a step. A sampler of second order has 2, and schedules count them instead of the
            steps, as A1111's do: `[a:b:6]` then changes after its third step, `[a:b:.5]` still half way.
        first_pass: in the second pass of a picture painted twice, the steps (times `evaluations`) of the first, from
            which schedules count on: fractions of 1 to 2, and steps above these, fall into the second.
        late: have every change come one evaluation after it is documented to. A1111's sampler does: it counts from 0
            what its schedules count from 1. For pictures that are to be equal to its own.

    Raises:
        RequestError: a weight is out of range.
    """
    assert steps >= 1, "the request checks its steps"
    tracks = (_track(part, steps * evaluations, first_pass) for part in prompt.parts)
    return tuple(map(_delayed, tracks) if late else tracks)


def _track(part: Part, count: int, first_pass: int | None) -> Track:
    if isinstance(part.source, Reading):
        return Track((part.source,), (0,) * count, part.weight)
    readings: dict[Reading, int] = {}
    known: dict[str, int] = {}
    order: list[int] = []
    for end in part.source.changes(count, first_pass):
        text = part.source.text(end, count, first_pass)
        if text not in known:
            known[text] = readings.setdefault(emphasis.a1111(text), len(readings))
        order += [known[text]] * (end - len(order))
    return Track(tuple(readings), tuple(order), part.weight)


def _delayed(track: Track) -> Track:
    """One evaluation later; a reading that only the last evaluation had is said no more."""
    order = (track.order[0], *track.order[:-1])
    return Track(track.readings[: max(order) + 1], order, track.weight)
