"""``sfumato gallery``: its options. Declares, and hands over."""

from pathlib import Path
from typing import Annotated

import typer

from sfumato.cli.options import Json, whole
from sfumato.cli.serve_app import HOME, Token, Url

gallery = typer.Typer(help="Find, bring, take out and erase pictures of a running service.", rich_markup_mode=None)

Ids = Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="pictures, by their ids")]
Words = Annotated[str | None, typer.Option("--search", metavar="WORDS", help="those whose prompts have these words")]


@gallery.command("import")
def bring(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="pictures, and folders of them at any depth")],
    board: Annotated[str | None, typer.Option(metavar="NAME", help="a board to put them on")] = None,
    url: Url = HOME,
    token: Token = None,
    as_json: Json = False,
) -> None:
    """Bring pictures into the gallery, whatever painted them: A1111, ComfyUI, InvokeAI, NovelAI and others."""
    from sfumato.cli import gallery

    gallery.bring(url, token, paths, board=board, as_json=as_json)


@gallery.command("search")
def search(
    words: Annotated[str, typer.Argument(metavar="[WORDS]", help="that prompts have; none for all pictures")] = "",
    model: Annotated[str | None, typer.Option(metavar="NAME", help="painted by this model")] = None,
    lora: Annotated[str | None, typer.Option(metavar="NAME", help="painted with this LoRA")] = None,
    tag: Annotated[str | None, typer.Option(metavar="NAME", help="with this tag")] = None,
    board: Annotated[str | None, typer.Option(metavar="NAME", help="on this board")] = None,
    seed: Annotated[int | None, whole("--seed", metavar="N", help="of this seed")] = None,
    rating: Annotated[int | None, whole("--rating", metavar="N", help="rated so or better, 1 to 5")] = None,
    trash: Annotated[bool, typer.Option("--trash", help="in the trash")] = False,
    limit: Annotated[int, whole("--limit", metavar="N", help="how many, the newest first")] = 20,
    url: Url = HOME,
    token: Token = None,
    as_json: Json = False,
) -> None:
    """Search pictures by words of their prompts, in any language, and by facts."""
    from sfumato.cli import gallery

    facts = {"model": model, "lora": lora, "tag": tag, "board": board, "seed": seed, "rating": rating}
    gallery.search(url, token, {"q": words, **facts, "trash": trash or None}, limit=limit, as_json=as_json)


@gallery.command("show")
def show(
    id: Annotated[str, typer.Argument(metavar="ID", help="a picture's id")], url: Url = HOME, token: Token = None
) -> None:
    """Print all about a picture, with its request, parents and children, as JSON."""
    from sfumato.cli import gallery

    gallery.show(url, token, id)


@gallery.command("export")
def export(
    output: Annotated[Path, typer.Argument(metavar="OUT.zip", help="the file to write")],
    ids: Ids = None,
    search: Words = None,
    board: Annotated[str | None, typer.Option(metavar="NAME", help="those on this board")] = None,
    url: Url = HOME,
    token: Token = None,
) -> None:
    """Write pictures into a zip, each with a JSON file that says all about it; all of them unless told which."""
    from sfumato.cli import gallery

    gallery.export(url, token, output, {"id": ids or None, "q": search, "board": board})


@gallery.command("erase")
def erase(
    ids: Ids = None,
    trash: Annotated[bool, typer.Option("--trash", help="all that is in the trash")] = False,
    everything: Annotated[bool, typer.Option("--all", help="everything")] = False,
    url: Url = HOME,
    token: Token = None,
) -> None:
    """Erase pictures for good, with their prompts, thumbnails and jobs."""
    from sfumato.cli import gallery

    gallery.erase(url, token, ids or [], trash=trash, everything=everything)
