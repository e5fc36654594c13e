"""The stopwatch itself."""

import pytest

from sfumato.errors import SfumatoError
from sfumato.requests import Txt2Img
from sfumato.results import Result
from sfumato.runtime import bench


def test_a_cold_run_is_a_process_with_a_time_and_a_peak() -> None:
    cold = bench.cold(["--version"], repeat=2)
    assert len(cold.seconds) == 2
    assert all(0 < seconds < 30 for seconds in cold.seconds)
    assert cold.peak_bytes is None or 2**20 < cold.peak_bytes < 2**32


def test_a_cold_run_that_fails_says_why() -> None:
    with pytest.raises(SfumatoError, match=r"exit code 2: steps 0 must be 1 to 1000"):
        bench.cold(["txt2img", "a", "--steps", "0"], repeat=1)


def test_a_warm_run_paints_once_before_the_clock_starts() -> None:
    asked: list[Txt2Img] = []

    def paint(request: Txt2Img) -> Result:
        asked.append(request)
        return Result([], request.changed(steps=4), [], {"sample": 2.0}, "")

    warm = bench.warm(paint, Txt2Img.build(prompt="a", seed=1), repeat=2, batch=3)
    assert [request.count for request in asked] == [1, 1, 1, 3, 3]
    assert warm.step_seconds == 0.5
    assert warm.images_per_second > 0
