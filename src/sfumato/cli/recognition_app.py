"""``sfumato similar``, ``embed``, ``caption`` and ``augment``: their options. Declares, and hands over."""

from pathlib import Path
from typing import Annotated

import typer

from sfumato.cli.options import Device, Numbers, real, whole

recognition = typer.Typer(rich_markup_mode=None)


@recognition.command("similar")
def similar(
    what: Annotated[str, typer.Argument(metavar="IMAGE|TEXT", help="a picture's file, or words")],
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="the pictures to look among")],
    first: Annotated[int, whole("--first", metavar="N", help="how many to print")] = 10,
) -> None:
    """Print the pictures of a folder that are most like a picture or a text, nearest first, each with its cosine."""
    from sfumato.cli import recognition as command

    command.similar(what, folder, first)


@recognition.command("embed")
def embed(
    files: Annotated[list[Path], typer.Argument(metavar="IMAGE ...", help="pictures")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE.npz", help="names and unit vectors")],
) -> None:
    """Write the embeddings of pictures, one row each, and print the file's path."""
    from sfumato.cli import recognition as command

    command.embed(files, output)


@recognition.command("caption")
def caption(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="pictures to train on")],
    language: Annotated[str, typer.Option("--language", metavar="L", help="en, zh")] = "en",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace captions that are there")] = False,
) -> None:
    """Write a .txt beside each picture of nano's domain that says what it shows, as trainers read it."""
    from sfumato.cli import recognition as command

    command.caption(folder, language, overwrite=overwrite)


@recognition.command("augment")
def augment(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="a folder a class, or a .txt with the label each")],
    per_class: Annotated[int, whole("--per-class", metavar="N", help="pictures that each class is to have")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="a new folder, or one to go on with")],
    method: Annotated[str, typer.Option("--method", metavar="M", help="img2img, variations, txt2img, mix")] = "mix",
    strength: Annotated[float | None, real(metavar="S", help="of img2img; chosen by agreement when left out")] = None,
    classifier: Annotated[str, typer.Option("--classifier", metavar="C", help="auto, features, model")] = "auto",
    model: Annotated[str, typer.Option("--model", metavar="NAME|PATH", help="what paints")] = "nano",
    steps: Annotated[int | None, whole(metavar="N", help="sampling steps")] = None,
    seed: Annotated[int, whole(metavar="N", help="of the first attempt of each class")] = 0,
    device: Device = "auto",
    precision: Numbers = "auto",
) -> None:
    """Paint more pictures of each class of a labelled set, keep those that show it, and print what came of it."""
    from sfumato.cli import recognition as command

    options = {} if steps is None else {"steps": steps}
    settings = {"method": method, "strength": strength, "classifier": classifier, "seed": seed, "options": options}
    command.augment(folder, out, model, per_class, settings, device, precision)
