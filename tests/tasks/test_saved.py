"""A painting that was cut off goes on from saved answers to the same bits, and only what is left is computed."""

import io
from pathlib import Path

import pytest
from PIL import Image

from sfumato import Img2Img, Inpaint, Request, Studio, Txt2Img
from sfumato.diffusion.saved import LIMIT, Saved
from sfumato.models.unet import UNet
from sfumato.results import Result

SMALL = {"prompt": "a red fox", "width": 32, "height": 32, "seed": 1, "steps": 5}


@pytest.fixture(scope="module")
def studio(tiny: Path) -> Studio:
    return Studio(tiny, device="cpu", precision="fp32")


def picture(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


RED, MASK = Image.new("RGB", (32, 32), "red"), Image.new("L", (32, 32))
MASK.paste(255, (8, 8, 24, 24))
TWO = {"count": 2, "batch": 1}
ASKED: dict[str, Request] = {
    "euler": Txt2Img.build(**SMALL, sampler="euler"),
    "ancestral": Txt2Img.build(**SMALL, sampler="euler_a"),
    "multistep": Txt2Img.build(**SMALL, sampler="dpmpp_2m"),
    "deep_cache": Txt2Img.build(**SMALL, sampler="heun", deep_cache=3),
    "two passes": Txt2Img.build(**SMALL, **TWO, hires=2.0, hires_steps=3),
    "inpaint": Inpaint.build(**SMALL, image=picture(RED), mask=picture(MASK), strength=0.8),
}
RARE: dict[str, Request] = {
    **{name: Txt2Img.build(**SMALL, sampler=name) for name in ("dpmpp_sde", "unipc", "lms", "dpm_adaptive")},
    "a1111": Txt2Img.build(**SMALL, sampler="dpmpp_2m_sde", numerics="a1111"),
    "batches": Txt2Img.build(**SMALL, **TWO, sampler="euler_a"),
    "img2img": Img2Img.build(**SMALL, image=picture(RED), strength=0.8),
}


def painted(studio: Studio, request: Request, saved: Saved, stop: int | None = None) -> list[bytes]:
    """Pixels; cut off after so many steps."""
    found, steps = list[bytes](), 0
    for event in studio.events(request.changed(model=studio.default), saved):
        if isinstance(event, Result):
            found += [image.tobytes() for image in event]
            continue
        steps += 1
        if steps == stop:
            break
    return found


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One for each run of a U-Net."""
    made: list[int] = []
    for name in ("whole", "shallow"):

        def noted(self: UNet, *given: object, plain: object = getattr(UNet, name)) -> object:
            made.append(1)
            return plain(self, *given)  # type: ignore[operator]

        monkeypatch.setattr(UNet, name, noted)
    return made


@pytest.mark.parametrize("name", [*ASKED, *(pytest.param(each, marks=pytest.mark.slow) for each in RARE)])
def test_it_goes_on_to_the_same_bits(name: str, studio: Studio, tmp_path: Path, calls: list[int]) -> None:
    request = (ASKED | RARE)[name]
    whole = painted(studio, request, Saved())
    all_, stop = len(calls), 7 if getattr(request, "count", 1) == 2 else 3
    painted(studio, request, Saved(tmp_path / "saved"), stop)
    before = len(calls) - all_
    assert painted(studio, request, Saved(tmp_path / "saved")) == whole
    again = len(calls) - all_ - before
    assert 0 < before < all_
    assert again <= all_ - before + (4 if name == "deep_cache" else 0)
    assert painted(studio, request, Saved(tmp_path / "saved")) == whole
    assert len(calls) == all_ + before + again


def test_answers_to_another_request_are_not_taken(studio: Studio, tmp_path: Path) -> None:
    request = ASKED["euler"]
    painted(studio, request, Saved(tmp_path / "saved"), 3)
    for other in (request.changed(prompt="a blue car"), request.changed(seed=2)):
        assert painted(studio, other, Saved(tmp_path / "saved")) == painted(studio, other, Saved())


@pytest.mark.parametrize("damage", ["cut", "changed", "more"])
def test_what_is_damaged_is_painted_anew(damage: str, studio: Studio, tmp_path: Path) -> None:
    request, file = ASKED["euler"], tmp_path / "saved"
    painted(studio, request, Saved(file), 3)
    data = file.read_bytes()
    assert len(data) < LIMIT
    middle = len(data) // 2
    file.write_bytes(
        {"cut": data[:-5], "changed": data[:middle] + b"?" + data[middle + 1 :], "more": data + b"\0" * 99}[damage]
    )
    assert painted(studio, request, Saved(file)) == painted(studio, request, Saved())
    assert painted(studio, request, Saved(file)) == painted(studio, request, Saved())


def test_where_nothing_can_be_written_it_is_painted_all_the_same(studio: Studio, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    saved = Saved(tmp_path / "file" / "saved")
    assert painted(studio, ASKED["euler"], saved) == painted(studio, ASKED["euler"], Saved())
