"""What parity means, and a note of each distance that was measured, for `docs/parity.md` (see `page.py`)."""

import os

import numpy as np
import torch

RELATIVE = 1e-4
LEVELS = 2.0

MEASURED: list[tuple[str, str, float]] = []
"""(test, what was compared, how far apart) of this run."""


def _note(what: str, distance: float) -> None:
    test = os.environ.get("PYTEST_CURRENT_TEST", "").split(" ")[0]
    MEASURED.append((test, what, distance))


def assert_close(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    """Relative L2 distance below 1e-4."""
    assert ours.shape == theirs.shape
    distance = float((ours - theirs).norm() / theirs.norm())
    _note("relative", distance)
    assert distance < RELATIVE, f"{distance:.2e} apart"


def assert_same_picture(ours: object, theirs: np.ndarray) -> None:
    """A picture (Pillow's, or an array in [0, 1]) within 2/255 of another in every value; neither may be flat."""
    array = ours if isinstance(ours, np.ndarray) else np.asarray(ours, dtype=np.float32) / 255
    assert array.std() > 0.02, "a flat picture proves nothing"
    distance = float(np.abs(array - theirs).max()) * 255
    _note("levels", distance)
    assert distance <= LEVELS, f"{distance:.2f} levels apart"
