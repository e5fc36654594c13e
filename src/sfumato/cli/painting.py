"""``sfumato txt2img``: from options to files."""

import contextlib
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, get_args

from sfumato.choices import Format, Precision
from sfumato.cli import interrupts
from sfumato.cli.terminal import console, narrating, note, picture, watching
from sfumato.errors import RequestError, UnknownNameError
from sfumato.metadata.infotext import Painter
from sfumato.output import Destination
from sfumato.requests import Txt2Img, parse_size

if TYPE_CHECKING:
    from sfumato.results import Progress, Result

_PAIRS = ("original_size", "target_size", "crop")
_MAX_PROMPT_BYTES = 4 * 8192 + 4096  # more cannot become a legal prompt, and stdin may be endless


@dataclass(frozen=True)
class Surface:
    """How a command talks: `quiet` leaves only errors on stderr, `as_json` puts one object on stdout."""

    preview: bool = False
    as_json: bool = False
    quiet: bool = False


def txt2img(
    options: Mapping[str, object],
    *,
    size: str | None,
    output: str | None,
    format: str | None,
    quality: int | None,
    device: str,
    precision: str,
    allow_nonfinite: bool,
    surface: Surface,
) -> None:
    """Check everything that can be checked, then paint, save and print."""
    request = build(options, size)
    if not request.prompt.strip():
        raise RequestError('the prompt is empty; say what to paint (in Python, prompt="" paints without a prompt)')
    require_model(request.model)
    require_adapters(request)
    destination = Destination.parse(output, format=_format(format), quality=quality)
    destination.check(request)
    checked_precision = check_precision(precision)
    start = time.perf_counter()
    result = paint(request, device, checked_precision, surface, allow_nonfinite=allow_nonfinite)
    files = destination.save(result.images, result.request, Painter.of(result), result.traces)
    if surface.preview and not surface.quiet:
        _show(result)
    if not surface.quiet:
        _summarise(result, time.perf_counter() - start)
        _advise(request)
    print(_as_json(result, files) if surface.as_json else "\n".join(map(str, files)))


def build(options: Mapping[str, object], size: str | None = None) -> Txt2Img:
    """The request of what was given on the command line; a prompt of ``-`` is read from stdin."""
    given = {name: value for name, value in options.items() if value is not None}
    if given.get("prompt") == "-":
        given["prompt"] = _read_prompt(sys.stdin.buffer)
    if size is not None:
        given["width"], given["height"] = parse_size(size)
    given |= {name: parse_size(str(given[name]), name) for name in _PAIRS if name in given}
    return Txt2Img.build(**given)


def check_precision(name: str) -> Precision:
    """A name as a precision.

    Raises:
        UnknownNameError: for another name.
    """
    for precision in get_args(Precision):
        if name == precision:
            return precision
    raise UnknownNameError("precision", name[:64], get_args(Precision))


def require_model(name: str) -> None:
    """Refuse a model that is not there before torch is imported, which takes longer than all other checks."""
    from sfumato.checkpoints.catalogue import find

    find(name)


def require_adapters(request: Txt2Img) -> None:
    """Refuse LoRAs and embeddings that are not there, likewise."""
    from sfumato.adapters.wanted import wanted

    wanted(request)


def _advise(request: Txt2Img) -> None:
    """Say so when the prompt is far from what a small model has learned."""
    from sfumato.checkpoints.catalogue import find
    from sfumato.prompts.world import World

    world = World.read(find(request.model))
    advice = None if world is None else world.advice(request.prompt, request.model)
    if advice is not None:
        note(advice)


def _format(name: str | None) -> Format | None:
    if name is None:
        return None
    for format in get_args(Format):
        if name == format or (name, format) == ("jpg", "jpeg"):
            return format
    raise UnknownNameError("format", name[:64], get_args(Format))


def _read_prompt(stream: IO[bytes]) -> str:
    data = stream.read(_MAX_PROMPT_BYTES + 1)
    if len(data) > _MAX_PROMPT_BYTES:
        raise RequestError(f"prompt from stdin has over {_MAX_PROMPT_BYTES} bytes; shorten it to 8192 characters")
    try:
        return data.decode("utf-8").strip()
    except UnicodeDecodeError as error:
        raise RequestError(f"prompt from stdin is not UTF-8 at byte {error.start}; convert it") from None


def paint(
    request: Txt2Img, device: str, precision: Precision, surface: Surface, *, allow_nonfinite: bool = False
) -> "Result":
    """Run a request, and let people watch and interrupt it."""
    with (
        narrating(quiet=surface.quiet),
        watching(request.count, preview=surface.preview, quiet=surface.quiet) as on_step,
        contextlib.redirect_stdout(sys.stderr),  # stdout is for the answer alone, whatever a library prints
        interrupts.remembered() as check,
    ):
        from sfumato.studio import Studio

        def watched(progress: "Progress") -> None:
            check()
            on_step(progress)

        check()
        studio = Studio(request.model, device=device, precision=precision, allow_nonfinite=allow_nonfinite)
        return studio.run(request, watched)


def _show(result: "Result") -> None:
    """Leave the finished pictures standing in the terminal, as a preview's last state."""
    screen = console()
    if screen.is_terminal:
        screen.print(picture(result.images, screen))


def _summarise(result: "Result", seconds: float) -> None:
    count = len(result.images)
    speed = result.timings.get("steps_per_second")
    steps = "" if speed is None else f", {speed:.1f} steps/s"
    seeds = f"seed {result.seeds[0]}" + (f" to {result.seeds[-1]}" if count > 1 else "")
    note(f"painted {count} picture{'s' if count > 1 else ''} in {seconds:.1f} s{steps}, {seeds}")


def _as_json(result: "Result", files: list[Path]) -> str:
    return json.dumps(
        {
            "files": [str(file) for file in files],
            "seeds": list(result.seeds),
            "request": result.request.model_dump(),
            "timings": dict(result.timings),
            "model_hash": result.model_hash,
            "device": result.device,
            "precision": result.precision,
        }
    )
