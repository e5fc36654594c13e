"""The unit and the container file start what is there."""

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.test_guides import unknown

PACKAGING = Path(__file__).parents[2] / "packaging"


def test_they_start_commands_that_are_known() -> None:
    unit = (PACKAGING / "sfumato.service").read_text()
    (started,) = re.findall(r"^ExecStart=/usr/bin/env (.*)$", unit, re.M)
    (entry,) = re.findall(r"^ENTRYPOINT (\[.*\])$", (PACKAGING / "Containerfile").read_text(), re.M)
    assert [unknown(words) for words in (shlex.split(started), json.loads(entry))] == [None, None]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
def test_systemd_understands_the_unit() -> None:
    command = ["systemd-analyze", "verify", str(PACKAGING / "sfumato.service")]
    process = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (process.returncode, process.stderr) == (0, "")
