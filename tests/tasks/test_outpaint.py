"""Outpainting: what stays, how large canvases are filled, what is refused."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from sfumato import Studio
from sfumato.adapters.applied import Applied
from sfumato.errors import RequestError
from sfumato.requests import Inpaint
from sfumato.requests.fields import MAX_SEED
from sfumato.results import Progress, Result
from sfumato.tasks.inpaint import inpainted
from sfumato.tasks.outpaint import rounds

SEED = 3


@pytest.fixture(scope="module")
def studio(tiny: Path) -> Studio:
    return Studio(tiny, device="cpu", precision="fp32")


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    rows = np.indices((48, 64)).sum(0)
    return Image.fromarray(np.stack([rows * 2, 255 - rows * 2, rows * 37 % 256], -1).astype(np.uint8))


@pytest.mark.parametrize("margins", [{"left": 16, "right": 8}, {"right": 72, "top": 24}, {"bottom": 13}])
def test_every_byte_stands_but_for_the_overlap(margins: dict[str, int], studio: Studio, photo: Image.Image) -> None:
    seen: list[tuple[int, int]] = []
    result = studio.outpaint(
        photo,
        "a fox",
        overlap=8,
        steps=2,
        seed=SEED,
        on_step=lambda progress: seen.append((progress.index, progress.total)),
        **margins,  # type: ignore[arg-type]
    )
    left, top = margins.get("left", 0), margins.get("top", 0)
    width, height = 64 + left + margins.get("right", 0), 48 + top + margins.get("bottom", 0)
    assert result[0].size == (width, height)
    there = np.asarray(result[0].crop((left, top, left + 64, top + 48)), int)
    changed = np.abs(there - np.asarray(photo, int)).max(-1) > 0
    rows, columns = np.nonzero(changed)
    reach = {"left": columns, "right": 63 - columns, "top": rows, "bottom": 47 - rows}
    assert np.min([reach[side] for side in margins], axis=0).max() < 8
    outside = np.asarray(result[0], int).std()
    assert outside > 10
    assert [index for index, _ in seen] == list(range(seen[0][1]))
    assert len(result.measures["seam"]) == 1
    assert studio.run(result.request)[0].tobytes() == result[0].tobytes()


def test_pictures_are_independent_of_their_number(studio: Studio, photo: Image.Image) -> None:
    several = studio.outpaint(photo, "a fox", left=16, steps=2, seed=SEED, count=2)
    alone = studio.outpaint(photo, "a fox", left=16, steps=2, seed=SEED + 1)
    assert several.seeds == [SEED, SEED + 1]
    assert several[1].tobytes() == alone[0].tobytes()


def test_each_round_has_its_own_noise(studio: Studio, photo: Image.Image, monkeypatch: pytest.MonkeyPatch) -> None:
    seeds: list[int] = []

    def watched(applied: Applied, request: Inpaint, *rest: Any) -> Iterator[Progress | Result]:
        assert request.seed is not None
        seeds.append(request.seed)
        return inpainted(applied, request, *rest)

    monkeypatch.setattr("sfumato.tasks.outpaint.inpainted", watched)
    result = studio.outpaint(photo, "a fox", right=128, steps=1, seed=MAX_SEED)
    assert len(seeds) > 1
    assert seeds[0] == MAX_SEED
    noises = {float(torch.rand((), generator=torch.Generator().manual_seed(seed))) for seed in seeds}
    assert len(noises) == len(seeds)
    assert result.seeds == [MAX_SEED]


@pytest.mark.parametrize(
    ("size", "known"),
    [
        ((64, 64), (16, 16, 48, 48)),
        ((300, 40), (100, 0, 164, 40)),
        ((200, 150), (10, 20, 90, 140)),
        ((64, 500), (0, 200, 64, 264)),
    ],
)
def test_rounds_fill_the_canvas_and_begin_beside_what_is_known(
    size: tuple[int, int], known: tuple[int, int, int, int]
) -> None:
    full = np.zeros(size[::-1], bool)
    full[known[1] : known[3], known[0] : known[2]] = True
    for left, top, right, bottom in rounds(size, known, (64, 64)):
        region = full[top:bottom, left:right]
        assert region.any()
        assert not region.all()
        assert max(region.shape) <= 64
        full[top:bottom, left:right] = True
    assert full.all()


def test_what_is_refused(studio: Studio, photo: Image.Image) -> None:
    with pytest.raises(RequestError, match="are all 0; give one of them"):
        studio.outpaint(photo, "a fox")
    with pytest.raises(RequestError, match="the canvas is 8256x48"):
        studio.outpaint(photo, "a fox", left=4096, right=4096)
