"""The number format: measured once, remembered, overruled when asked."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from sfumato.errors import RequestError, UnknownNameError
from sfumato.runtime import precision
from sfumato.runtime.devices import choose_device

SLOW, FAST = precision.Measured(1e-3, 0.9e-3, 1e-3, 0.9e-3), precision.Measured(2e-3, 1e-3, 2e-3, 1e-3)


@pytest.fixture
def race(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[precision.Measured], list[int]]:
    """Fix the outcome of the race, with an empty cache; the list grows with every race."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def fix(outcome: precision.Measured) -> list[int]:
        races: list[int] = []

        def measure() -> precision.Measured:
            races.append(1)
            return outcome

        monkeypatch.setattr(precision, "measure", measure)
        return races

    return fix


def test_the_faster_format_wins_only_by_a_clear_margin(race: Callable[[precision.Measured], list[int]]) -> None:
    race(FAST)
    choice = precision.choose("cpu")
    assert choice.dtype == torch.bfloat16
    assert "2.00 times" in choice.reason


def test_float32_keeps_the_job_in_a_close_race(race: Callable[[precision.Measured], list[int]]) -> None:
    race(SLOW)
    assert precision.choose("cpu").dtype == torch.float32


def test_a_machine_races_once(race: Callable[[precision.Measured], list[int]], tmp_path: Path) -> None:
    races = race(FAST)
    assert precision.choose("cpu") == precision.choose("cpu")
    assert len(races) == 1
    assert [path.suffix for path in (tmp_path / "cache" / "sfumato").iterdir()] == [".json"]


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"\xff", b'{"float32_conv": 1}', json.dumps(dict.fromkeys(FAST.__dict__, 0)).encode()],
)
def test_a_broken_memory_is_measured_again(
    race: Callable[[precision.Measured], list[int]], tmp_path: Path, content: bytes
) -> None:
    races = race(FAST)
    precision.choose("cpu")
    (kept,) = (tmp_path / "cache" / "sfumato").iterdir()
    kept.write_bytes(content)
    assert precision.choose("cpu").dtype == torch.bfloat16
    assert len(races) == 2
    precision.choose("cpu")
    assert len(races) == 2


def test_a_cache_that_cannot_be_written_is_no_trouble(
    race: Callable[[precision.Measured], list[int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    races = race(SLOW)
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert precision.choose("cpu").dtype == torch.float32
    assert precision.choose("cpu").dtype == torch.float32
    assert len(races) == 2


def test_what_is_asked_for_is_not_measured(race: Callable[[precision.Measured], list[int]]) -> None:
    races = race(FAST)
    assert precision.choose("cpu", "fp32").dtype == torch.float32
    assert precision.choose("cpu", "bf16").dtype == torch.bfloat16
    assert precision.choose("cuda", "fp16").dtype == torch.float16
    assert precision.choose("mps").dtype == torch.float16
    assert races == []


def test_wrong_precisions_are_explained() -> None:
    with pytest.raises(RequestError, match="fp16 is for accelerators"):
        precision.choose("cpu", "fp16")
    with pytest.raises(UnknownNameError, match="did you mean bf16"):
        precision.choose("cpu", "bf61")  # type: ignore[arg-type]


def test_the_race_is_short_and_leaves_the_threads_alone() -> None:
    threads = torch.get_num_threads()
    measured = precision.measure()
    assert torch.get_num_threads() == threads
    assert all(0 < seconds < 1 for seconds in measured.__dict__.values())


@pytest.mark.parametrize("name", ["", "gpu", "cpu0", "cuda:x", "CPU", "cuda:²"])
def test_unknown_devices_are_named(name: str) -> None:
    with pytest.raises(UnknownNameError, match="device"):
        choose_device(name)


def test_devices_that_are_not_here_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(RequestError, match="use cpu"):
        choose_device("cuda")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(RequestError, match="0 to 1"):
        choose_device("cuda:2")
    assert choose_device("cuda:1") == torch.device("cuda", 1)
    assert choose_device("auto") == torch.device("cuda")


def test_the_cpu_is_always_here() -> None:
    assert choose_device("cpu") == torch.device("cpu")


@pytest.mark.gpu
def test_an_accelerator_computes_in_what_is_chosen() -> None:
    device = choose_device("auto")
    x = torch.randn(64, 64, device=device, dtype=precision.choose(device).dtype)
    assert bool(torch.isfinite(x @ x).all())
