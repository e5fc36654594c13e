"""``sfumato data``: the group's commands and their options. Declares, and hands over."""

from pathlib import Path
from typing import Annotated, Any

import typer

from sfumato.cli.options import Json, real, taking, whole

data = typer.Typer(help="Look at your own pictures and make training data of them.", rich_markup_mode=None)

Source = Annotated[Path, typer.Argument(metavar="SOURCE", help="a folder, or a tar as WebDataset has them")]

INTAKE: dict[str, Any] = {
    "size": Annotated[int | None, whole(metavar="PX", help="pixels a side; default 256")],
    "crop": Annotated[str | None, typer.Option(metavar="C", help="centre, or smart: where the detail is")],
    "shortest": Annotated[int | None, whole(metavar="PX", help="least shorter side; half the size by default")],
    "max_pixels": Annotated[int | None, whole(metavar="N", help="width x height above which none is decoded")],
    "near_duplicates": Annotated[bool, typer.Option("--near-duplicates", help="leave out also what looks the same")],
    "no_caption": Annotated[
        str | None, typer.Option("--no-caption", metavar="C", help="skip, empty, name (of the file)")
    ],
    "caption_lines": Annotated[
        str | None, typer.Option("--caption-lines", metavar="L", help="of a text file: a caption each, or join them")
    ],
}
"""Which pictures are brought in, and how: fields of `sfumato.training.prepare.PrepareConfig`."""


@data.command("check")
@taking(INTAKE)
def check(source: Source, *, as_json: Json = False, **choices: Any) -> None:
    """Say which pictures could be trained on, and why the others not."""
    from sfumato.cli import data as command

    command.check(source, choices, as_json=as_json)


Share = Annotated[float | None, real(metavar="F", help="share that is held out; default 0.05")]


@data.command("prepare")
@taking({**INTAKE, "validation": Share})
def prepare(
    source: Source,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FOLDER", help="a new folder, for data = in a TOML")],
    *,
    as_json: Json = False,
    **choices: Any,
) -> None:
    """Make training data of pictures and captions, and print its folder."""
    from sfumato.cli import data as command

    command.prepare(source, out, choices, as_json=as_json)


@data.command("shards")
def shards(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="training data, as prepare makes it")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="a new folder")],
    per_shard: Annotated[int, whole(metavar="N", help="pictures in each tar")] = 1000,
) -> None:
    """Write training data as WebDataset tars, and print their paths."""
    from sfumato.cli import data as command

    command.shards(folder, out, per_shard=per_shard)
