"""The stopwatch itself."""

from pathlib import Path

import pytest

from sfumato.cli import bench
from sfumato.errors import SfumatoError
from sfumato.metadata.provenance import Provenance
from sfumato.requests import Txt2Img
from sfumato.results import Result


def test_a_cold_run_is_a_process_with_a_time_and_a_peak() -> None:
    cold = bench.cold(["--version"], repeat=2)
    assert len(cold.seconds) == 2
    assert all(seconds > 0 for seconds in cold.seconds)
    assert cold.peak_bytes is None or 2**20 < cold.peak_bytes < 2**32


def test_a_cold_run_that_fails_says_why() -> None:
    with pytest.raises(SfumatoError, match=r"exit code 2: steps 0 must be 1 to 1000"):
        bench.cold(["txt2img", "a", "--steps", "0"], repeat=1)


def test_a_warm_run_paints_once_before_the_clock_starts() -> None:
    asked: list[Txt2Img] = []

    def paint(request: Txt2Img) -> Result:
        asked.append(request)
        return Result([], request.changed(steps=4), [], {"sample": 2.0}, Provenance(""))

    warm = bench.warm(paint, Txt2Img.build(prompt="a", seed=1), repeat=2, batch=3)
    assert [request.count for request in asked] == [1, 1, 1, 3, 3]
    assert warm.step_seconds == 0.5
    assert warm.images_per_second > 0


@pytest.mark.slow
def test_a_load_is_measured_in_processes_of_their_own(tiny: Path) -> None:
    measured = bench.load(tiny, device="cpu", precision="fp32", repeat=1)
    assert len(measured.ready_seconds) == len(measured.load_seconds) == len(measured.cpu_seconds) == 1
    assert 0 < measured.load_seconds[0] < measured.ready_seconds[0]
    assert measured.file_bytes == sum(file.stat().st_size for file in tiny.rglob("*.safetensors"))
    assert measured.peak_ratio is None or measured.peak_ratio > 1


def test_a_load_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(SfumatoError, match=r"exit code 2: .*has no model_index.json"):
        bench.load(tmp_path, device="cpu", precision="fp32", repeat=1)
