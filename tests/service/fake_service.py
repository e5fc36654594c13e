"""A service with the fake worker: FOLDER PORT [TOKEN]."""

import sys
from pathlib import Path

from sfumato.service.serve import serve
from sfumato.service.settings import Settings
from tests.service.conftest import FAKE


def main(folder: str, port: str, token: str | None = None) -> None:
    """Serve."""
    serve(Settings(Path(folder), worker=FAKE, token=token), int(port))


if __name__ == "__main__":
    main(*sys.argv[1:])
