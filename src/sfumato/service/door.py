"""Who may come in, and with how much. Around the whole application; everything is refused that is not allowed.

Host             one of the names of this service: a page of elsewhere that resolves to it is not let in
Origin           the service's own: pages of others, and forms they send, are not served
Sec-Fetch-Site   same-origin or none, where a browser says it
token            when there is one, everywhere but at `OPEN` and the page's files; a browser shows its cookie
Content-Type     JSON, pictures and forms of files; what a foreign page may send unasked is not read
WebSocket        the same, by its first request
length and time  of the body, counted while it comes
"""

import asyncio
import base64
import binascii
import hashlib
import hmac
import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sfumato.service.refusals import Refusal, body_of
from sfumato.service.settings import Settings

COOKIE = "sfumato"
ASSETS = "/assets/"
HEALTH = "/api/v1/health"
OPEN = frozenset({"/", HEALTH})
"""Served without the token, as the page's files are: it asks for the token itself."""

ANY_ADDRESS = frozenset({"0.0.0.0", "::"})
"""Hosts that bind to all."""

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

PICTURES = ("/api/v1/uploads", "/api/v1/gallery/import")
"""Their body is a picture."""

FORMS = ("/v1/images/", "/upload/", "/api/upload/")
"""Beginnings of paths whose body may be a form of files."""

UNNAMED = tuple(f"{root}/{name}" for root in ("", "/api") for name in ("prompt", "queue", "interrupt"))
"""Their JSON may come as urllib and others send it that do not say what it is; never from a browser."""

BODIES: tuple[tuple[str, int], ...] = (
    *((path, 2**26) for path in PICTURES),
    ("/sdapi/v1/", 2**27),  # pictures in Base64
    ("/v1/images/", 2**27),
    ("/upload/", 2**26),
    ("/api/upload/", 2**26),
    ("/", 2**20),
)
"""Bytes that a body may have, by the beginning of the path."""

KINDS: tuple[tuple[str, str], ...] = (
    *((path, "the picture with its own, as image/png, or application/octet-stream") for path in PICTURES),
    *((path, "multipart/form-data, or application/json") for path in FORMS),
    ("/", "application/json"),
)
"""What is read there, by the beginning of the path."""

BODY_SECONDS = 60.0

HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data: blob:; frame-ancestors 'none'; "
    "base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens there."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True)
class Door:
    """Lets requests through to an application, or refuses them.

    Attributes:
        app: behind it.
        hosts: names by which the service may be called.
        any_address: it may be called by any IP address too: what binds to all has many, and no foreign name is one.
        token: must be shown, as ``Authorization: Bearer`` or as the password of ``Basic``; None: none is needed.
    """

    app: ASGIApp
    hosts: frozenset[str] = LOOPBACK
    any_address: bool = False
    token: str | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The application's answer, or a refusal in the form of its dialect."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if scope["type"] == "websocket":
            try:
                self._check(scope, headers)
            except Refusal as refusal:  # before it is accepted: the answer is 403
                await send({"type": "websocket.close", "code": 1008, "reason": str(refusal)[:100]})
                return
            await self.app(scope, receive, send)
            return
        try:
            self._check(scope, headers)
            body = await _body(scope["path"], headers, receive)
        except Refusal as refusal:
            response = JSONResponse(
                body_of(scope["path"], refusal), refusal.status, headers={**refusal.headers, **HEADERS}
            )
            await response(scope, receive, send)
            return
        given = False

        async def replay() -> Message:
            nonlocal given
            if given:
                return await receive()  # only tells when the client goes away
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await self.app(scope, replay, guarded)

    def _check(self, scope: Scope, headers: Headers) -> None:
        host = headers.get("host", "")
        if not self._ours(host):
            raise Refusal(421, f"the Host {host[:80]!r} is not one of this service; call it {sorted(self.hosts)[0]}")
        origins = headers.getlist("origin")
        scheme = {"ws": "http", "wss": "https"}.get(scope["scheme"], scope["scheme"])  # pages have these
        if any(origin != f"{scheme}://{host}" for origin in origins):
            raise Refusal(403, f"the Origin {origins[0][:80]!r} is another page; only the service's own may call it")
        site = headers.get("sec-fetch-site", "none")
        method = scope.get("method", "GET")  # a WebSocket has none
        entering = scope["path"] == "/" and method == "GET" and headers.get("sec-fetch-mode") == "navigate"
        if site not in ("same-origin", "none") and not entering:
            raise Refusal(403, f"a page of elsewhere asks (Sec-Fetch-Site: {site[:20]}); only the service's own may")
        if self.token is not None and not is_open(scope["path"]) and not self._knows(headers):
            own = headers.get("sec-fetch-site") == "same-origin"  # the page asks for the token, not the browser
            challenge = {"WWW-Authenticate": "Bearer" if own else 'Basic realm="sfumato", Bearer'}
            raise Refusal(401, "the token is missing or wrong; send Authorization: Bearer TOKEN", headers=challenge)
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        plain = not kind and headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers
        script = not origins and "sec-fetch-site" not in headers  # browsers tell, and where they ask from
        if method not in ("GET", "HEAD") and not plain and not _is_read(scope["path"], kind, script):
            right = next((kinds for beginning, kinds in KINDS if scope["path"].startswith(beginning)))
            raise Refusal(415, f"the Content-Type {kind[:40]!r} is not read here; send {right}")

    def _ours(self, host: str) -> bool:
        name = _name_of(host)
        if name in self.hosts:
            return True
        try:
            return self.any_address and str(ipaddress.ip_address(name)) == name
        except ValueError:
            return False

    def _knows(self, headers: Headers) -> bool:
        assert self.token is not None
        shown = next((value for name, value in _cookies(headers) if name == COOKIE), "")
        if hmac.compare_digest(shown.encode(), passed(self.token).encode()):
            return True
        scheme, _, shown = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "basic":
            try:
                shown = base64.b64decode(shown, validate=True).decode("utf-8", "replace").partition(":")[2]
            except (binascii.Error, ValueError):
                return False
        elif scheme.lower() != "bearer":
            return False
        return hmac.compare_digest(shown.strip().encode(), self.token.encode())


