"""A service with the fake worker: FOLDER PORT."""

import sys
from pathlib import Path

from sfumato.service.app import Settings
from sfumato.service.serve import serve
from tests.service.conftest import FAKE

if __name__ == "__main__":
    serve(Settings(Path(sys.argv[1]), worker=FAKE), int(sys.argv[2]))
