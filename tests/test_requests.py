"""Requests: every value is checked, every complaint is one clear line of ours, JSON gives the same request back."""

import subprocess
import sys
from collections.abc import Callable
from typing import TypeVar, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sfumato.choices import Sampler, Schedule
from sfumato.diffusion import grids, samplers
from sfumato.errors import RequestError, UnknownNameError
from sfumato.requests import MAX_SEED, Img2Img, Txt2Img, draw_seed, parse_size

Made = TypeVar("Made")

BAD = [
    ({}, "prompt is missing"),
    ({"prompt": 4}, "prompt must be text, not 4"),
    ({"prompt": "a\0b"}, "control character U+0000 at place 1; remove it"),
    ({"prompt": "a\x1b[2J"}, "U+001B"),
    ({"prompt": "\ud800"}, "not Unicode text"),
    ({"prompt": "a" * 8193}, "has 8193 characters; at most 8192"),
    ({"negative": "a" * 8193}, "negative has 8193"),
    ({"model": ""}, "model is empty; leave it out"),
    ({"seed": -1}, f"seed -1 must be 0 to {MAX_SEED}; use 0 or leave it out"),
    ({"seed": MAX_SEED + 1}, "must be 0 to"),
    ({"seed": MAX_SEED, "count": 2}, f"use {MAX_SEED - 1} or less"),
    ({"seed": 10**5000}, "must be 0 to"),
    ({"seed": "1"}, "seed must be a whole number, not '1'"),
    ({"seed": True}, "must be a whole number, not True"),
    ({"count": 0}, "count 0 must be 1 to 10000; use 1"),
    ({"batch": 65}, "batch 65 must be 1 to 64; use 64"),
    ({"steps": 0}, "steps 0 must be 1 to 1000; use 1"),
    ({"steps": -5}, "steps -5"),
    ({"steps": 2.5}, "whole number, not 2.5"),
    ({"steps": 1e9}, "steps 1000000000.0 must be 1 to 1000; use 1000 or leave it out"),
    ({"seed": np.arange(4)}, "seed must be a whole number, not array([0, 1, 2, 3])"),
    ({"seed": np.zeros((40, 40))}, "seed must be a whole number, not array([[0., 0., "),
    ({"guidance": float("nan")}, "guidance nan must be 0 to 100"),
    ({"guidance": float("inf")}, "use 100"),
    ({"guidance": -0.1}, "guidance -0.1 must be 0 to 100; use 0"),
    ({"guidance": "high"}, "must be a number"),
    ({"guidance_rescale": 1.1}, "must be 0 to 1; use 1"),
    ({"width": 100}, "width 100 must be a multiple of 8 from 16 to 8192; use 96 or 104"),
    ({"width": 3}, "use 16"),
    ({"height": 8200}, "use 8192"),
    ({"height": -64}, "use 16"),
    ({"width": 8192, "height": 8192, "count": 17}, "use count 16 or less"),
    ({"clip_skip": 0}, "clip_skip 0 must be 1 to 12"),
    ({"original_size": 1024}, "original_size is 1024; give two whole numbers, for example [1024, 768]"),
    ({"original_size": (1024, 768, 3)}, "give two whole numbers"),
    ({"target_size": (True, 768)}, "give two whole numbers"),
    ({"crop": (-1, 0)}, "both must be 0 to 65536"),
    ({"aesthetic": 11.0}, "aesthetic 11.0 must be 0 to 10; use 10"),
]

NAMES = [
    ({"sampler": "eular"}, "did you mean euler"),
    ({"sampler": "zzz"}, "known: ddim, "),
    ({"schedule": "karas"}, "did you mean karras"),
    ({"size": "256x256"}, "unknown option 'size'; did you mean width and height?"),
    ({"guidance_scale": 7.5}, "unknown option 'guidance_scale'; did you mean guidance?"),
    ({"stepz": 4}, "unknown option 'stepz'; did you mean steps or seg or hires_steps?"),
    ({"task": "txt2imgs"}, "did you mean txt2img"),
]


def test_numbers_of_numpy_are_numbers() -> None:
    request = Txt2Img.build(prompt="a", seed=np.int64(3), steps=np.uint8(4), guidance=np.float32(1.5))
    assert (request.seed, request.steps, request.guidance) == (3, 4, 1.5)
    assert Txt2Img.from_json(request.to_json()) == request


def test_a_picture_s_digest_has_a_form() -> None:
    with pytest.raises(RequestError, match=r"^image sha256 is 'abc'; give 64 hexadecimal digits"):
        Img2Img.build(prompt="a", image={"sha256": "abc"})
    with pytest.raises(RequestError, match=r"^image is missing; give a picture: its path, or over HTTP"):
        Img2Img.build(prompt="a")


@pytest.mark.parametrize(("options", "message"), BAD)
def test_bad_values_are_explained_on_one_line(options: dict[str, object], message: str) -> None:
    options = {"prompt": "a", **options} if options else {}
    with pytest.raises(RequestError) as caught:
        Txt2Img.build(**options)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(("options", "message"), NAMES)
