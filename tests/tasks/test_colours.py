"""Colorize holds luminance; match brings colours together; both repeat themselves."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sfumato import Colorize, Match, Studio, cli
from sfumato.colours import oklab
from sfumato.errors import RequestError
from sfumato.output import read_request
from sfumato.tasks.colorize import LUMA, lit


@pytest.fixture(scope="module")
def studio(tiny: Path) -> Studio:
    return Studio(tiny, device="cpu", precision="fp32")


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    rows = np.indices((40, 61)).sum(0)
    return Image.fromarray(np.stack([rows * 2, 255 - rows * 2, rows * 37 % 256], -1).astype(np.uint8))


def test_luminance_is_set_and_colours_fit() -> None:
    pixels = torch.rand((2, 3, 8, 8), generator=torch.Generator().manual_seed(0)) * 3 - 1.5
    light = torch.linspace(-1, 1, 64).view(1, 1, 8, 8)
    found = lit(pixels, light)
    luma = (found * torch.tensor(LUMA)[:, None, None]).sum(1, keepdim=True)
    assert (luma - light).abs().max() < 1e-5
    assert found.abs().max() <= 1 + 1e-5
    inside = lit(pixels.clamp(-0.2, 0.2), torch.zeros(1, 1, 8, 8))
    kept = pixels.clamp(-0.2, 0.2)
    assert torch.allclose(inside[:, 0] - inside[:, 1], kept[:, 0] - kept[:, 1], atol=1e-6)


@pytest.mark.parametrize("strength", [1.0, 0.5])
def test_a_colorized_picture_has_the_luminance_of_the_grey_one(
    strength: float, studio: Studio, photo: Image.Image, tmp_path: Path
) -> None:
    photo.convert("L").save(tmp_path / "grey.png")
    result = studio.colorize(tmp_path / "grey.png", "a fox", strength=strength, steps=3, seed=1)
    assert result[0].size == photo.size
    ours, theirs = (np.asarray(each.convert("L"), int) for each in (result[0], photo))
    assert np.abs(ours - theirs).max() <= 1
    assert result.measures["luminance_error"][0] < 0.05
    assert np.ptp(np.asarray(result[0], int), axis=-1).max() > 0  # colours there are
    [file] = result.save(tmp_path / "a.png")
    assert isinstance(read_request(file), Colorize)
    assert studio.run(read_request(file))[0].tobytes() == result[0].tobytes()


def test_match_brings_colours_together(studio: Studio, photo: Image.Image, tmp_path: Path) -> None:
    like = Image.merge("RGB", [photo.getchannel(2), photo.getchannel(0), photo.getchannel(0)]).resize((20, 20))
    half = studio.match(photo, like=like, strength=0.5)
    whole = studio.match(photo, like=like)
    assert whole.report is not None
    before, after = (row["apart"] for row in whole.report.rows)
    assert isinstance(before, float)
    assert isinstance(after, float)
    assert after < before / 4
    assert half.report is not None
    assert after < float(half.report.rows[1]["apart"] or 0) < before
    assert isinstance(whole.request, Match)
    light = studio.match(photo, like=like, colours_only=True)
    ours, theirs = (oklab(np.asarray(each) / 255)[..., 0] for each in (light[0], photo))
    assert np.abs(ours - theirs).max() < 0.01


def test_the_command_wants_a_picture_to_match(
    photo: Image.Image, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo.save(tmp_path / "a.png")
    assert cli.main(["match", str(tmp_path / "a.png")]) == 2
    assert "like" in capsys.readouterr().err
    with pytest.raises(RequestError):
        Match.build(image="a.png", like="b.png", strength=1.5)
