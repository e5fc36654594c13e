"""Each trial of `tests.faults.trials`, a few times."""

from pathlib import Path

import pytest

from tests.faults import page
from tests.faults.trials import TRIALS, Trial, can_mount, full_disks


@pytest.mark.parametrize("trial", [each for each in TRIALS if each.few], ids=lambda each: each.name)
def test_a_promise_is_kept(trial: Trial, tmp_path: Path) -> None:
    if trial.run is full_disks and not can_mount():
        pytest.skip("a small disk is mounted by root alone")
    assert trial.run(tmp_path, trial.few)


def test_the_page_is_what_was_seen() -> None:
    """Its figures are those of a run."""
    assert page.PAGE.read_text() == page.page(page.seen())
    assert page.seen().keys() <= {each.name for each in TRIALS}
