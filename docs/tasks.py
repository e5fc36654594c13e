"""Writes docs/tasks.md: a row for each task that can be asked for, and for commands that make more of several pictures.

python -m docs.tasks            all of them
python -m docs.tasks detail     those alone; the other rows stay

A picture that its task does not measure is shown to the bundled judge, who says how much of what was asked for it sees.

A task of `REQUESTS` that `EXAMPLES` does not name is run with the plainest words for its arguments, so that none is
left out; one that refuses nano has its refusal in the row. Seconds are those of the task with the model loaded, the
memory is the peak of the process while it ran. Each row is painted once, with fixed seeds. The row of a command of
`COMMANDS` says what it wrote; it loads its model itself, which its seconds have among them.
"""

import contextlib
import ctypes
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageFilter, ImageSequence

from sfumato import Studio
from sfumato.cli import main as sfumato
from sfumato.cli.tasks import parsed, read_fields
from sfumato.errors import SfumatoError
from sfumato.images import contact_sheet
from sfumato.requests import REQUESTS, Request, Source, shown
from sfumato.requests.written import plain_type
from sfumato.results import Result

PAGE = Path(__file__).with_name("tasks.md")
PICTURES = Path(__file__).parent / "pictures" / "tasks"
PERSON = "flat cartoon portrait, red curly hair, round glasses, smile, green hoodie, light blue background"


