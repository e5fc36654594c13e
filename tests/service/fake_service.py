"""A service with the fake worker: FOLDER PORT [TOKEN]."""

import sys
from pathlib import Path

from sfumato.service.app import Settings
from sfumato.service.serve import serve
from tests.service.conftest import FAKE

if __name__ == "__main__":
    token = sys.argv[3] if len(sys.argv) > 3 else None
    serve(Settings(Path(sys.argv[1]), worker=FAKE, token=token), int(sys.argv[2]))
