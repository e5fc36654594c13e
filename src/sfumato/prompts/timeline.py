"""For a number of steps, the distinct readings of each part of a prompt and the step at which each begins."""

from dataclasses import dataclass

from sfumato.prompts import emphasis
from sfumato.prompts.grammar import Part, Prompt
from sfumato.prompts.reading import Reading


@dataclass(frozen=True)
class Track:
    """One part of the prompt over time: step i of the sampler is told ``readings[order[i]]``."""

    readings: tuple[Reading, ...]
    """All distinct, each to be encoded once."""
    order: tuple[int, ...]
    weight: float = 1.0
    """Weight of the part among those joined by AND."""


def timeline(prompt: Prompt, steps: int, *, late: bool = False) -> tuple[Track, ...]:
    """A track for each part of the prompt.

    Args:
        steps: of the sampler.
        late: have every change come one step after it is documented to. A1111's sampler does: it counts from 0 what its
            schedules count from 1. For pictures that are to be equal to its own.

    Raises:
        RequestError: a weight is out of range.
    """
    assert steps >= 1, "the request checks its steps"
    tracks = (_track(part, steps) for part in prompt.parts)
    return tuple(map(_delayed, tracks) if late else tracks)


def _track(part: Part, count: int) -> Track:
    if isinstance(part.source, Reading):
        return Track((part.source,), (0,) * count, part.weight)
    readings: dict[Reading, int] = {}
    known: dict[str, int] = {}
    order: list[int] = []
    for end in part.source.changes(count):
        text = part.source.text(end, count)
        if text not in known:
            known[text] = readings.setdefault(emphasis.a1111(text), len(readings))
        order += [known[text]] * (end - len(order))
    return Track(tuple(readings), tuple(order), part.weight)


def _delayed(track: Track) -> Track:
    """One step later; a reading that only the last step had is said no more."""
    order = (track.order[0], *track.order[:-1])
    return Track(track.readings[: max(order) + 1], order, track.weight)
