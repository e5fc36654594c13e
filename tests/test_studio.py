"""A studio paints exactly what was asked: seeds, batches, samplers, sizes, and what it refuses."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sfumato import Studio
from sfumato.diffusion.samplers import SAMPLERS
from sfumato.diffusion.schedules import GRIDS
from sfumato.errors import RequestError
from sfumato.requests import Txt2Img
from sfumato.results import Progress


@pytest.fixture(scope="module")
def studio(tiny: Path) -> Studio:
    """On the tiny model, in float32."""
    return Studio(tiny, device="cpu", precision="fp32")


def pixels(image: Image.Image) -> bytes:
    return image.tobytes()


def test_the_same_request_gives_the_same_bytes(studio: Studio) -> None:
    first = studio.txt2img("a red fox", seed=3, steps=4)
    again = studio.txt2img("a red fox", seed=3, steps=4)
    other = studio.txt2img("a red fox", seed=4, steps=4)
    assert pixels(first[0]) == pixels(again[0])
    assert pixels(first[0]) != pixels(other[0])


def test_the_executed_request_repaints(studio: Studio) -> None:
    result = studio.txt2img("a red fox", steps=3, count=2)
    exact = result.request
    assert None not in exact.model_dump(exclude={"schedule"}).values()
    assert [pixels(i) for i in studio.run(exact)] == [pixels(i) for i in result]
    assert [pixels(i) for k in (0, 1) for i in studio.run(exact.single(k))] == [pixels(i) for i in result]


@pytest.mark.parametrize("sampler", [row.name for row in SAMPLERS])
def test_an_image_is_the_same_alone_and_in_a_batch(studio: Studio, sampler: str) -> None:
    batch = studio.txt2img("a green house", seed=5, steps=4, count=3, batch=3, sampler=sampler)
    for i, image in enumerate(batch):
        alone = studio.txt2img("a green house", seed=5 + i, steps=4, sampler=sampler)[0]
        difference = np.abs(np.asarray(image, dtype=int) - np.asarray(alone, dtype=int))
        assert difference.max() <= 1, "kernels round by batch size; more than the last bit is another picture"


@pytest.mark.parametrize("grid", [row.name for row in GRIDS.values() if not row.flow_only])
def test_every_grid_paints(studio: Studio, grid: str) -> None:
    image = studio.txt2img("a fox", seed=1, steps=3, schedule=grid)[0]
    assert np.asarray(image).std() > 1


def test_flow_grid_on_a_discrete_model_is_refused(studio: Studio) -> None:
    with pytest.raises(RequestError, match="flow"):
        studio.txt2img("a fox", schedule="shifted")


def test_guidance(studio: Studio) -> None:
    off = studio.txt2img("a red fox", seed=1, steps=3, guidance=1)[0]
    off_negative = studio.txt2img("a red fox", seed=1, steps=3, guidance=1, negative="a house")[0]
    on = studio.txt2img("a red fox", seed=1, steps=3, guidance=5)[0]
    on_negative = studio.txt2img("a red fox", seed=1, steps=3, guidance=5, negative="a house")[0]
    assert pixels(off) == pixels(off_negative)
    assert len({pixels(off), pixels(on), pixels(on_negative)}) == 3


def test_guidance_zero_follows_the_negative_prompt(studio: Studio) -> None:
    zero = studio.txt2img("a red fox", seed=1, steps=3, guidance=0, negative="a green house")[0]
    house = studio.txt2img("a green house", seed=1, steps=3, guidance=1)[0]
    difference = np.abs(np.asarray(zero, dtype=int) - np.asarray(house, dtype=int))
    assert difference.max() <= 1


def test_sizes(studio: Studio) -> None:
    assert studio.txt2img("a fox", steps=1).images[0].size == (64, 64)
    assert studio.txt2img("a fox", steps=1, width=96, height=40).images[0].size == (96, 40)
    with pytest.raises(RequestError, match="width"):
        studio.txt2img("a fox", steps=1, width=65)


def test_clip_skip(studio: Studio) -> None:
    last = studio.txt2img("a red fox", seed=1, steps=2)[0]
    before = studio.txt2img("a red fox", seed=1, steps=2, clip_skip=2)[0]
    assert pixels(last) != pixels(before)
    with pytest.raises(RequestError, match="2 layers"):
        studio.txt2img("a red fox", clip_skip=3)


def test_progress_and_cancel(studio: Studio) -> None:
    seen: list[Progress] = []

    def watch(progress: Progress) -> None:
        seen.append(progress)
        assert progress.preview()[0].size == (64, 64)
        if len(seen) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        studio.run(Txt2Img.build(prompt="a fox", model=studio.default, steps=5, seed=0), watch)
    assert [p.index for p in seen] == [0, 1, 2]
    assert seen[0].total == 5
    assert seen[0].sigma > seen[1].sigma > seen[2].sigma


def test_a_long_prompt_is_cut_with_a_warning(studio: Studio, caplog: pytest.LogCaptureFixture) -> None:
    studio.txt2img("fox " * 100, steps=1)
    assert "the model reads the first 14" in caplog.text


def test_empty_prompt_paints(studio: Studio) -> None:
    assert len(studio.txt2img("", steps=1)) == 1
