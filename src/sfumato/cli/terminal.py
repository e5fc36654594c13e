"""What people see while they wait. Everything goes to stderr; rich is imported when there is something to draw."""

import logging
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sfumato.errors import printable

if TYPE_CHECKING:
    from PIL.Image import Image
    from rich.console import Console, RenderableType
    from rich.live import Live
    from rich.progress import Progress as Bar

    from sfumato.results import Progress

_RAMP = " .:-=+*#%@"  # dark to light, for terminals without colour
_MAX_COLUMNS = 96
_PREVIEW_SHARE = 0.2  # of the time, at most, goes into previews


def note(text: str, *, spaced: bool = False) -> None:
    """One line on stderr, whatever the text holds; `spaced` keeps runs of spaces, as a table's lines have them."""
    if sys.stderr is not None:  # a closed stderr must not send it to stdout
        line = printable(text)
        print(line if spaced else " ".join(line.split()), file=sys.stderr, flush=True)


def complain(text: str) -> None:
    """One line on stderr, signed."""
    note(f"sfumato: {text}")


class _Lines(logging.Handler):
    """Log records as our lines."""

    def emit(self, record: logging.LogRecord) -> None:
        complain(record.getMessage())


@contextmanager
def narrating(*, quiet: bool = False) -> Iterator[None]:
    """What our modules log as a warning or worse is a line on stderr, or nothing when quiet."""
    log, handler = logging.getLogger("sfumato"), _Lines(logging.ERROR if quiet else logging.WARNING)
    before, log.propagate = log.propagate, False
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.propagate = before


def console() -> "Console":
    """Rich's view of stderr; it knows NO_COLOR, FORCE_COLOR and the kind of terminal."""
    from rich.console import Console

    return Console(stderr=True)


@contextmanager
def watching(count: int, *, preview: bool = False, quiet: bool = False) -> "Iterator[Callable[[Progress], None]]":
    """A receiver of reports that draws a bar, and the forming pictures if wanted, for as long as the context lasts.

    Args:
        count: pictures to come, over all batches.
    """
    from sfumato.results import ignore

    screen = None if quiet or sys.stderr is None else console()
    if screen is None or not screen.is_terminal:
        if preview and not quiet:
            complain("a preview needs a terminal; painting without it")
        yield ignore
        return
    from rich.live import Live

    bar = _bar(screen)
    with Live(bar, console=screen, transient=True, redirect_stdout=False, refresh_per_second=8) as live:
        yield _Watch(count, screen, live, bar, preview)


class _Watch:
    """Turns reports into the state of a bar and, not too often, into a picture."""

    def __init__(self, count: int, screen: "Console", live: "Live", bar: "Bar", preview: bool) -> None:
        self.count = count
        self.screen = screen
        self.live = live
        self.bar = bar
        self.preview = preview
        self.task = bar.add_task("loading", total=None, speed="")
        live.refresh()  # loading may keep the drawing thread waiting
        self.reports = 0
        self.first = 0.0
        self.next_preview = 0.0

    def __call__(self, progress: "Progress") -> None:
        now = time.perf_counter()
        if self.reports == 0:
            self.first = now
            self.bar.reset(self.task, total=self.count * progress.total)  # loading is no measure of what is left
        elapsed = now - self.first
        speed = f"{self.reports / elapsed:.1f} steps/s" if self.reports and elapsed > 0 else ""
        self.reports += 1
        self.bar.update(
            self.task,
            completed=progress.image * progress.total + (progress.index + 1) * progress.batch,
            description=_which(progress.image, progress.batch, self.count),
            speed=speed,
        )
        if self.preview and now >= self.next_preview:
            self._draw(progress)

    def _draw(self, progress: "Progress") -> None:
        from rich.console import Group

        start = time.perf_counter()
        self.live.update(Group(picture(progress.preview(), self.screen), self.bar))
        end = time.perf_counter()
        self.next_preview = end + (end - start) * (1 / _PREVIEW_SHARE - 1)


def _which(first: int, batch: int, count: int) -> str:
    if count == 1:
        return "painting"
    places = str(first + 1) if batch == 1 else f"{first + 1}-{first + batch}"
    return f"painting {places} of {count}"


def _bar(screen: "Console") -> "Bar":
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(),
        console=screen,
    )


def picture(images: "Sequence[Image]", screen: "Console") -> "RenderableType":
    """Up to four pictures side by side: two pixels a character where there is colour, light and dark where not."""
    from PIL import Image

    shown = images[:4]
    sheet = Image.new("RGB", (sum(i.width for i in shown), max(i.height for i in shown)))
    left = 0
    for image in shown:
        sheet.paste(image, (left, 0))
        left += image.width
    columns, rows = max(1, min(screen.width - 1, _MAX_COLUMNS)), max(1, screen.height - 3)
    scale = min(columns / sheet.width, 2 * rows / sheet.height)
    size = max(1, math.floor(sheet.width * scale)), max(1, math.floor(sheet.height * scale / 2))
    if screen.no_color or screen.color_system is None or not screen.encoding.lower().startswith("utf"):
        return _shades(sheet.convert("L").resize(size))
    return _half_blocks(sheet.resize((size[0], 2 * size[1])))


def _shades(grey: "Image") -> "RenderableType":
    from rich.text import Text

    lines = [
        "".join(_RAMP[int(grey.getpixel((x, y))) * len(_RAMP) // 256] for x in range(grey.width))  # type: ignore[arg-type]
        for y in range(grey.height)
    ]
    return Text("\n".join(lines), no_wrap=True)


def _half_blocks(image: "Image") -> "RenderableType":
    """The upper half of a character is its foreground, the lower its background."""
    from rich.color import Color
    from rich.segment import Segment, Segments
    from rich.style import Style

    def colour(x: int, y: int) -> Color:
        return Color.from_rgb(*image.getpixel((x, y)))  # type: ignore[misc]

    segments = []
    for y in range(0, image.height, 2):
        for x in range(image.width):
            segments.append(Segment("▀", Style(color=colour(x, y), bgcolor=colour(x, y + 1))))
        segments.append(Segment.line())
    return Segments(segments)