def passed(token: str) -> str:
    """What the cookie of a browser holds that has shown the token: not the token itself, which programs use."""
    return hmac.new(token.encode(), b"a browser that has shown the token", hashlib.sha256).hexdigest()


def is_open(path: str) -> bool:
    """Whether it is served without the token."""
    return path in OPEN or path.startswith(ASSETS)


def _cookies(headers: Headers) -> Iterator[tuple[str, str]]:
    for pair in headers.get("cookie", "").split(";"):
        name, _, value = pair.strip().partition("=")
        yield name, value


def _name_of(host: str) -> str:
    """A Host without its port, which must be one."""
    name, colon, port = host.rpartition(":") if not host.endswith("]") else (host, "", "")
    if not colon and not host.endswith("]"):
        name = host
    elif colon and not (port.isascii() and port.isdigit()):
        return ""
    name = name.lower()
    return name[1:-1] if name.startswith("[") and name.endswith("]") else name


def _is_read(path: str, kind: str, script: bool) -> bool:
    if path in UNNAMED and script and kind in ("", "application/x-www-form-urlencoded"):
        return True
    if path in PICTURES:
        return kind.startswith("image/") or kind == "application/octet-stream"
    return kind == "application/json" or (path.startswith(FORMS) and kind == "multipart/form-data")


async def _body(path: str, headers: Headers, receive: Receive) -> bytes:
    """The whole body, within the limits of its path."""
    limit = next(limit for beginning, limit in BODIES if path.startswith(beginning))
    announced = headers.get("content-length", "0")
    too_long = Refusal(413, f"the body has over {limit} bytes, and {path[:40]} takes no more; send less")
    if not announced.isascii() or not announced.isdigit():
        raise Refusal(400, "the Content-Length is no number")
    if int(announced[:12]) > limit:
        raise too_long
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while (message := await receive())["type"] == "http.request":
                body += message.get("body", b"")
                if len(body) > limit:
                    raise too_long
                if not message.get("more_body"):
                    break
    except TimeoutError:
        raise Refusal(408, f"the body took over {BODY_SECONDS:.0f} seconds; send it faster") from None
    return bytes(body)


def names_of(host: str, more: Iterable[str] = ()) -> frozenset[str]:
    """Names by which a service that binds to `host` may be called."""
    own = LOOPBACK if is_loopback(host) or host in ANY_ADDRESS else frozenset()
    return own | {host.lower()} | {each.lower() for each in more}


def guarded(app: ASGIApp, settings: Settings) -> Door:
    """An application behind its door.

    Raises:
        Refusal: it would listen to other machines and has no token.
    """
    if settings.token is None and not is_loopback(settings.host):
        raise Refusal(401, f"a service on {settings.host} needs a token")
    any_address = settings.host in ANY_ADDRESS
    return Door(app, names_of(settings.host, settings.hosts), any_address, settings.token)
