"""OpenMP's threads wait briefly in our processes, as the user wishes where he says so, and as ever in his own."""

import os
import subprocess
import sys

import pytest

from sfumato.runtime.threads import CHOSEN, SPINS, wait_briefly, waiting_briefly


@pytest.fixture(autouse=True)
def _nothing_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in CHOSEN:
        monkeypatch.delenv(name, raising=False)


def said_by_openmp(code: str, **variables: str) -> str:
    """What libgomp in torch has read from the environment, if it is libgomp."""
    environment = {**os.environ, **variables, "OMP_DISPLAY_ENV": "verbose"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return done.stderr


@pytest.mark.slow
def test_the_library_that_is_loaded_later_reads_it() -> None:
    command = "from sfumato.cli import main; main(['doctor'])"
    if "GOMP_SPINCOUNT" in said_by_openmp("import torch"):
        assert f"GOMP_SPINCOUNT = '{SPINS}'" in said_by_openmp(command)
        assert "GOMP_SPINCOUNT = '7'" in said_by_openmp(command, GOMP_SPINCOUNT="7")
        assert f"GOMP_SPINCOUNT = '{SPINS}'" not in said_by_openmp("import sfumato.studio, torch")


@pytest.mark.parametrize("name", CHOSEN)
def test_what_the_user_chose_stands(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "ACTIVE")
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    assert not wait_briefly()
    with waiting_briefly():
        assert {other: os.environ.get(other) for other in CHOSEN} == dict.fromkeys(CHOSEN) | {name: "ACTIVE"}


def test_once_torch_is_loaded_it_is_too_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", sys)
    assert not wait_briefly()
    assert "GOMP_SPINCOUNT" not in os.environ


def test_processes_that_are_started_inherit_it() -> None:
    code = "import os; print(os.environ.get('GOMP_SPINCOUNT'))"
    with waiting_briefly():
        inside = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert inside.stdout.strip() == SPINS
    assert "GOMP_SPINCOUNT" not in os.environ
