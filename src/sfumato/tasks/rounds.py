"""A picture that was painted in several rounds, as one result."""

from collections.abc import Sequence

from PIL import Image

from sfumato.metadata.trace import Trace
from sfumato.pictures import Painted
from sfumato.requests import Painting
from sfumato.results import Result


def as_one(rounds: Sequence[Result], request: Painting, index: int, picture: Image.Image, *seam: float) -> Result:
    """The result of a request's picture `index`.

    Args:
        rounds: the result of each, with a single picture.
        picture: what came of them.
        seam: how visible the edge of what was painted is, where there is one.
    """
    single, provenance = request.single(index), rounds[0].provenance
    trace = Trace.joined([each.traces[0] for each in rounds])
    timings = {name: sum(each.timings[name] for each in rounds) for name in rounds[0].timings}
    timings["steps_per_second"] /= len(rounds)
    painted = Painted.of(picture, single, provenance, trace)
    seeds, measures = [single.settled.first_seed], {"seam": seam} if seam else {}
    return Result([painted], request, seeds, timings, provenance, [trace], measures)
