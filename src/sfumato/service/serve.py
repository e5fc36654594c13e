"""Runs a service until it is told to end."""

import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sfumato.errors import SfumatoError
from sfumato.service.app import Settings, create


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


def serve(settings: Settings, port: int) -> None:
    """Listen, and say where; a token that had to be made is printed once.

    Raises:
        SfumatoError: another service uses the folder.
    """
    import uvicorn

    with alone(settings.folder):
        app = create(settings)
        shown = f"[{settings.host}]" if ":" in settings.host else settings.host
        print(f"sfumato listens at http://{shown}:{port}", file=sys.stderr, flush=True)
        uvicorn.run(
            app,
            host=settings.host,
            port=port,
            log_level="warning",  # no access log: addresses hold nothing secret, and still are nobody's business
            server_header=False,
            timeout_graceful_shutdown=5,
            limit_concurrency=512,
            ws_max_size=2**16,  # nothing is read that clients say there
        )


def new_token() -> str:
    """256 random bits."""
    return secrets.token_urlsafe(32)
