"""The Hub's side of a download, on the loopback: its addresses, headers, redirects and errors, as the Hub gives them.

GET  /api/models/ORG/NAME/revision/R?blobs=true     the commit, and the files with their sizes
HEAD /ORG/NAME/resolve/R/FILE                       small files: 200; large ones: 302 to another address
GET  the address that HEAD gave, with Range
"""

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub:
    """Repositories as dictionaries of files, and what was asked of them."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.elsewhere = f"http://localhost:{port}"
        """Another host by its name, as that of the large files is: a token must not go there."""
        self.files: dict[str, dict[str, bytes]] = {}
        self.gated: set[str] = set()
        self.token: str | None = None
        """What private and gated repositories ask for."""
        self.private: set[str] = set()
        self.cuts = 0
        """How many more answers break off in the middle of a large file."""
        self.hold: threading.Event | None = None
        """While it is not set, large files stop in their middle."""
        self.asked: list[tuple[str, str]] = []
        self.leaked = False
        """A token came along to the large files."""
        self.broken = False

    def got(self) -> list[str]:
        """The files that were fetched, by the last part of their names."""
        return sorted(path.rsplit("/", 1)[1] for method, path in self.asked if method == "GET" and "/api/" not in path)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append((self.command, path))
        self.hub.leaked |= path.startswith("/cdn/") and "Authorization" in self.headers
        if self.hub.broken:
            self._send(503, b"", {})
        elif found := re.fullmatch(r"/api/models/([^/]+/[^/]+)/revision/(.+)", path):
            self._info(found[1], found[2])
        elif found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            self._resolve(found[1], found[2], found[3])
        elif found := re.fullmatch(r"/cdn/([0-9a-f]+)/.+", path):
            self._blob(found[1])
        else:
            self._send(404, b"", {})

    def _refused(self, repo: str, revision: str) -> bool:
        allowed = self.headers.get("Authorization") == f"Bearer {self.hub.token}"
        if repo not in self.hub.files or (repo in self.hub.private and not allowed):
            self._send(401, b"{}", {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"})
        elif repo in self.hub.gated and not allowed and self.command == "HEAD":
            self._send(403, b"{}", {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access is restricted"})
        elif revision not in ("main", "v1.5", COMMIT):
            self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound", "X-Error-Message": "Invalid rev id"})
        else:
            return False
        return True

    def _info(self, repo: str, revision: str) -> None:
        if self._refused(repo, revision):
            return
        files = [{"rfilename": name, "size": len(data)} for name, data in self.hub.files[repo].items()]
        body = {"_id": "1", "id": repo, "modelId": repo, "sha": COMMIT, "siblings": files, "tags": [], "private": False}
        self._send(200, json.dumps(body).encode(), {"Content-Type": "application/json"})

    def _resolve(self, repo: str, revision: str, name: str) -> None:
        if self._refused(repo, revision):
            return
        data = self.hub.files[repo].get(name)
        if data is None:
            self._send(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
            return
        digest = hashlib.sha256(data).hexdigest()
        headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{digest[:40]}"'}
        if name.endswith(".safetensors"):
            headers |= {"X-Linked-Size": str(len(data)), "X-Linked-ETag": f'"{digest}"'}
            self._send(
                302, b"", {**headers, "Location": f"{self.hub.elsewhere}/cdn/{digest}/{name.rsplit('/', 1)[-1]}"}
            )
        else:
            self._send(200, data, headers)

    def _blob(self, digest: str) -> None:
        blobs = (data for files in self.hub.files.values() for data in files.values())
        data = next(data for data in blobs if hashlib.sha256(data).hexdigest() == digest)
        start = int((self.headers.get("Range") or "bytes=0-")[6:].split("-")[0])
        rest, headers = data[start:], {}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        if self.hub.cuts and self.command == "GET":
            self.hub.cuts -= 1
            self._send(206 if start else 200, rest[: len(rest) // 2], headers, length=len(rest))
            self.close_connection = True
            return
        self._send(206 if start else 200, rest, headers, hold=self.hub.hold)

    def _send(
        self,
        status: int,
        body: bytes,
        headers: dict[str, str],
        *,
        length: int | None = None,
        hold: threading.Event | None = None,
    ) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body) if length is None else length), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if hold is not None:
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
            hold.wait(20)
            body = body[len(body) // 2 :]
        self.wfile.write(body)


@contextmanager
def serving() -> Iterator[Hub]:
    """A Hub for as long as the context lasts."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    hub = Hub(server.server_address[1])
    server.RequestHandlerClass = type("Handler", (_Handler,), {"hub": hub})
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
