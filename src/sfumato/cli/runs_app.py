"""``sfumato runs``: the group's commands and their options. Declares, and hands over."""

from pathlib import Path
from typing import Annotated

import typer

from sfumato.cli.options import Json

runs = typer.Typer(help="Look back at trainings: what was set, how it went, what came of it.", rich_markup_mode=None)

Store = Annotated[Path, typer.Option("--store", metavar="FOLDER", help="where runs lie")]


@runs.command("list")
def list_runs(*, store: Store = Path("runs"), as_json: Json = False) -> None:
    """Name the runs, with their state and their lowest loss."""
    from sfumato.cli import runs as command

    command.listed(store, as_json=as_json)


@runs.command("show")
def show(
    name: Annotated[str, typer.Argument(metavar="RUN|HASH", help="a name, a folder, or a picture's hash of a LoRA")],
    *,
    store: Store = Path("runs"),
    as_json: Json = False,
) -> None:
    """Say what a run was begun with, its losses and its files."""
    from sfumato.cli import runs as command

    command.shown(name, store, as_json=as_json)


@runs.command("compare")
def compare(
    names: Annotated[list[str], typer.Argument(metavar="RUN RUN...", help="two or more")],
    *,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help=".png or .svg")] = Path("compare.png"),
    store: Store = Path("runs"),
) -> None:
    """Draw the losses of runs into one picture, say in what their settings differ, and print the picture's path."""
    from sfumato.cli import runs as command

    command.compared(names, store, output)
