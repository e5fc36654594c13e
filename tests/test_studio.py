"""A studio paints exactly what was asked: seeds, batches, samplers, sizes, and what it refuses."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sfumato import Studio
from sfumato.diffusion.grids import GRIDS
from sfumato.diffusion.samplers import SAMPLERS
from sfumato.errors import OutputError, RequestError
from sfumato.requests import Txt2Img
from sfumato.results import Progress, Result


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
    chosen = ("seed", "batch", "steps", "sampler", "guidance", "width", "height")
    assert None not in [getattr(exact, name) for name in chosen]
    assert [pixels(i) for i in studio.run(exact)] == [pixels(i) for i in result]
    assert [pixels(i) for k in (0, 1) for i in studio.run(exact.single(k))] == [pixels(i) for i in result]


@pytest.mark.parametrize(
    "sampler",
    [pytest.param(row.name, marks=pytest.mark.slow if row.name == "dpm_adaptive" else ()) for row in SAMPLERS],
)
def test_an_image_is_the_same_alone_and_in_a_batch(studio: Studio, sampler: Any) -> None:
    batch = studio.txt2img("a green house", seed=5, steps=4, count=2, batch=2, sampler=sampler)
    for i, image in enumerate(batch):
        alone = studio.txt2img("a green house", seed=5 + i, steps=4, sampler=sampler)[0]
        difference = np.abs(np.asarray(image, dtype=int) - np.asarray(alone, dtype=int))
        assert difference.max() <= 1, "kernels round by batch size; more than the last bit is another picture"


@pytest.mark.parametrize("grid", [row.name for row in GRIDS.values() if not row.flow_only])
def test_every_grid_paints(studio: Studio, grid: Any) -> None:
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
        assert progress.glimpse is not None
        assert progress.glimpse()[0].size == (64, 64)
        if len(seen) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        studio.run(Txt2Img.build(prompt="a fox", model=studio.default, steps=5, seed=0), watch)
    assert [p.index for p in seen] == [0, 1, 2]
    assert seen[0].total == 5
    assert seen[0].sigma > seen[1].sigma > seen[2].sigma


def test_batches_are_given_as_they_are_painted(studio: Studio, tmp_path: Path) -> None:
    """Each with its part of the metadata and digests: saved one by one they are the files of the whole."""
    request = Txt2Img.build(prompt="a fox", model=studio.default, steps=2, seed=3, count=3, batch=2)
    steps: list[int] = []
    given: list[tuple[int, int, int]] = []

    def keep(batch: Result) -> None:
        given.append((batch.first, len(batch), len(steps)))
        batch.save(tmp_path / "parts" / "a.png")

    whole = studio.run(request, lambda progress: steps.append(progress.index), keep)
    whole.save(tmp_path / "whole" / "a.png")
    assert given == [(0, 2, 2), (2, 1, 4)]
    for name in ("a-1.png", "a-2.png", "a-3.png"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_batch_that_cannot_be_kept_ends_the_painting(studio: Studio) -> None:
    request = Txt2Img.build(prompt="a fox", model=studio.default, steps=1, seed=3, count=3)
    given: list[Result] = []

    def keep(batch: Result) -> None:
        given.append(batch)
        raise OutputError("the disk is full")

    with pytest.raises(OutputError):
        studio.run(request, on_batch=keep)
    assert [batch.seeds for batch in given] == [[3]]


def test_a_long_prompt_is_read_to_its_end(studio: Studio) -> None:
    words = "fox " * 40
    one = studio.txt2img(words + "red", seed=1, steps=2)[0]
    other = studio.txt2img(words + "green", seed=1, steps=2)[0]
    assert pixels(one) != pixels(other)


def test_weights_and_schedules_in_prompts(studio: Studio) -> None:
    plain = pixels(studio.txt2img("a red fox", seed=1, steps=4)[0])
    assert pixels(studio.txt2img("a (red:1.0) fox", seed=1, steps=4)[0]) == plain
    assert pixels(studio.txt2img("a (red:1.6) fox", seed=1, steps=4)[0]) != plain
    assert pixels(studio.txt2img("a [red:green:1.0] fox", seed=1, steps=4)[0]) == plain
    assert pixels(studio.txt2img("a [red:green:0.5] fox", seed=1, steps=4)[0]) != plain
    with_parentheses = studio.txt2img("a (red:1.6) fox", seed=1, steps=4, prompt_syntax="plain")[0]
    assert pixels(with_parentheses) != plain


@pytest.mark.parametrize("sampler", ["euler", "heun", "dpmpp_sde"])
def test_a_scheduled_prompt_changes_at_its_step(studio: Studio, sampler: str) -> None:
    """Until the change the picture forms exactly as without it."""
    clean: dict[str, list[bytes]] = {}
    for prompt in ("a red fox", "a [red:green:2] fox"):
        request = Txt2Img.build(prompt=prompt, model=studio.default, steps=4, seed=0, sampler=sampler)
        seen: list[bytes] = []
        studio.run(request, lambda progress, seen=seen: seen.append(pixels(progress.preview()[0])))  # type: ignore[misc]
        clean[prompt] = seen
    same = [a == b for a, b in zip(*clean.values(), strict=True)]
    assert same[:2] == [True, True]
    assert not same[3]


def test_composition(studio: Studio) -> None:
    doubled = studio.txt2img("a fox AND a fox :0.5", seed=1, steps=3, guidance=4)[0]
    plain = studio.txt2img("a fox", seed=1, steps=3, guidance=6)[0]
    difference = np.abs(np.asarray(doubled, dtype=int) - np.asarray(plain, dtype=int))
    assert difference.max() <= 1


def test_networks_that_are_not_there_are_refused_by_name(studio: Studio) -> None:
    with pytest.raises(RequestError, match="unknown lora 'ink'"):
        studio.txt2img("a fox <lora:ink:0.7>")


def test_empty_prompt_paints(studio: Studio) -> None:
    assert len(studio.txt2img("", steps=1)) == 1


def test_a_folder_says_itself_what_it_predicts(studio: Studio) -> None:
    with pytest.raises(RequestError, match="is a folder, whose prediction"):
        studio.txt2img("a fox", prediction="v")