def smaller(person: Image.Image, side: int) -> Image.Image:
    """The picture small at the bottom of one of its size, before its own background."""
    found = person.crop((4, 124, 12, 132)).resize(person.size)
    found.paste(person.resize((side, side)), ((person.width - side) // 2, person.height - side))
    return found


HILLS = "landscape with hills, daytime, light blue sky"
FILES: Mapping[str, str] = {"person.png": PERSON, "hills.png": HILLS}
"""Pictures that commands begin from, and the prompts that nano paints them of."""
TILES: Mapping[str, str] = {
    "day.png": "landscape with hills and trees, daytime, light blue sky",
    "night.png": "landscape with hills and trees, night, moon",
}
"""Likewise, such as can be repeated."""
MADE: Mapping[str, Callable[[Image.Image], Image.Image]] = {
    "grey.png": lambda person: person.convert("L"),
    "soft.png": lambda person: person.filter(ImageFilter.GaussianBlur(2.5)),
    "small.png": lambda person: smaller(person, 112),
}
"""More of them, made of the first."""
EXAMPLES: Mapping[str, str] = {
    "txt2img": f'"{PERSON}" --seed 1 --steps 8',
    "img2img": 'person.png "flat cartoon portrait, blue bob hair, smile, yellow shirt, pink background" --strength 0.8',
    "inpaint": 'person.png "flat cartoon portrait, red curly hair, sunglasses" --box 70,70,125,55 --strength 0.9',
    "replace": f'person.png "green hoodie" "purple turtleneck" --description "{PERSON}"',
    "outpaint": f'hills.png "{HILLS}" --left 64 --right 64',
    "between": '"flat cartoon portrait, red curly hair, smile, green hoodie, light blue background" '
    '"flat cartoon portrait, blonde long hair, smile, black shirt, pink background"',
    "follow": f'hills.png "{HILLS}" --zoom 1.25 --angle 8 --strength 0.5',
    "detail": f'small.png "{PERSON}" --box 72,144,112,112 --padding 0 --strength 0.5',
    "sprite": '"3d emoji of a mushroom" --outline 3',
    "colorize": f'grey.png "{PERSON}"',
    "scene": f'"{HILLS}" --size 512x256',
    "edit": f'person.png "{PERSON.replace("red", "blue")}" --from "{PERSON}"',
    "portrait": "--character anna --with mouth=laugh",
    "match": "person.png --like hills.png",
    "denoise": "person.png --add-noise 25",
    "enhance": "soft.png --deblur auto",
    "classify": 'person.png --labels "flat cartoon portrait,toon portrait,robot,landscape illustration"',
    "recognise": "person.png",
}
"""The words behind the name of a task."""
COMMANDS: Mapping[str, str] = {
    "grid": f'--x guidance=1,4 --y seed=1,2 txt2img "{PERSON}" --steps 8 -o grid.png',
    "animate": '--key "0@1:flat cartoon portrait, red curly hair, smile, light blue background" '
    '--key "3@2:flat cartoon portrait, blonde long hair, smile, pink background" --set steps=8 -o animation.gif',
    "sheet": "person.png small.png -o sheet.png",
    "tileset": "day.png night.png -o tileset.png",
    "parallax": "hills.png --layers 3 -o parallax.tmj",
}
"""Commands that make more of several pictures or requests, and the words behind their names."""
DEFAULTS: Mapping[str, object] = {"seed": 1, "steps": 8}
"""Of fields that an example does not give, where the task has them."""
SIDE = 128
"""Pixels of a picture on the page."""


@dataclass(frozen=True)
class Row:
    """A task that was run, or what it said instead."""

    task: str
    command: str
    figure: str
    seconds: float | None = None
    megabytes: float | None = None


def example(kind: type[Request]) -> str:
    """The words behind the name of a task."""
    if kind.TASK in EXAMPLES:
        return EXAMPLES[kind.TASK]
    fields = {name: field for name, field in kind.model_fields.items() if name != "task"}
    places = sorted((name for name in fields if shown(fields[name]).argument), key=lambda n: shown(fields[n]).argument)
    places += [name for name in fields if fields[name].is_required() and name not in places]
    words = []
    for name in places:
        value = "person.png" if plain_type(fields[name]) is Source else PERSON
        words += [value] if shown(fields[name]).argument else [f"--{name.replace('_', '-')}", value]
    return shlex.join(words)


def request_of(kind: type[Request]) -> tuple[str, Request]:
    """A task's command, and the request that it makes."""
    words = shlex.split(example(kind))
    known, given = parsed([kind.TASK, *words])
    fields = read_fields(known, given)
    for name, value in DEFAULTS.items():
        if name in known.model_fields and name not in fields and not (name == "seed" and "character" in fields):
            fields[name] = value
            words += [f"--{name}", str(value)]
    return shlex.join(["sfumato", kind.TASK, *words]), known.build(**fields)


class Peak:
    """The peak of this process's memory from now on, in bytes; Linux alone says it. None elsewhere."""

    def __init__(self) -> None:
        if sys.platform.startswith("linux"):
            ctypes.CDLL(None).malloc_trim(0)
            Path("/proc/self/clear_refs").write_text("5")

    def read(self) -> float | None:
        """Megabytes."""
        if not sys.platform.startswith("linux"):
            return None
        text = Path("/proc/self/status").read_text()
        return int(text.partition("VmHWM:")[2].split()[0]) / 1024


def run(studio: Studio, kind: type[Request]) -> tuple[Row, list[Image.Image]]:
    """A task once: its row, and the pictures to show."""
    try:
        command, request = request_of(kind)
        peak, begun = Peak(), time.perf_counter()
        result = studio.run(request)
        seconds, megabytes = time.perf_counter() - begun, peak.read()
        figure = figure_of(result) or agreement(studio, result)
    except SfumatoError as error:
        return Row(kind.TASK, f"sfumato {kind.TASK} {example(kind)}", f"refused: {error}"), []
    before = [Image.open(source.path) for source in _sources(request)]
    return Row(kind.TASK, command, figure, seconds, megabytes), [*before, *result.images[:4]]


def run_command(name: str) -> tuple[Row, list[Image.Image]]:
    """A command of `COMMANDS` once: its row, and the first pictures that it wrote, or frames of one that moves."""
    command, before = f"sfumato {name} {COMMANDS[name]}", set(Path().iterdir())
    peak, begun = Peak(), time.perf_counter()
    with contextlib.redirect_stdout(sys.stderr):
        code = sfumato([name, *shlex.split(COMMANDS[name])])
    seconds, megabytes = time.perf_counter() - begun, peak.read()
    if code:
        raise SystemExit(code)
    files = sorted(path for path in Path().iterdir() if path.is_file() and path not in before)
    frames = [frame.convert("RGBA") for path in files if path.suffix in (".png", ".gif") for frame in opened(path)]
    on_white = [Image.alpha_composite(Image.new("RGBA", each.size, "white"), each) for each in frames[:4]]
    return Row(name, command, f"wrote {', '.join(map(str, files))}", seconds, megabytes), on_white


def opened(path: Path) -> Iterator[Image.Image]:
    """The frames of a picture, one where it does not move."""
    with Image.open(path) as image:
        yield from (frame.copy() for frame in ImageSequence.Iterator(image))


def _sources(request: Request) -> Iterator[Source]:
    for name in type(request).model_fields:
        if isinstance(value := getattr(request, name), Source) and value.path:
            yield value


def agreement(studio: Studio, result: Result) -> str:
    """How many parts of the prompt the judge sees in the first picture, of those that are attributes."""
    parts = [part.strip() for part in getattr(result.request, "prompt", "").split(",") if part.strip()]
    if not parts or not result.images:
        return ""
    report = studio.recognise([result.images[0].convert("RGB")]).report
    seen = [] if report is None else [part for part in parts if part in report.answer]
    return f"the judge sees {len(seen)} of {len(parts)}: {', '.join(seen)}"


def figure_of(result: Result) -> str:
    """What the task measured; nothing where it measures nothing."""
    said = [f"{name.replace('_', ' ')} {values[0]:.3g}" for name, values in result.measures.items() if values]
    if result.report is not None:
        said.append(result.report.answer)
    return "; ".join(said)


def page(rows: list[Row], old: str = "") -> str:
    """The whole page.

    Args:
        old: a page whose rows of other tasks stay.
    """
    import torch

    lines = [
        "# Tasks",
        "",
        "Every task, run by `python -m docs.tasks` with nano, the bundled model, and fixed seeds: what goes in, then "
        f"what comes out. Threads: {torch.get_num_threads()}; the model was loaded before, but for "
        f"{', '.join(COMMANDS)}, which are commands over tasks and show what they wrote.",
        "",
        "| task | command | picture | figure | seconds | peak memory |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    made = {row.task: row_of(row) for row in rows}
    kept = {line.split(" | ")[0][2:]: line for line in old.splitlines() if line.startswith("| ")}
    lines += [line for task in dict.fromkeys([*REQUESTS, *COMMANDS, *made]) if (line := made.get(task, kept.get(task)))]
    return "\n".join(lines) + "\n"


def row_of(row: Row) -> str:
    """A line of the page."""
    shown = f"![{row.task}](pictures/tasks/{row.task}.jpg)" if (PICTURES / f"{row.task}.jpg").exists() else ""
    seconds = "" if row.seconds is None else f"{row.seconds:.1f}"
    memory = "" if row.megabytes is None else f"{row.megabytes:.0f} MB"
    cells = [row.task, f"`{row.command}`", shown, row.figure, seconds, memory]
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def main(only: Sequence[str] = ()) -> None:
    """Paint, measure and write the page; of the tasks named alone, where some are."""
    studio = Studio()
    PICTURES.mkdir(parents=True, exist_ok=True)
    for old in PICTURES.glob("*.jpg"):
        if not only or old.stem in only:
            old.unlink()
    rows = []
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for name, prompt in FILES.items():
            studio.txt2img(prompt, seed=1, steps=8)[0].save(name)
        for name, prompt in TILES.items():
            studio.txt2img(prompt, seed=1, steps=8, tileable="both")[0].save(name)
        for name, made in MADE.items():
            made(Image.open("person.png")).save(name)
        for name in only or [*REQUESTS, *COMMANDS]:
            row, pictures = run_command(name) if name in COMMANDS else run(studio, REQUESTS[name])
            rows.append(row)
            print(f"{row.task}: {row.figure}", file=sys.stderr, flush=True)
            if pictures:
                small = [each.resize((round(each.width * SIDE / each.height), SIDE)) for each in pictures]
                contact_sheet(small, len(small)).save(PICTURES / f"{row.task}.jpg", quality=85)
    PAGE.write_text(page(rows, PAGE.read_text(encoding="utf-8") if only else ""), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
