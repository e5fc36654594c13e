"""``/api/v1/gallery``."""

import asyncio
import json
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import FileResponse, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from sfumato.service import uploads
from sfumato.service.gallery.collector import Collector
from sfumato.service.gallery.export import zipped
from sfumato.service.gallery.filters import MAX_IDS, MAX_LABEL, Filters, Sort
from sfumato.service.gallery.marks import NEAR
from sfumato.service.gallery.store import Entry, Gallery
from sfumato.service.refusals import Refusal

Name = Annotated[str, Field(min_length=1, max_length=MAX_LABEL, pattern=r"^\S(.*\S)?$")]
Names = Annotated[list[Name], Field(max_length=64)]
Ids = Annotated[list[Annotated[str, Field(max_length=40)]], Field(min_length=1, max_length=MAX_IDS)]
Rating = Annotated[int, Field(ge=0, le=5)]
Moving = Literal["webp", "gif", "png", "mp4"]
MAX_FRAMES = 240
_FOR_GOOD = {"Cache-Control": "private, max-age=31536000, immutable"}  # files and thumbnails never change


class Shown(BaseModel):
    """A picture of the gallery."""

    id: str
    url: str = Field(description="of its file")
    thumbnail: str = Field(description="the address of a WebP of at most 384 pixels a side")
    job: str | None = Field(description="that painted it here")
    index: int | None = Field(description="within the job")
    tool: str = Field(description="that painted it; empty where the file does not say")
    exact: bool = Field(description="its request is the one that ran")
    task: str
    prompt: str
    negative: str
    model: str
    seed: str | None = Field(description="in decimal; it has 64 bits, more than numbers of JavaScript hold")
    width: int
    height: int
    format: str
    rating: int = Field(description="1 to 5; 0: none")
    tags: list[str]
    boards: list[str]
    loras: list[str]
    created: float = Field(description="when it was painted, in seconds since 1970")
    added: float = Field(description="when it came into the gallery")
    trashed: float | None = Field(description="when it went into the trash")
    sha256: str = Field(description="of its file")


class Whole(Shown):
    """A picture, its request and its nearest kin."""

    request: dict[str, Any] | None = Field(description="of this picture alone; null where the file does not say")
    parents: list[Shown] = Field(description="what it was made from")
    children: list[Shown] = Field(description="what was made from it")


class Found(BaseModel):
    """A page."""

    pictures: list[Shown]
    next: str | None = Field(description="to be sent as after, for the next page; null at the end")
    total: int | None = Field(description="of all pages, when it was asked for")


class Similar(BaseModel):
    """A picture that looks like another."""

    difference: float = Field(description=f"0 to 1; below {NEAR} it is a copy in another size, format or quality")
    picture: Shown


class Family(BaseModel):
    """All that a picture descends from and that descends from it."""

    pictures: list[Shown]
    edges: list[tuple[str, str]] = Field(description="ids: made from, made")