def test_unknown_names_get_offers(options: dict[str, object], message: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        Txt2Img.build(**{"prompt": "a", **options})
    assert message in str(caught.value)


def test_defaults_leave_the_model_its_choices() -> None:
    request = Txt2Img.build(prompt="a red apple")
    assert (request.seed, request.steps, request.sampler, request.guidance, request.width) == (None,) * 5
    assert (request.negative, request.model, request.count) == ("", "nano", 1)


@pytest.mark.parametrize(
    "options",
    [
        {"prompt": ""},
        {"prompt": "两只猫\non a\troof"},
        {"prompt": "a" * 8192},
        {"seed": 0},
        {"seed": MAX_SEED},
        {"guidance": 0},
        {"guidance": 1},
        {"steps": 1000},
        {"width": 16, "height": 8192},
    ],
)
def test_limits_themselves_are_legal(options: dict[str, object]) -> None:
    request = Txt2Img.build(**{"prompt": "a", **options})
    assert all(getattr(request, name) == value for name, value in options.items())


def test_a_request_does_not_change() -> None:
    with pytest.raises(ValidationError):
        Txt2Img.build(prompt="a").prompt = "b"  # type: ignore[misc]


def test_changed_checks_again() -> None:
    request = Txt2Img.build(prompt="a", seed=1)
    assert request.changed(steps=5) == Txt2Img.build(prompt="a", seed=1, steps=5)
    with pytest.raises(RequestError, match="steps 0"):
        request.changed(steps=0)


def test_single_is_the_request_of_one_picture() -> None:
    request = Txt2Img.build(prompt="a", seed=5, count=3, batch=2)
    assert request.single(2) == Txt2Img.build(prompt="a", seed=7, count=1, batch=1)
    with pytest.raises(RequestError, match="0 to 2"):
        request.single(3)
    with pytest.raises(RequestError, match="give it a seed"):
        Txt2Img.build(prompt="a").single(0)


def test_drawn_seeds_are_legal_and_differ() -> None:
    seeds = [draw_seed() for _ in range(5)]
    assert len(set(seeds)) > 1
    assert all(Txt2Img.build(prompt="a", seed=seed).seed == seed for seed in seeds)


# ------------------------------------------------------------------------------------------------- any input at all


def attempt(make: Callable[[], Made]) -> Made | RequestError:
    try:
        return make()
    except RequestError as error:
        return error


@given(st.text(st.characters(codec=None)))
def test_any_prompt_is_a_request_or_a_request_error(prompt: str) -> None:
    request = attempt(lambda: Txt2Img.build(prompt=prompt))
    if isinstance(request, Txt2Img):
        assert request.prompt == prompt
        assert Txt2Img.from_json(request.to_json()) == request
    else:
        assert str(request).isprintable()


ANYTHING = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.lists(st.integers())


@given(st.dictionaries(st.sampled_from(sorted(Txt2Img.model_fields)) | st.text(max_size=10), ANYTHING))
def test_any_options_are_a_request_or_a_request_error(options: dict[str, object]) -> None:
    request = attempt(lambda: Txt2Img.build(**options))
    if isinstance(request, Txt2Img):
        assert Txt2Img.from_json(request.to_json()) == request
    else:
        assert str(request).isprintable()


REQUESTS = st.builds(
    Txt2Img,
    prompt=st.text(max_size=40).filter(str.isprintable),
    seed=st.none() | st.integers(0, MAX_SEED),
    guidance=st.none() | st.floats(0, 100),
    guidance_rescale=st.floats(0, 1),
    sampler=st.none() | st.sampled_from(get_args(Sampler)),
    width=st.none() | st.integers(2, 100).map(lambda n: 8 * n),
    steps=st.none() | st.integers(1, 1000),
)


@given(REQUESTS)
def test_json_gives_the_same_request_back(request: Txt2Img) -> None:
    text = request.to_json()
    assert Txt2Img.from_json(text) == request
    assert Txt2Img.from_json(text).to_json() == text


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "3", '{"prompt": "a", "steps": -1}', "[" * 10_000, '{"prompt": NaN}', "a" * 2**21, b"\xff\xfe{"],
)
def test_foreign_json_is_refused(text: str | bytes) -> None:
    with pytest.raises(RequestError) as caught:
        Txt2Img.from_json(text)
    assert str(caught.value).isprintable()


@given(st.integers(0, 10**9 - 1), st.integers(0, 10**9 - 1), st.sampled_from("xX×"))
def test_sizes_parse(width: int, height: int, times: str) -> None:
    assert parse_size(f" {width}{times}{height} ") == (width, height)


@given(st.text())
def test_any_size_is_two_numbers_or_a_request_error(text: str) -> None:
    size = attempt(lambda: parse_size(text))
    assert "for example 256x256" in str(size) if isinstance(size, RequestError) else len(size) == 2


@pytest.mark.parametrize("text", ["", "256", "x", "256x", "-8x8", "8.5x8", "256x256x256", "٣x٣", "1" * 5000 + "x8"])
def test_wrong_sizes_are_refused(text: str) -> None:
    with pytest.raises(RequestError, match="WIDTHxHEIGHT"):
        parse_size(text)


# ---------------------------------------------------------------------------------------------------------- the house


def test_names_are_those_of_the_mathematics() -> None:
    assert set(get_args(Sampler)) == {sampler.name for sampler in samplers.SAMPLERS}
    assert set(get_args(Schedule)) == set(grids.GRIDS)


def test_requests_are_cheap_to_import() -> None:
    code = "import sys, sfumato.requests, sfumato.results, sfumato.output; print([m for m in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not any(f"'{name}'" in loaded for name in ("torch", "numpy", "PIL", "rich"))


def test_what_is_settled_is_of_exact_requests_alone() -> None:
    exact = Txt2Img(prompt="", seed=3, batch=1, steps=4, guidance=2.0, width=64, height=32)
    assert exact.settled == (3, 3, 1, 4, 2.0, (64, 32))
    with pytest.raises(RequestError, match="leaves steps, height open"):
        _ = exact.changed(steps=None, height=None).settled
