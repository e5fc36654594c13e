"""Scenes: a wide picture by tiles of the model's size."""

from pathlib import Path

import pytest

from sfumato import Progress, Scene, Studio
from sfumato.output import read_request


@pytest.fixture(scope="module")
def studio(tiny: Path) -> Studio:
    return Studio(tiny, device="cpu", precision="fp32")


def test_a_scene_is_one_picture_by_tiles(studio: Studio, tmp_path: Path) -> None:
    seen: list[Progress] = []
    result = studio.scene("hills", seed=4, count=2, steps=2, size="160x64", on_step=seen.append)
    side = min(studio.load().size)
    exact = result.request
    assert isinstance(exact, Scene)
    assert (exact.tile, exact.tile_overlap) == (side, side // 2)
    assert result.seeds == [4, 5]
    assert len(seen) == 4, "a step is one of the whole picture"
    wide = studio.txt2img("hills", seed=5, steps=2, size="160x64", tile=side, tile_overlap=side // 2)
    assert result[1].tobytes() == wide[0].tobytes()
    files = result.save(tmp_path / "a.png")
    one = read_request(files[1])
    assert isinstance(one, Scene)
    assert studio.run(one)[0].tobytes() == result[1].tobytes()


def test_a_scene_as_small_as_a_picture_is_one(studio: Studio) -> None:
    width, height = studio.load().size
    small = studio.scene("hills", seed=4, steps=2, size=(width, height))
    assert small[0].tobytes() == studio.txt2img("hills", seed=4, steps=2)[0].tobytes()
    assert studio.scene("hills", seed=4, steps=2)[0].size == (3 * width, height)
