"""`fast` with a model that has a student: what is painted by it, and what is left to the model."""

from typing import Any

import numpy as np
import pytest

from sfumato import Studio
from sfumato.adapters.students import STUDENTS, hurried
from sfumato.requests import Img2Img, Lora, Painting, Source, Txt2Img

PROMPT = "a cute blue monster, orange background"


@pytest.fixture(scope="module")
def studio() -> Studio:
    return Studio("nano", device="cpu", precision="fp32")


def test_one_step_and_the_picture_says_how(studio: Studio) -> None:
    result = studio.txt2img(PROMPT, seed=3, fast=True)
    exact = result.request
    assert isinstance(exact, Txt2Img)
    assert (exact.steps, exact.sampler, exact.guidance, exact.fast) == (1, "lcm", 1.0, False)
    assert [lora.name for lora in exact.loras] == ["nano-turbo"]
    assert result.provenance.caption == "cute monster, blue body, orange background", "the lexicon reads as ever"
    again = studio.run(exact)
    assert again.images[0].tobytes() == result.images[0].tobytes()


def test_it_listens(studio: Studio) -> None:
    """Its backgrounds are those asked for; two seeds are two pictures."""
    red, green = (
        np.asarray(studio.txt2img(f"toon portrait, glasses, {colour} background", seed=1, fast=True).images[0], float)
        for colour in ("red", "green")
    )
    assert red[:24, :24, 0].mean() > red[:24, :24, 1].mean() + 60
    assert green[:24, :24, 1].mean() > green[:24, :24, 0].mean() + 60
    one, other = studio.txt2img(PROMPT, seed=1, count=2, fast=True).images
    assert np.abs(np.asarray(one, float) - np.asarray(other, float)).mean() > 4


@pytest.mark.parametrize(
    "changes",
    [
        {"fast": False}, {"negative": "hat"}, {"steps": 4}, {"sampler": "heun"}, {"guidance": 3.0}, {"hires": 1.5},
        {"model": "another"}, {"tileable": "both"},
    ],
)  # fmt: skip
def test_what_goes_another_way_is_left_to_the_model(changes: dict[str, Any]) -> None:
    request = Txt2Img(**{"prompt": PROMPT, "fast": True, **changes})
    assert hurried(request) is request


def test_what_is_not_in_its_way_is_kept() -> None:
    request = Txt2Img(prompt=PROMPT, fast=True, seed=4, count=3, width=128, loras=(Lora(name="ink", weight=0.5),))
    faster = hurried(request)
    assert (faster.seed, faster.count, faster.width) == (4, 3, 128)
    assert [lora.name for lora in faster.loras] == ["ink", STUDENTS["nano"].lora]
    edit: Painting = Img2Img(prompt=PROMPT, image=Source(sha256="0" * 64), fast=True)
    assert hurried(edit) is edit
