"""``sfumato meta``: the group's commands and their options. Declares, and hands over."""

from pathlib import Path
from typing import Annotated

import typer

from sfumato.cli.options import Json, Picture

meta = typer.Typer(help="Read, write and strip what is stored in a picture.", rich_markup_mode=None)

Changed = Annotated[Path | None, typer.Option("-o", "--output", metavar="OUT", help="leave FILE as it is, write this")]


@meta.command("read")
def read(file: Picture, as_json: Json = False) -> None:
    """Say how a picture was made, by sfumato, A1111, ComfyUI, NovelAI, InvokeAI, SwarmUI, Fooocus and others."""
    from sfumato.cli import metadata

    metadata.show(file, as_json=as_json)


@meta.command("strip")
def strip(file: Picture, output: Changed = None) -> None:
    """Take out all that does not change how the picture looks, and print the file's path."""
    from sfumato.cli import metadata

    metadata.strip(file, output)


@meta.command("write")
def write(
    file: Picture,
    request: Annotated[str | None, typer.Option(metavar="JSON", help="a request, as meta read --json has it")] = None,
    infotext: Annotated[str | None, typer.Option(metavar="TEXT", help="settings as A1111 writes them")] = None,
    output: Changed = None,
) -> None:
    """Put a request or an infotext into a picture, and print the file's path."""
    from sfumato.cli import metadata

    metadata.write(file, output, request=request, infotext=infotext)
