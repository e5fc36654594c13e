"""What prompts are written with: styles, wildcards, and adapters with their pictures and trigger words.

Styles are `styles.csv` in the service's folder, as A1111 has it, and wildcards the text files of its folder
`wildcards`. No torch: of adapters' files the head is read, and what lies beside them.
"""

import asyncio
import functools
import json
import secrets
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter
from fastapi.responses import FileResponse
from pydantic import BaseModel, ConfigDict, Field

from sfumato.adapters import folders
from sfumato.errors import RequestError, UnknownNameError
from sfumato.prompts.styles import Style, read_styles, styled
from sfumato.requests.fields import MAX_SEED
from sfumato.service.desk import Desk
from sfumato.service.refusals import Refusal

MAX_HEAD = 2**24  # bytes of a file's head that are read for its words
MAX_TRIGGERS = 12
MAX_VALUES = 200
"""Values of a wildcard that are shown."""
SORTS = {f"{sort.lower().replace('-', '_')}s": sort for sort in folders.VARIABLES}
"""Sorts of adapters as addresses call them."""
PICTURES = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".webp": "image/webp"}
_Text = Annotated[str, Field(max_length=8192)]


class StyleShown(BaseModel):
    """Texts around a prompt, by a name; ``{prompt}`` is where it goes, and after it a style without that."""

    name: str
    prompt: str
    negative: str


class Words(BaseModel):
    """Styles and wildcards."""

    styles: list[StyleShown]
    wildcards: dict[str, list[str]] = Field(description=f"name -> its values, the first {MAX_VALUES}")


class Written(BaseModel):
    """A prompt and what to keep away from."""

    model_config = ConfigDict(extra="forbid")

    prompt: _Text
    negative: _Text = ""


class Asked(Written):
    """A prompt that is to be written out."""

    styles: Annotated[list[Annotated[str, Field(max_length=200)]], Field(max_length=64)] = []
    seed: Annotated[int | None, Field(ge=0, le=MAX_SEED)] = Field(None, description="of the draws; left out, anew")


class Adapter(BaseModel):
    """A file to paint with beside a model."""

    name: str
    bytes: int
    triggers: list[str] = Field(description="words that call what it learned, as far as it says")
    preview: str | None = Field(description="the address of the picture that lies beside it")


def router(desk: Desk) -> APIRouter:
    """Its routes."""
    api = APIRouter(prefix="/api/v1", tags=["models"])
    styles, wildcards = desk.folder / "styles.csv", desk.folder / "wildcards"

    @api.get("/words", response_model=Words)
    async def words() -> dict[str, Any]:
        """Styles, and the wildcards of templates."""

        def found() -> dict[str, Any]:
            named = [{"name": name, **vars(style)} for name, style in _styles(styles).items()]
            return {"styles": named, "wildcards": _wildcards(wildcards)}

        return await asyncio.to_thread(found)

    @api.post("/words", response_model=Written)
    async def written(asked: Asked) -> Written:
        """Write a prompt out: within its styles, and with one draw of its templates, ``{red|blue}`` and
        ``__wildcard__``."""
        return await asyncio.to_thread(_written, asked, styles, wildcards)

    @api.get("/adapters/{sort}", response_model=list[Adapter])
    async def adapters(sort: str) -> list[Adapter]:
        """Adapters of a sort, with the words that call them and their pictures."""
        known = await asyncio.to_thread(known_adapters, sort)
        return await asyncio.to_thread(lambda: [_adapter(sort, *each) for each in sorted(known.items())])

    @api.get("/adapters/{sort}/{name:path}/preview", response_class=FileResponse)
    async def preview(sort: str, name: str) -> FileResponse:
        """The picture beside an adapter."""
        return shown_picture(await asyncio.to_thread(adapter_of, sort, name), name)

    return api


def _styles(file: Path) -> dict[str, Style]:
    return read_styles(file) if file.is_file() else {}


def _wildcards(folder: Path) -> dict[str, list[str]]:
    from sfumato.prompts.templates import values_of

    return {name: values[:MAX_VALUES] for name, values in values_of(folder).items()} if folder.is_dir() else {}


