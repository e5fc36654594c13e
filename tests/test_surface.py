"""The public surface: what is exported is there, typed, and keeps what it is told."""

import inspect
import re
from pathlib import Path

import pytest
from docs import api, shorthand

import sfumato
from sfumato import Studio
from sfumato.errors import RequestError, UnknownNameError
from sfumato.output import read_request
from sfumato.requests import REQUESTS


@pytest.fixture(scope="module")
def studio(tiny: Path) -> Studio:
    return Studio(tiny, device="cpu", precision="fp32")


def test_exports_are_there_and_listed() -> None:
    assert dir(sfumato) == sorted(sfumato.__all__)
    assert all(getattr(sfumato, name) is not None for name in sfumato.__all__)
    with pytest.raises(AttributeError, match="studio_"):
        sfumato.studio_  # noqa: B018
    exported = {name for names in sfumato._HOMES.values() for name in names} | {"__version__"}
    assert exported == set(sfumato.__all__)
    assert {kind.__name__ for kind in REQUESTS.values()} <= set(sfumato.__all__)


def test_the_reference_is_of_what_is_exported() -> None:
    """Regenerate with ``python -m docs.api``."""
    named = re.findall(r"^### (\w+)$", api.PAGE.read_text(encoding="utf-8"), re.M)
    assert {"Studio", "Txt2Img", "Result"} <= set(named) <= set(sfumato.__all__)


def test_methods_are_those_of_the_requests() -> None:
    """Regenerate with ``python -m docs.shorthand``."""
    assert shorthand.PAGE.read_text(encoding="utf-8") == shorthand.page()
    for task, kind in REQUESTS.items():
        assert list(inspect.signature(getattr(Studio, task)).parameters)[-1] == "options"
        assert (kind.__doc__ or "").startswith((getattr(Studio, task).__doc__ or "?").strip())


def test_options_are_checked_as_those_of_requests(studio: Studio) -> None:
    with pytest.raises(UnknownNameError, match="unknown option 'stepz'; did you mean steps"):
        studio.txt2img("a fox", stepz=4)  # type: ignore[call-arg]
    with pytest.raises(RequestError, match=r"width must be a whole number, not 256.0; write width=256"):
        studio.txt2img("a fox", width=256.0)  # type: ignore[arg-type]


@pytest.mark.parametrize("given", ["a fox", {"task": "txt2img", "prompt": "a fox"}, None])
def test_what_is_no_request_is_not_run(studio: Studio, given: object) -> None:
    with pytest.raises(RequestError, match=r"is no request; give one, as sfumato.Txt2Img"):
        studio.run(given)  # type: ignore[arg-type]


def test_size_may_be_told_as_people_do(studio: Studio) -> None:
    assert studio.txt2img("a fox", size="32x48", steps=1)[0].size == (32, 48)
    assert studio.txt2img("a fox", size=(48, 32), steps=1)[0].size == (48, 32)


def test_progress_is_told_and_cancelled_by_every_method(studio: Studio) -> None:
    seen: list[int] = []
    batches: list[int] = []
    studio.txt2img(
        "a fox",
        steps=2,
        count=2,
        seed=0,
        on_step=lambda progress: seen.append(progress.index),
        on_batch=lambda batch: batches.append(len(batch)),
    )
    assert (seen, batches) == ([0, 1, 0, 1], [1, 1])


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp"])
def test_a_picture_saved_by_itself_keeps_its_request(name: str, studio: Studio, tmp_path: Path) -> None:
    result = studio.txt2img("a fox", steps=1, seed=4, count=2)
    result[1].save(tmp_path / name)
    assert read_request(tmp_path / name) == result.request.single(1)
    [_, whole] = result.save(tmp_path / f"all-{name}")
    assert (tmp_path / name).read_bytes() == whole.read_bytes()


def test_a_picture_is_a_picture(studio: Studio, tmp_path: Path) -> None:
    image = studio.txt2img("a fox", steps=1, seed=4)[0]
    image.save(tmp_path / "a.bmp")
    assert image.resize((8, 8)).size == (8, 8)
    assert type(image.copy()).__name__ == "Image"


def test_a_studio_says_what_it_is(tiny: Path) -> None:
    studio = Studio(tiny, device="cpu", precision="fp32")
    assert "nothing loaded" in repr(studio)
    studio.load()
    assert repr(studio) == f"<sfumato.Studio of {tiny} on cpu, float32, tiny loaded>"
