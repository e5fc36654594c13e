"""Runs a service until it is told to end."""

import contextlib
import os
import secrets
import socket
import sys
import threading
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sfumato.errors import SfumatoError
from sfumato.service.door import ANY_ADDRESS, guarded
from sfumato.service.opening import Opening, Taker
from sfumato.service.settings import Settings

if TYPE_CHECKING:
    from fastapi import FastAPI


CONNECTIONS = 960
"""At a time, of all clients: systems give a process 1,024 open files unless told otherwise."""


def default_folder() -> Path:
    """Where a service keeps its data unless told otherwise."""
    home = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(home).expanduser() / "sfumato"


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """This process is the only service of a folder.

    Raises:
        SfumatoError: another one is there.
    """
    import fcntl

    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise SfumatoError(f"another service uses {folder}; end it, or give another --data") from None
        yield


def serve(settings: Settings, port: int, *, open: bool = False) -> None:
    """Listen, and say where; what answers is loaded then, see `opening`.

    Args:
        open: show the page in the browser of whoever started it.

    Raises:
        SfumatoError: another service uses the folder, nothing can listen there, or the database cannot be used.
    """
    import uvicorn

    from sfumato.service.connections import Connection

    def load(taken_by: Callable[[Taker], None]) -> "FastAPI":
        from sfumato.service.desk import Desk

        desk = Desk.of(settings)
        taken_by(desk.take)
        from sfumato.service.app import application

        return application(settings, desk)

    def stop() -> None:
        server.should_exit = True

    opening = Opening(load, stop)
    config = uvicorn.Config(
        guarded(opening, settings),
        http=Connection,
        log_level="warning",  # no access log: addresses hold nothing secret, and still are nobody's business
        server_header=False,
        timeout_graceful_shutdown=5,
        limit_concurrency=CONNECTIONS,
        ws_max_size=2**16,  # nothing is read that clients say there
    )
    server = uvicorn.Server(config)
    with alone(settings.folder), contextlib.ExitStack() as opened:
        sockets = [opened.enter_context(each) for each in listening(settings.host, port)]
        everywhere = settings.host in ANY_ADDRESS
        url = f"http://{'127.0.0.1' if everywhere else in_url(settings.host)}:{port}"
        others = f", for other machines at http://{in_url(outer_address())}:{port}" if everywhere else ""
        print(f"sfumato listens at {url}{others}", file=sys.stderr, flush=True)
        if open:
            threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()  # some wait for its end
        with contextlib.suppress(KeyboardInterrupt):
            server.run(sockets)
    if opening.error is not None:
        raise opening.error


def in_url(host: str) -> str:
    """A host as addresses of pages have it."""
    return f"[{host}]" if ":" in host else host


def outer_address() -> str:
    """By what other machines of the network call this one, or its name where it has no network. Nothing is sent."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        asked.connect(("192.0.2.1", 9))  # of no machine (RFC 5737); which of our addresses leads there is known here
        return str(asked.getsockname()[0])
    return socket.gethostname()


def listening(host: str, port: int) -> list[socket.socket]:
    """Sockets at each address of a host.

    Raises:
        SfumatoError: it has none of this machine, or somebody listens there.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        addresses = {(family, address[:2]) for family, _, _, _, address in found}
        return [socket.create_server(address, family=family, backlog=2048) for family, address in sorted(addresses)]
    except OSError as error:
        why = (error.strerror or str(error)).partition(" (")[0].lower()
        raise SfumatoError(f"nothing can listen at {host} port {port}: {why}; give another --port or --host") from None


def new_token() -> str:
    """256 random bits."""
    return secrets.token_urlsafe(32)
