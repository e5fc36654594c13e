"""The data of the restorers' recipe."""

from pathlib import Path

import numpy as np
from recipes.restore import data

from sfumato.restoration import network


def test_the_page_of_sources_is_that_of_the_code() -> None:
    """Regenerate with ``python -m recipes.restore.data --sources``."""
    assert Path(data.__file__).with_name("SOURCES.md").read_text(encoding="utf-8") == data.sources()
    assert (network.BUNDLED / "SOURCES.md").read_text(encoding="utf-8") == data.sources()  # beside the weights
    named = [name for pictures in data.SOURCES.values() for name in pictures]
    assert set(data.HELD_OUT) <= set(named)
    licences = [licence for pictures in data.SOURCES.values() for licence in pictures.values()]
    assert all(licence.startswith(("CC BY ", "CC BY-SA ", "CC0 ")) for licence in licences)


def test_radiographs_are_drawn_from_their_number_alone() -> None:
    one, again = data.radiograph(3, 64), data.radiograph(3, 64)
    assert np.array_equal(one, again)
    assert (one.min(), one.max()) == (0, 1)
    assert not np.array_equal(one, data.radiograph(4, 64))
