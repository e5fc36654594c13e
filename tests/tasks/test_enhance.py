"""`enhance` by the command, by Python and as JSON: steps, figures, files, bad input."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from sfumato import Denoise, Enhance, Studio, Upscale
from sfumato.cli import main
from sfumato.errors import RequestError
from sfumato.metadata import carriers
from sfumato.output import read_request
from tests.restoration.photographs import crops


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A blurred picture, and as it was."""
    folder = tmp_path_factory.mktemp("photographs")
    clean = crops(6, 96)[5]
    soft = gaussian_filter(clean, (1.6, 1.6, 0), mode="reflect")
    for name, pixels in (("soft.png", soft), ("clean.png", clean)):
        Image.fromarray((pixels * 255 + 0.5).astype(np.uint8)).save(folder / name)
    return folder / "soft.png", folder / "clean.png"


def test_the_command_measures_each_step_and_repeats(
    photographs: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    soft, clean = photographs
    out, plot = tmp_path / "out.png", tmp_path / "plot.png"
    words = [
        "enhance",
        soft,
        "--deblur",
        "auto",
        "--light",
        "0.1",
        "--clean",
        clean,
        "-o",
        out,
        "--plot",
        plot,
        "--json",
    ]
    assert main([*map(str, words)]) == 0
    facts = json.loads(capsys.readouterr().out)
    given, sharp, light = facts["report"]["rows"]
    assert sharp["psnr"] > given["psnr"] + 0.5
    assert sharp["blur"] < given["blur"]
    assert light["light"] > sharp["light"] + 0.01
    assert "with nlm" in sharp["picture"] or "with ours" in sharp["picture"]
    request = read_request(out)
    assert isinstance(request, Enhance)
    assert request.deblur == pytest.approx(1.6, rel=0.3)
    assert request.prior != "auto"
    assert request.sigma == 3  # blur that is estimated is not trusted further
    with Image.open(out) as image:
        assert b"digitalsourcetype/algorithmicallyEnhanced<" in image.info["xmp"]
    assert not carriers.read(carriers.load(out)).generated
    assert Image.open(plot).width > 2 * 320
    assert main(["replay", str(out)]) == 0
    assert capsys.readouterr().out.strip() == "identical"


def test_python_and_json_give_the_same(photographs: tuple[Path, Path]) -> None:
    studio = Studio()
    options = {"white_balance": True, "contrast": "auto", "sharpen": 0.8}
    first = studio.enhance(photographs[0], **options)  # type: ignore[arg-type]
    assert isinstance(first.request, Enhance)
    assert first.request.contrast == "auto"
    again = studio.run(Enhance.from_json(first.request.to_json()))
    assert np.array_equal(np.asarray(first[0]), np.asarray(again[0]))
    assert first.report is not None
    assert first.report.answer == "white balanced, contrast auto, sharpened 0.8"


def test_a_file_says_what_kind_of_source_it_is() -> None:
    kinds = [
        Enhance.build(image="x.png", light=1.0),
        Upscale.build(image="x.png"),
        Upscale.build(image="x.png", refine="a cup"),
        Denoise.build(image="x.png", method="diffusion"),
    ]
    enhanced, composite = "algorithmicallyEnhanced", "compositeWithTrainedAlgorithmicMedia"
    assert [request.source for request in kinds] == [enhanced, enhanced, composite, composite]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "nothing is to be done; give deblur"),
        ({"deblur": 9}, "deblur is 9; give auto or a number from 0 to 8"),
        ({"deblur": "much"}, "deblur is 'much'; give auto or a number"),
        ({"contrast": float("nan")}, "contrast is nan; give auto or a number"),
        ({"deblur": True}, "deblur is True; give auto"),
        ({"light": 3.0}, "light 3.0 must be -2 to 2"),
    ],
)
def test_values_that_mean_nothing_are_refused(options: dict[str, object], said: str) -> None:
    with pytest.raises(RequestError, match=said):
        Enhance.build(image="x.png", **options)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "CMYK", "I;16"])
def test_a_picture_of_one_pixel_of_any_mode_is_no_trouble(mode: str, tmp_path: Path) -> None:
    path = tmp_path / ("dot.tif" if mode == "CMYK" else "dot.png")
    Image.new(mode, (1, 1)).save(path)
    result = Studio().enhance(path, deblur="auto", contrast="auto", sharpen=1.0, light=0.5)
    assert result[0].size == (1, 1)
    assert Studio().enhance(path, deblur=2.0)[0].size == (1, 1)


def test_transparency_and_depth_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    clear = np.dstack([(crops(3, 48)[2] * 255).astype(np.uint8), np.full((48, 48), 255, np.uint8)])
    clear[:10, :, 3] = 0
    Image.fromarray(clear).save(path)
    made = Studio().enhance(path, sharpen=1.0, white_balance=True)[0]
    assert np.array_equal(np.asarray(made)[..., 3], clear[..., 3])
    Image.fromarray((crops(3, 48)[2].mean(2) * 65535).astype(np.uint16)).save(path)
    deep = Studio().enhance(path, contrast=1.2)[0]
    assert deep.mode == "I;16"
    assert len(np.unique(np.asarray(deep))) > 200
    with pytest.raises(RequestError, match="is grey, and has no white to balance"):
        Studio().enhance(path, white_balance=True)
    with pytest.raises(RequestError, match="is no JPEG"):
        Studio().enhance(path, jpeg=True)
