"""How long requests take here, as was measured: seconds a step of a picture, by model, sampler and size."""

import time

from sqlalchemy import Connection, insert, select, update

from sfumato.requests import Painting, Request
from sfumato.service import database

_speeds = database.speeds


def measured(connection: Connection, request: Request, seconds: float, steps: int) -> None:
    """Remember how long an executed request took, loading aside.

    Args:
        steps: that each picture had.
    """
    if not isinstance(request, Painting) or request.width is None or request.height is None or steps < 1:
        return
    place = {"model": request.model, "sampler": request.sampler or "", "pixels": request.width * request.height}
    each = seconds / (steps * request.count)
    here = [_speeds.c[name] == value for name, value in place.items()]
    before = connection.execute(select(_speeds.c.seconds).where(*here)).scalar()
    values = {
        "steps": request.steps or steps,
        "seconds": each if before is None else (before + each) / 2,
        "measured": time.time(),
    }
    if before is None:
        connection.execute(insert(_speeds).values({**place, **values}))
    else:
        connection.execute(update(_speeds).where(*here).values(values))


def estimate(connection: Connection, request: Request) -> float | None:
    """Seconds that a request will take by what was measured; None for a model that never ran, and for what does not
    paint."""
    if not isinstance(request, Painting):
        return None
    rows = connection.execute(
        select(_speeds).where(_speeds.c.model == request.model).order_by(_speeds.c.measured.desc())
    ).all()
    if not rows:
        return None
    pixels = request.width * request.height if request.width and request.height else rows[0].pixels
    nearest = min(rows, key=lambda row: (row.sampler != request.sampler, abs(row.pixels - pixels)))
    steps = (request.steps or nearest.steps) * getattr(request, "strength", 1.0)
    return float(nearest.seconds * pixels / nearest.pixels * max(1.0, steps) * request.count)
