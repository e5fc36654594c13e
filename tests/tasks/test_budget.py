"""Budgets: what is given up for time and in which order, what is refused and with what, and what is remembered."""

import logging
import math
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from sfumato import RequestError, Studio, Txt2Img
from sfumato.adapters.applied import Applied
from sfumato.requests import Img2Img
from sfumato.runtime.remembered import Remembered
from sfumato.tasks import budget
from sfumato.tasks.budget import KEPT, ROOM, Pace, key, within

PACE = Pace(whole=1.0, shallow=0.25, once=1.0, each=1.0, share=1.0)
OWN = 24


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Remembered:
    """An empty memory, and a clock that stands still."""
    empty = Remembered(None)
    monkeypatch.setattr(budget, "paces", lambda: empty)
    return empty


@pytest.fixture
def applied(tiny: Path) -> Applied:
    model = Studio(tiny, precision="fp32").load()
    model = replace(model, family=replace(model.family, steps=OWN))
    return Applied(model, model)


def asked(applied: Applied, here: Remembered, seconds: float, **options: Any) -> Txt2Img:
    """What is planned where a painting has that pace, with so many seconds to plan."""
    request = Txt2Img(prompt="a red fox", seed=1, budget=f"{seconds / KEPT:.4f}s", **options)
    here.keep(key(applied.model, request), asdict(PACE))
    planned = within(applied, request, time.perf_counter())
    assert planned.budget is None
    assert isinstance(planned, Txt2Img)
    return planned


@pytest.mark.parametrize(
    ("seconds", "steps", "deep"),
    [
        (100, 24, 1),  # all that the model's own way has
        (26.1, 24, 1),
        (22.1, 20, 1),  # fewer steps first, down to two thirds
        (18.1, 16, 1),
        (17.1, 24, 2),  # then every second step
        (16.1, 22, 2),
        (12.1, 16, 2),
        (9.6, 12, 2),
        (8.1, 12, 3),  # 4 whole, 8 of a quarter, and two seconds beside
    ],
)
def test_time_is_saved_in_the_order_of_what_it_loses(
    applied: Applied, here: Remembered, seconds: float, steps: int, deep: int
) -> None:
    planned = asked(applied, here, seconds, width=64, height=64)
    assert (planned.steps, planned.deep_cache) == (steps, deep)


def test_what_is_given_stays(applied: Applied, here: Remembered) -> None:
    size = {"width": 64, "height": 64}
    assert asked(applied, here, 18, steps=24, **size).deep_cache == 2
    assert asked(applied, here, 18, deep_cache=3, **size).steps == 24
    assert asked(applied, here, 14.1, pag=2.0, **size).steps == 12  # with which no deep cache goes
    assert asked(applied, here, 18.1, sampler="heun", **size).deep_cache == 1  # whose steps call twice
    assert asked(applied, here, 2 * 12 + 3.1, count=2, **size).deep_cache == 2


def test_a_smaller_picture_is_the_last_resort(applied: Applied, here: Remembered) -> None:
    planned = asked(applied, here, 7.5)
    assert (planned.width, planned.height) == (56, 56)
    assert planned.steps is not None
    assert planned.steps >= 12


def test_what_cannot_be_done_is_refused_with_what_can(applied: Applied, here: Remembered) -> None:
    with pytest.raises(
        RequestError, match=r"the least is 12 of 24 steps with deep cache 3, which takes 8 seconds here"
    ):
        asked(applied, here, 5, width=64, height=64)
    with pytest.raises(
        RequestError, match=rf"give --budget {math.ceil(ROOM * 16 / KEPT)}s, or fewer --steps or fewer pic"
    ):
        asked(applied, here, 5, width=64, height=64, steps=4, pag=1.0, count=3)


def test_adaptive_steps_cannot_be_planned(applied: Applied, here: Remembered) -> None:
    with pytest.raises(RequestError, match="dpm_adaptive takes as many steps as it needs"):
        asked(applied, here, 50, sampler="dpm_adaptive")


def test_the_exact_request_has_what_ran_and_no_budget(
    tiny: Path, here: Remembered, caplog: pytest.LogCaptureFixture
) -> None:
    studio = Studio(tiny, precision="fp32")
    caplog.set_level(logging.WARNING)
    planned = studio.txt2img("a red fox", seed=1, budget="60s")
    request = planned.request
    assert isinstance(request, Txt2Img)
    assert (request.budget, request.steps, request.deep_cache) == (None, 25, 1)
    (line,) = [line for line in caplog.messages if "budget" in line]
    assert line.startswith("budget 60s: 25 steps, about ")
    assert studio.run(request).images[0].tobytes() == planned.images[0].tobytes()
    name = key(studio.load(), request.changed(width=None, height=None, batch=None, sampler=None))
    pace = Pace.read(here.get(name))
    assert pace is not None
    assert (pace.share, pace.shallow > 0) == (1.0, True)


def test_steps_that_a_strength_leaves_out_are_known(tiny: Path, here: Remembered, tmp_path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (64, 64)).save(tmp_path / "grey.png")
    options = {"prompt": "a fox", "image": str(tmp_path / "grey.png"), "model": str(tiny)}
    request = Img2Img.build(**options, strength=0.4, budget="60s")
    studio = Studio(tiny, precision="fp32")
    studio.run(request)
    pace = Pace.read(here.get(key(studio.load(), request)))
    assert pace is not None
    assert pace.share == 0.4
    assert pace.seconds(request, 50, 1) == pytest.approx(pace.once + 20 * pace.whole + pace.each)


@pytest.mark.parametrize("kept", [None, 3, {}, {**asdict(PACE), "whole": 0.0}, {**asdict(PACE), "once": math.nan}, []])
def test_a_foreign_pace_is_none(kept: Any) -> None:
    assert Pace.read(kept) is None


def test_what_costs_no_time_shares_a_pace(applied: Applied) -> None:
    one = Txt2Img(prompt="a red fox", width=64, height=64)
    assert key(applied.model, one) == key(applied.model, one.changed(prompt="a dog", seed=3, steps=9, deep_cache=2))
    for name, value in (("width", 128), ("sampler", "heun"), ("guidance", 1.0), ("batch", 2)):
        assert key(applied.model, one) != key(applied.model, one.changed(**{name: value}))


@pytest.mark.parametrize("text", ["", "fast", "-1s", "0s", "1e9", "5 days", "4G"])
def test_budgets_are_lengths_of_time(text: str) -> None:
    with pytest.raises(RequestError, match="give a number and one of s, m, h, for example 90s"):
        Txt2Img(prompt="", budget=text)


def test_fast_and_budget_are_two_ways() -> None:
    with pytest.raises(RequestError, match="fast and budget do not go together"):
        Txt2Img(prompt="", budget="60s", fast=True)
