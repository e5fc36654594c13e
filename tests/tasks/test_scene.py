"""Scenes: the middle is the picture that its seed paints alone, and the rest goes on from it."""

from pathlib import Path

import numpy as np
import pytest

from sfumato import Progress, Scene, Studio
from sfumato.output import read_request


@pytest.fixture(scope="module")
def studio(tiny: Path) -> Studio:
    return Studio(tiny, device="cpu", precision="fp32")


def test_the_middle_is_what_its_seed_paints(studio: Studio, tmp_path: Path) -> None:
    seen: list[Progress] = []
    result = studio.scene("hills", seed=4, count=2, steps=2, size="160x64", overlap=8, on_step=seen.append)
    width, height = studio.load().size
    assert [image.size for image in result] == [(160, 64)] * 2
    assert result.seeds == [4, 5]
    assert {each.image for each in seen} == {0, 1}
    for image, seed in zip(result, result.seeds, strict=True):
        alone = np.asarray(studio.txt2img("hills", seed=seed, steps=2, size=(min(160, width), min(64, height)))[0])
        left = (160 - alone.shape[1]) // 2
        inner = slice(8, alone.shape[1] - 8)
        assert (np.asarray(image)[:, left : left + alone.shape[1]][:, inner] == alone[:, inner]).all()
    files = result.save(tmp_path / "a.png")
    one = read_request(files[1])
    assert isinstance(one, Scene)
    assert studio.run(one)[0].tobytes() == result[1].tobytes()


def test_a_scene_as_small_as_a_picture_is_one(studio: Studio) -> None:
    width, height = studio.load().size
    small = studio.scene("hills", seed=4, steps=2, size=(width, height))
    assert small[0].tobytes() == studio.txt2img("hills", seed=4, steps=2)[0].tobytes()
    assert studio.scene("hills", seed=4, steps=2)[0].size == (3 * width, height)
