"""The command ``sheet``: pictures of subjects as one sheet of sprites with its atlas."""

import json
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from sfumato.errors import RequestError
from sfumato.output import check_writable, encode, rewrite
from sfumato.requests import Source
from sfumato.sprites import cut_out, sheet
from sfumato.tasks.sources import read


def make_sheet(files: Sequence[Path], output: Path) -> None:
    """Cut the subjects out, write the sheet and its atlas, and print the path of the sheet."""
    if output.suffix.lower() != ".png":
        raise RequestError(f"{str(output)!r} must end in .png, which keeps transparency")
    if twice := next((file.stem for file in files if [f.stem for f in files].count(file.stem) > 1), None):
        raise RequestError(f"two pictures are called {twice!r}, which is their name in the atlas; rename one")
    atlas = output.with_suffix(".json")
    for path in (output, atlas):
        check_writable(path)
    sprites: dict[str, Image.Image] = {}
    for file in files:
        found = read(Source.of(file))
        try:
            sprites[file.stem] = cut_out(found.image) if found.alpha is None else _with(found.image, found.alpha)
        except RequestError as error:
            raise RequestError(f"{file}: {error}") from None
    page, facts = sheet(sprites, output.name)
    output.parent.mkdir(parents=True, exist_ok=True)
    rewrite(output, encode(page, {}, "png"))
    rewrite(atlas, (json.dumps(facts, ensure_ascii=False, indent=1) + "\n").encode())
    print(output)


def _with(image: Image.Image, alpha: Image.Image) -> Image.Image:
    image = image.convert("RGBA")
    image.putalpha(alpha)
    return image
