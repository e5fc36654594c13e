"""`denoise` by the command, by Python and as JSON: figures, files, bad input."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sfumato import Denoise, Studio
from sfumato.cli import main
from sfumato.errors import RequestError
from sfumato.output import read_request
from tests.restoration.photographs import crops


@pytest.fixture(scope="module")
def photograph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photographs") / "cup.png"
    Image.fromarray((crops(3, 96)[2] * 255).astype(np.uint8)).save(path)
    return path


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    code = main(["denoise", *map(str, words)])
    out, err = capsys.readouterr()
    return code, out, err


def test_the_command_measures_against_the_picture_that_it_made_noisy(
    photograph: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, plot = tmp_path / "out.png", tmp_path / "plot.png"
    words = (photograph, "--add-noise", "25", "--method", "nlm", "-o", out, "--plot", plot, "--json")
    code, printed, err = run(capsys, *words)
    assert code == 0, err
    facts = json.loads(printed)
    rows = {row["picture"]: row for row in facts["report"]["rows"]}
    assert rows["nlm"]["psnr"] > rows["noisy"]["psnr"] + 3
    assert rows["nlm"]["ssim"] > rows["noisy"]["ssim"]
    assert facts["request"]["sigma"] == pytest.approx(25, rel=0.1)
    assert facts["files"] == [str(out)]
    assert Image.open(plot).width > 2 * 320
    assert "psnr" in err


def test_what_was_written_repeats_itself(photograph: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.png"
    assert run(capsys, photograph, "--add-noise", "20:poisson", "--method", "wavelet", "-o", out)[0] == 0
    request = read_request(out)
    assert isinstance(request, Denoise)
    assert (request.method, request.noise) == ("wavelet", "poisson")
    assert main(["replay", str(out)]) == 0
    assert capsys.readouterr().out.strip() == "identical"
    assert main(["meta", "read", str(out)]) == 0


def test_python_and_json_give_the_same(photograph: Path) -> None:
    studio = Studio()
    first = studio.denoise(photograph, sigma=15.0, method="tv")
    again = studio.run(Denoise.from_json(first.request.to_json()))
    assert np.array_equal(np.asarray(first[0]), np.asarray(again[0]))
    assert first.report is not None
    assert first.report.answer.startswith("sigma 15, tv")
    assert first[0].size == (96, 96)


def test_structure_that_goes_with_the_noise_is_told(photograph: Path) -> None:
    studio = Studio()
    too_much = studio.denoise(photograph, sigma=100.0, method="tv").report
    assert too_much is not None
    assert any("structure" in remark for remark in too_much.remarks)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"sigma": 0.0}, "sigma"),
        ({"sigma": 256.0}, "sigma"),
        ({"add_noise": "0"}, "add_noise is '0'; give a standard deviation above 0"),
        ({"add_noise": "25:salt"}, "add_noise is '25:salt'"),
        ({"method": "bm4d"}, "bm4d"),
    ],
)
def test_values_that_mean_nothing_are_refused(photograph: Path, options: dict[str, object], said: str) -> None:
    with pytest.raises(RequestError, match=said):
        Denoise.build(image=str(photograph), **options)


def test_a_reference_of_another_size_is_refused(photograph: Path, tmp_path: Path) -> None:
    small = tmp_path / "small.png"
    Image.new("RGB", (8, 8)).save(small)
    with pytest.raises(RequestError, match=r"small.png is 8x8 and .*cup.png 96x96; a reference shows the same"):
        Studio().denoise(photograph, clean=small)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "CMYK", "1"])
def test_a_picture_of_one_pixel_of_any_mode_is_no_trouble(mode: str, tmp_path: Path) -> None:
    path = tmp_path / ("dot.tif" if mode == "CMYK" else "dot.png")
    Image.new(mode, (1, 1)).save(path)
    assert Studio().denoise(path, method="tv")[0].size == (1, 1)