def _written(asked: Asked, styles: Path, wildcards: Path) -> Written:
    from sfumato.prompts.templates import expand

    prompt, negative = styled(asked.prompt, asked.negative, asked.styles, _styles(styles))
    seed = secrets.randbelow(2**32) if asked.seed is None else asked.seed
    folder = wildcards if wildcards.is_dir() else None
    prompt, negative = (expand(text, seed, wildcards=folder) for text in (prompt, negative))
    if max(len(prompt), len(negative)) > 8192:
        raise RequestError("the prompt grows beyond 8192 characters; use fewer styles")
    return Written(prompt=prompt, negative=negative)


def known_adapters(sort: str) -> dict[str, Path]:
    """Files of a sort of adapters, as addresses call it, by their names.

    Raises:
        UnknownNameError: there is no such sort.
    """
    if sort not in SORTS:
        raise UnknownNameError("sort of adapter", sort[:40], SORTS)
    return folders.available(SORTS[sort])


def adapter_of(sort: str, name: str) -> Path:
    """The file of an adapter. Raises UnknownNameError where there is no such sort or name."""
    known = known_adapters(sort)
    if name not in known:
        raise UnknownNameError(SORTS[sort], name[:64], known)
    return known[name]


def _adapter(sort: str, name: str, path: Path) -> Adapter:
    about = path.stat()
    triggers = [name] if sort == "embeddings" else list(_triggers(path, about.st_mtime_ns)) if sort == "loras" else []
    address = None if picture_of(path) is None else f"/api/v1/adapters/{sort}/{name}/preview"
    return Adapter(name=name, bytes=about.st_size, triggers=triggers, preview=address)


def picture_of(path: Path) -> Path | None:
    """The picture beside a file or folder: `NAME.png`, or `NAME.preview.png` as A1111 calls it; of a folder also
    `preview.png` within."""
    inside = path.is_dir()
    stem = path.name if inside else path.stem
    places = [path.with_name(stem), path.with_name(f"{stem}.preview"), *([path / "preview"] if inside else [])]
    beside = (place.with_name(f"{place.name}{ending}") for place in places for ending in PICTURES)
    return next((each for each in beside if each.is_file()), None)


def shown_picture(path: Path, name: str) -> FileResponse:
    """The picture beside what is called so.

    Raises:
        Refusal: there is none.
    """
    beside = picture_of(path)
    if beside is None:
        raise Refusal(404, f"there is no picture beside {name[:40]!r}; put {name[:40]}.png beside its file")
    return FileResponse(beside, media_type=PICTURES[beside.suffix.lower()])


@functools.lru_cache(1024)
def _triggers(path: Path, changed: int) -> tuple[str, ...]:
    """Words that call a LoRA: those that its author tells, else the folders' names and tags it was taught with most."""
    said = _metadata(path)
    told = [said.get(name) for name in ("modelspec.trigger_phrase", "ss_trigger_words", "trigger")]
    told += [_beside(path.with_suffix(".json"), "activation text"), *_beside_words(path.with_suffix(".civitai.info"))]
    words = [word.strip() for text in told if isinstance(text, str) for word in text.split(",")]
    if not any(words):
        words = _taught(said.get("ss_tag_frequency"))
    return tuple(dict.fromkeys(word[:80] for word in words if word))[:MAX_TRIGGERS]


def _metadata(path: Path) -> dict[str, Any]:
    """What a safetensors file says of itself; nothing where it cannot be read, which a painting would say."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            said = json.loads(file.read(length))["__metadata__"] if length <= MAX_HEAD else {}
        return said if isinstance(said, dict) else {}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}


def _beside(path: Path, name: str) -> object:
    try:
        return json.loads(path.read_bytes()).get(name) if path.stat().st_size < MAX_HEAD else None
    except (OSError, ValueError, AttributeError, RecursionError):
        return None


def _beside_words(path: Path) -> list[object]:
    words = _beside(path, "trainedWords")
    return words if isinstance(words, list) else []


def _taught(text: object) -> list[str]:
    """The commonest tags of kohya's `ss_tag_frequency`: those of nearly every picture of a folder."""
    try:
        counted = json.loads(text) if isinstance(text, str) else {}
        most = {tag: int(many) for tags in counted.values() for tag, many in tags.items()}
    except (ValueError, AttributeError, TypeError, RecursionError):
        return []
    top = max(most.values(), default=0)
    return [tag.strip() for tag, many in sorted(most.items(), key=lambda pair: -pair[1]) if many >= 0.8 * top][:4]
