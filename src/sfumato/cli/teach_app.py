"""``sfumato teach``: its options. Declares, and hands over."""

from pathlib import Path
from typing import Annotated

import typer

from sfumato.cli.options import Json, Quiet, whole

teaching = typer.Typer(rich_markup_mode=None)


@teaching.command("teach")
def teach(
    photos: Annotated[Path, typer.Argument(metavar="PHOTOS", help="a folder of pictures, captions beside them or not")],
    name: Annotated[str, typer.Option("--name", metavar="WORD", help="what prompts call it, and the file is called")],
    subject: Annotated[str, typer.Option("--subject", metavar="TEXT", help='what it is, as "a woman" or "ink style"')],
    method: Annotated[str, typer.Option("--method", metavar="M", help="lora, dreambooth, embedding")] = "lora",
    model: Annotated[str, typer.Option("--model", metavar="NAME|PATH", help="the model that learns")] = "nano",
    duration: Annotated[str, typer.Option("--time", metavar="T", help="in which to learn: 90s, 20m, 2h")] = "20m",
    run: Annotated[Path | None, typer.Option("--run", metavar="FOLDER", help="where; default runs/WORD")] = None,
    seed: Annotated[int, whole("--seed", metavar="N", help="of what is drawn while learning")] = 0,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Teach a model what a few pictures show, try it, and print the file and the command that paints with it."""
    from sfumato.cli import teaching as command

    command.teach(
        photos,
        name,
        subject,
        method,
        model,
        duration,
        Path("runs") / name if run is None else run,
        seed,
        as_json=as_json,
        quiet=quiet,
    )
