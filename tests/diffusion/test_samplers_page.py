"""The page of measurements is that of the code."""

import pytest

from tests.diffusion.sampler_page import PAGE, error_rows, grid_rows, rows


def assert_current(measured: list[str], written: list[str]) -> None:
    for new, old in zip(measured, written, strict=True):
        try:
            number = float(old)
        except ValueError:
            assert new == old
        else:
            assert float(new) == pytest.approx(number, abs=0.101 if "e" not in old else 0, rel=0.1)


@pytest.mark.slow
def test_the_page_is_current() -> None:
    """Names exactly; orders within a tenth and errors within a tenth of themselves, as machines round apart."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    tables = [line.strip("| ").split(" | ") for line in lines if line.startswith("| ")]
    written = [cells for cells in tables if cells[0] not in ("---", "sampler", "grid")]
    measured = [*rows(), *error_rows(), *grid_rows()]
    assert len(written) == len(measured), "run python -m tests.diffusion.sampler_page"
    for new, old in zip(measured, written, strict=True):
        assert_current(new, old)