class Changed(BaseModel):
    """What can be changed of a picture; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    rating: Rating | None = None
    tags: Names | None = None
    boards: Names | None = None


class ManyChanged(BaseModel):
    """What can be changed of many pictures at once."""

    model_config = ConfigDict(extra="forbid")

    ids: Ids
    rating: Rating | None = None
    add_tags: Names = []
    remove_tags: Names = []
    add_boards: Names = []
    remove_boards: Names = []


class Many(BaseModel):
    """Pictures by their ids."""

    model_config = ConfigDict(extra="forbid")

    ids: Ids


class Asked(Filters):
    """Which pictures, and how many at a time."""

    sort: Sort = Field("newest", description="as they came into the gallery; or the best first")
    limit: int = Field(60, ge=1, le=200)
    after: str | None = Field(None, max_length=40, description="next of the page before")
    count: bool = Field(False, description="say how many there are in all")


def router(gallery: Gallery, collector: Collector) -> APIRouter:
    """All addresses of the gallery."""
    api = APIRouter(prefix="/api/v1/gallery", tags=["gallery"])

    @api.get("", response_model=Found)
    async def find(asked: Annotated[Asked, Query()]) -> dict[str, Any]:
        """A page of pictures: search, filters, order."""

        def found() -> dict[str, Any]:
            page = gallery.find(asked, sort=asked.sort, limit=asked.limit, after=asked.after)
            total = gallery.count(asked) if asked.count else None
            return {"pictures": [shown(each) for each in page.entries], "next": page.next, "total": total}

        return await asyncio.to_thread(found)

    @api.get("/facets", response_model=dict[str, dict[str, int]])
    async def facets() -> dict[str, dict[str, int]]:
        """What there is to filter by (model, lora, tag, board, task, tool), and how many pictures have it."""
        return await asyncio.to_thread(gallery.facets)

    @api.get("/export", response_class=StreamingResponse)
    async def export(asked: Annotated[Filters, Query()]) -> StreamingResponse:
        """A zip of all that is asked for, with a JSON sidecar each."""
        many = await asyncio.to_thread(gallery.count, asked)
        if not many:
            raise Refusal(404, "nothing is found to export; ask for other pictures")
        headers = {"Content-Disposition": 'attachment; filename="sfumato.zip"'}
        pieces = zipped(gallery, gallery.all(asked))
        return StreamingResponse(pieces, media_type="application/zip", headers=headers)

    @api.get("/animation", response_class=Response)
    async def animation(
        ids: Annotated[list[Annotated[str, Field(max_length=40)]], Query(min_length=2, max_length=MAX_FRAMES)],
        fps: Annotated[float, Query(ge=0.1, le=60, allow_inf_nan=False, description="frames a second")] = 8.0,
        format: Annotated[Moving, Query(description="png is an APNG")] = "webp",
    ) -> Response:
        """Pictures of one size, in the order of their ids, as a file that moves."""
        files = await asyncio.to_thread(lambda: [str(gallery.file(gallery.get(id))) for id in ids])
        asked = json.dumps({"files": files, "fps": fps, "format": format})
        headers = {"Content-Disposition": f'attachment; filename="sfumato.{format}"'}
        kind = "video/mp4" if format == "mp4" else f"image/{format}"
        return Response(await uploads.handled(asked.encode(), "moving"), media_type=kind, headers=headers)

    @api.post("/import", status_code=201, response_model=Shown, openapi_extra=_PICTURE)
    async def bring(
        request: Request,
        response: Response,
        created: Annotated[
            float | None, Query(ge=0, le=4e9, allow_inf_nan=False, description="when it was painted, since 1970")
        ] = None,
    ) -> dict[str, Any]:
        """Bring a picture, as the body, whatever painted it: its settings are read. 200 for one that was there."""
        entry, new = await collector.bring(await request.body(), created=created)
        response.status_code = 201 if new else 200
        return shown(entry)

    @api.patch("", status_code=204, response_class=Response)
    async def change_many(many: ManyChanged) -> None:
        """Rate, tag and sort many pictures at once."""

        def changed() -> None:
            if many.rating is not None:
                gallery.rate(many.ids, many.rating)
            gallery.label(many.ids, "tag", add=many.add_tags, remove=many.remove_tags)
            gallery.label(many.ids, "board", add=many.add_boards, remove=many.remove_boards)

        await asyncio.to_thread(changed)

    @api.post("/trash", status_code=204, response_class=Response)
    async def trash(many: Many) -> None:
        """Put pictures into the trash."""
        await asyncio.to_thread(gallery.trash, many.ids)

    @api.post("/restore", status_code=204, response_class=Response)
    async def restore(many: Many) -> None:
        """Take pictures out of the trash."""
        await asyncio.to_thread(gallery.restore, many.ids)

    @api.post("/erase")
    async def erase(many: Many) -> dict[str, int]:
        """Erase pictures for good, in the trash or not: files, thumbnails, prompts and jobs; no byte is left in the
        database."""
        return {"erased": await asyncio.to_thread(gallery.erase, many.ids)}

    @api.get("/like", response_model=list[Similar])
    async def like(
        text: Annotated[str, Query(min_length=1, max_length=1000, description="in English or Chinese")],
        limit: Annotated[int, Query(ge=1, le=200)] = 24,
    ) -> list[dict[str, Any]]:
        """Pictures of nano's domain that show most what a text says."""
        await collector.reader.ready()
        near = await asyncio.to_thread(gallery.like, await collector.reader.text(text), limit=limit)
        return [{"difference": round(difference, 4), "picture": shown(entry)} for entry, difference in near]

    @api.get("/{id}", response_model=Whole)
    async def one(id: str) -> dict[str, Any]:
        """A picture, its request, its parents and children."""

        def found() -> dict[str, Any]:
            entry = gallery.get(id)
            return {
                **shown(entry),
                "request": None if entry.request is None else json.loads(entry.request),
                "parents": [shown(each) for each in gallery.parents(entry)],
                "children": [shown(each) for each in gallery.children(entry)],
            }

        return await asyncio.to_thread(found)

    @api.patch("/{id}", response_model=Shown)
    async def change(id: str, changed: Changed) -> dict[str, Any]:
        """Rate a picture, and say which tags and boards it has."""

        def made() -> dict[str, Any]:
            if changed.rating is not None:
                gallery.rate([id], changed.rating)
            if changed.tags is not None:
                gallery.label([id], "tag", only=changed.tags)
            if changed.boards is not None:
                gallery.label([id], "board", only=changed.boards)
            return shown(gallery.get(id))

        return await asyncio.to_thread(made)

    @api.get("/{id}/file", response_class=FileResponse)
    async def file(id: str) -> FileResponse:
        """A picture's file, as it is."""
        entry = await asyncio.to_thread(gallery.get, id)
        return _file(gallery.file(entry).name, gallery.file(entry))

    @api.get("/{id}/thumbnail", response_class=FileResponse)
    async def thumbnail(id: str) -> FileResponse:
        """A WebP of at most 384 pixels a side."""
        entry = await asyncio.to_thread(gallery.get, id)
        return _file(f"{entry.id}.webp", gallery.thumbnail(entry.id))

    @api.get("/{id}/unrestored")
    async def unrestored(id: str) -> list[str]:
        """What of a picture's settings its request does not have, a line each."""
        return await collector.unrestored(id)

    @api.get("/{id}/similar", response_model=list[Similar])
    async def similar(
        id: str,
        limit: Annotated[int, Query(ge=1, le=200)] = 24,
        most: Annotated[float, Query(ge=0, le=1, description=f"difference; {NEAR} for near-duplicates")] = 1.0,
        by: Annotated[
            Literal["auto", "look", "shown"],
            Query(description="shape and colour, or what is shown, of nano's domain; auto: that, where it is known"),
        ] = "auto",
    ) -> list[dict[str, Any]]:
        """What is most like a picture."""
        if by == "auto":
            by = "shown" if most == 1 else "look"
            if by == "shown" and not await _reads(id):
                by = "look"
        elif by == "shown" and not await _reads(id):
            raise Refusal(422, f"it is not known what {id} shows: it is not of nano's domain; ask by look")
        near = await asyncio.to_thread(gallery.similar, id, limit=limit, most=most, by=by)
        return [{"difference": round(difference, 4), "picture": shown(entry)} for entry, difference in near]

    async def _reads(id: str) -> bool:
        """Whether it is known what a picture shows."""
        await asyncio.to_thread(gallery.get, id)
        await collector.reader.ready()
        mark = await asyncio.to_thread(gallery.marked, id, "shown")
        return mark is not None and any(mark)

    @api.get("/{id}/lineage", response_model=Family)
    async def lineage(id: str) -> dict[str, Any]:
        """All that a picture descends from and that descends from it, at most 200."""
        entries, edges = await asyncio.to_thread(gallery.family, id)
        return {"pictures": [shown(each) for each in entries], "edges": edges}

    return api


_PICTURE = {"requestBody": {"required": True, "content": {"image/*": {"schema": {"type": "string"}}}}}


def shown(entry: Entry) -> dict[str, Any]:
    """A picture as JSON."""
    names = Shown.model_fields.keys() - {"url", "thumbnail", "sha256"}
    return {
        **{name: getattr(entry, name) for name in names},
        "url": f"/api/v1/gallery/{entry.id}/file",
        "thumbnail": f"/api/v1/gallery/{entry.id}/thumbnail",
        "sha256": entry.digest,
    }


def _file(name: str, path: Any) -> FileResponse:
    if not path.is_file():
        raise Refusal(404, f"{name} is not there any more")
    return FileResponse(path, headers=_FOR_GOOD)
