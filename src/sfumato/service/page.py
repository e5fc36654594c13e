"""The page at ``/``: built from the repository's `web` (``make page``), read once, and served from memory.

Its files hold nothing secret and are served without the token; what they show comes through the API, which asks for it.
"""

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from types import MappingProxyType

from fastapi import APIRouter, Request, Response

from sfumato.service.door import ASSETS, COOKIE, passed
from sfumato.service.refusals import Refusal

KINDS: Mapping[str, str] = MappingProxyType(
    {
        "html": "text/html; charset=utf-8",
        "js": "text/javascript; charset=utf-8",
        "css": "text/css; charset=utf-8",
        "svg": "image/svg+xml",
        "webp": "image/webp",
        "txt": "text/plain; charset=utf-8",
    }
)
_DENSE = ("webp",)


@dataclass(frozen=True)
class Asset:
    """A file of the page."""

    kind: str
    plain: bytes
    packed: bytes | None
    tag: str


def assets() -> dict[str, Asset]:
    """The files of the built page by their addresses."""
    folder = resources.files("sfumato.service") / "web"
    named = {"/": folder / "index.html"}
    named |= {f"{ASSETS}{file.name}": file for file in (folder / "assets").iterdir()}
    return {address: _asset(file.name, file.read_bytes()) for address, file in named.items()}


def _asset(name: str, data: bytes) -> Asset:
    ending = name.rpartition(".")[2]
    packed = None if ending in _DENSE else gzip.compress(data, 9, mtime=0)
    return Asset(KINDS[ending], data, packed, f'"{hashlib.sha256(data).hexdigest()[:32]}"')


def router(token: str | None) -> APIRouter:
    """The routes of the page, and those by which a browser shows the token and forgets it."""
    api = APIRouter()
    files = assets()

    @api.get("/", include_in_schema=False)
    async def root(request: Request) -> Response:
        """The page."""
        return _sent(files["/"], request)

    @api.get(ASSETS + "{name}", include_in_schema=False)
    async def asset(request: Request, name: str) -> Response:
        """A file of the page."""
        found = files.get(f"{ASSETS}{name}")
        if found is None:
            raise Refusal(404, f"the page has no file {name[:40]!r}")
        return _sent(found, request)

    @api.post("/api/v1/session", status_code=204, tags=["service"])
    async def enter(response: Response) -> None:
        """For browsers: whoever shows the token gets a cookie that stands for it."""
        if token is not None:
            response.set_cookie(COOKIE, passed(token), max_age=365 * 86400, httponly=True, samesite="strict")

    @api.delete("/api/v1/session", status_code=204, tags=["service"])
    async def leave(response: Response) -> None:
        """For browsers: forget the cookie."""
        response.delete_cookie(COOKIE, httponly=True, samesite="strict")

    return api


def _sent(asset: Asset, request: Request) -> Response:
    headers = {"ETag": asset.tag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
    if request.headers.get("if-none-match") == asset.tag:
        return Response(status_code=304, headers=headers)
    data = asset.plain
    if asset.packed is not None and "gzip" in request.headers.get("accept-encoding", ""):
        data = asset.packed
        headers["Content-Encoding"] = "gzip"
    return Response(data, media_type=asset.kind, headers=headers)
