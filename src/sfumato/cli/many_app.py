"""``sfumato grid``, ``batch``, ``sheet``, ``tileset`` and ``parallax``: their options. Declares, and hands over."""

from pathlib import Path
from typing import Annotated

import typer

from sfumato.cli.options import Device, Numbers, Quiet, check_precision, real, whole

many = typer.Typer(rich_markup_mode=None)


@many.command("grid", context_settings={"allow_interspersed_args": False})
def grid(
    words: Annotated[
        list[str], typer.Argument(metavar="TASK ...", help="a task's command and its options, as txt2img PROMPT -o F")
    ],
    x: Annotated[str | None, typer.Option("--x", metavar="FIELD=V,V", help="columns, as guidance=1,3,7")] = None,
    y: Annotated[str | None, typer.Option("--y", metavar="FIELD=V,V", help="rows")] = None,
    z: Annotated[str | None, typer.Option("--z", metavar="FIELD=V,V", help="blocks, one below another")] = None,
    pictures: Annotated[Path | None, typer.Option("--pictures", metavar="FOLDER", help="keep each picture too")] = None,
) -> None:
    """Paint a request with its fields varied along up to three axes, and print the path of the labelled sheet."""
    from sfumato.cli import many as command

    command.grid({"x": x, "y": y, "z": z}, words, pictures)


@many.command("batch")
def batch(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="a prompt or picture a line; .csv or .jsonl with fields")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FOLDER", help="where pictures go")] = Path(
        "outputs/batch"
    ),
    task: Annotated[str, typer.Option("--task", metavar="T", help="of requests that do not name one")] = "txt2img",
    common: Annotated[
        list[str] | None, typer.Option("--set", metavar="FIELD=V", help="of all requests; may be repeated")
    ] = None,
    device: Device = "auto",
    precision: Numbers = "auto",
    quiet: Quiet = False,
) -> None:
    """Carry out the requests of a file, one JSON line each; run again, it goes on with what is not done."""
    from sfumato.cli import many as command
    from sfumato.cli.painting import Machine

    machine = Machine(device, check_precision(precision))
    code = command.batch(file, output, task, common or [], machine, quiet=quiet)
    if code:
        raise typer.Exit(code)


@many.command("sheet")
def sheet(
    files: Annotated[list[Path], typer.Argument(metavar="FILE ...", help="pictures of subjects on a flat background")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE.png", help="the atlas lies beside it")] = Path(
        "outputs/sheet.png"
    ),
) -> None:
    """Cut subjects out of flat backgrounds, and lay them on one sheet of sprites with a JSON atlas."""
    from sfumato.cli import sprites as command

    command.make_sheet(files, output)


@many.command("tileset")
def tileset(
    files: Annotated[list[Path], typer.Argument(metavar="FILE ...", help="tiles of one size, as of --tileable both")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE.png", help="NAME.tsj lies beside it")] = Path(
        "outputs/tileset.png"
    ),
) -> None:
    """Lay seamless tiles on one picture, with a JSON tileset as Tiled reads it."""
    from sfumato.cli import sprites as command

    command.make_tileset(files, output)


@many.command("parallax")
def parallax(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="a picture, as of scene")],
    *,
    layers: Annotated[int, whole("--layers", metavar="N", help="how many")] = 3,
    depth: Annotated[
        Path | None, typer.Option("--depth", metavar="FILE", help="how near each place is, white the nearest")
    ] = None,
    speed: Annotated[
        list[float] | None, real("--speed", metavar="F", help="of a layer, the farthest first; may be repeated")
    ] = None,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE.tmj", help="layers lie beside it")] = Path(
        "outputs/parallax.tmj"
    ),
) -> None:
    """Cut a picture into layers that move past each other, with a map of Tiled that says how fast each is."""
    from sfumato.cli import sprites as command

    command.make_parallax(file, layers, depth, speed or [], output)
