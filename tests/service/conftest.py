"""A service whose worker is a program of a few lines."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sfumato.service.jobs import Jobs

FAKE = (sys.executable, str(Path(__file__).parent / "fake_worker.py"))


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[Jobs]:
    found = Jobs.in_folder(tmp_path, limit=4)
    yield found
    found.close()
