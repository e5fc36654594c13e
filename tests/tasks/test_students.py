"""`fast` with a model that has a student: what is painted by it, and what is left to the model."""

from pathlib import Path
from typing import Any

import pytest

from sfumato import Studio
from sfumato.adapters.students import STUDENTS, hurried
from sfumato.adapters.trained import Form, attach
from sfumato.adapters.written import Trained, write_adapter
from sfumato.recognition.judge import bundled
from sfumato.requests import Img2Img, Lora, Painting, Source, Txt2Img

PROMPT = "a cute blue monster, orange background"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a file by the name of nano's student, which changes nothing."""
    folder = tmp_path_factory.mktemp("loras")
    model = Studio("nano", device="cpu", precision="fp32").load()
    attached, adapters = attach(model, Form(rank=1, targets=["attn2.to_q"]))
    pieces = [Trained(name, parts, attached.scales[name]) for name, parts in adapters.pieces().items()]
    write_adapter(folder, "nano-turbo", pieces, model, {})
    return folder


@pytest.fixture
def student(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SFUMATO_LORAS", str(folder))


@pytest.mark.usefixtures("student")
def test_one_step_and_the_picture_says_how() -> None:
    studio = Studio("nano", device="cpu", precision="fp32")
    result = studio.txt2img(PROMPT, seed=3, fast=True)
    exact = result.request
    assert isinstance(exact, Txt2Img)
    assert (exact.steps, exact.sampler, exact.guidance, exact.fast) == (1, "lcm", 1.0, False)
    assert [lora.name for lora in exact.loras] == ["nano-turbo"]
    assert result.provenance.caption == "cute monster, blue body, orange background", "the lexicon reads as ever"
    assert studio.run(exact).images[0].tobytes() == result.images[0].tobytes()


def test_the_bundled_one_paints_what_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SFUMATO_LORAS", raising=False)
    result = Studio("nano", device="cpu", precision="fp32").txt2img("a red robot on white", seed=3, fast=True)
    assert isinstance(result.request, Txt2Img)
    assert result.request.steps == 1
    [seen] = bundled().recognise(result.images)
    assert {"kind": "character", "style": "bottts", "body_color": "red", "background": "white"}.items() <= (
        seen.attributes.items()
    )


@pytest.mark.usefixtures("student")
def test_what_an_expert_paints_is_no_student_s() -> None:
    studio = Studio("nano", device="cpu", precision="fp32")
    exact = studio.txt2img("a beach", seed=3, fast=True, width=64, height=64).request
    assert isinstance(exact, Txt2Img)
    assert exact.fast
    assert exact.loras == ()


def test_without_its_file_fast_is_as_for_any_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SFUMATO_LORAS", raising=False)
    monkeypatch.setattr("sfumato.adapters.students.available", lambda sort: {})
    request = Txt2Img(prompt=PROMPT, fast=True)
    assert hurried(request) is request


@pytest.mark.usefixtures("student")
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


@pytest.mark.usefixtures("student")
def test_what_is_not_in_its_way_is_kept() -> None:
    request = Txt2Img(prompt=PROMPT, fast=True, seed=4, count=3, width=128, loras=(Lora(name="ink", weight=0.5),))
    faster = hurried(request)
    assert (faster.seed, faster.count, faster.width) == (4, 3, 128)
    assert [lora.name for lora in faster.loras] == ["ink", STUDENTS["nano"].lora]
    edit: Painting = Img2Img(prompt=PROMPT, image=Source(sha256="0" * 64), fast=True)
    assert hurried(edit) is edit
