"""`denoise` by the command, by Python and as JSON: figures, files, bad input."""

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
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
    assert first.report.answer == "noise of sigma 15 of 255 levels; taken out by tv"
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
    for method in ("tv", "nlm", "wavelet"):
        assert Studio().denoise(path, method=method)[0].size == (1, 1)  # type: ignore[arg-type]


def test_auto_takes_what_says_least_error_of_itself(photograph: Path) -> None:
    report = Studio().denoise(photograph, add_noise="25").report
    assert report is not None
    rows = [row for row in report.rows if row["estimated psnr"] is not None]
    best = max(rows, key=lambda row: row["estimated psnr"])  # type: ignore[arg-type, return-value]
    assert f"taken out by {best['picture']}" in report.answer
    sigma, values = 25 / 255, 96 * 96 * 3
    for row in rows:  # Stein's estimate is as near to the error as the noise of so few values is to its own variance
        told, error = (10 ** (-float(row[name]) / 10) for name in ("estimated psnr", "psnr"))  # type: ignore[arg-type]
        assert told == pytest.approx(error, abs=4 * sigma**2 * (2 / values) ** 0.5)


def test_a_checkpoint_takes_noise_out_below_its_ceiling(photograph: Path, tiny: Path) -> None:
    studio = Studio(tiny, device="cpu", precision="fp32")
    result = studio.denoise(photograph, add_noise="25", method="diffusion")
    assert result.report is not None
    names = [row["picture"] for row in result.report.rows]
    assert "ceiling: the autoencoder's round trip" in names
    assert names[1] == "diffusion"
    assert result[0].size == (96, 96)
    assert result.provenance.model_hash


@pytest.mark.parametrize(("suffix", "kind"), [(".png", "I;16"), (".tif", "I;16"), (".tif", "F")])
def test_depth_is_kept(suffix: str, kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    grey = crops(11, 48)[7].mean(-1) if crops(11, 48)[7].ndim == 3 else crops(11, 48)[7]
    noisy = grey + 0.05 * np.random.default_rng(0).standard_normal(grey.shape)
    stored = (noisy.clip(0, 1) * 65535).astype(np.uint16) if kind == "I;16" else (noisy * 7 - 3).astype(np.float32)
    source, out = tmp_path / f"in{suffix}", tmp_path / f"out{suffix}"
    Image.fromarray(stored).save(source)
    assert run(capsys, source, "--method", "nlm", "-o", out)[0] == 0
    with Image.open(out) as image:
        assert image.mode == kind
        restored = np.asarray(image).astype(np.float64)
    assert len(np.unique(restored)) > 256
    low, high = stored.min(), stored.max()
    assert low - 0.1 * (high - low) <= restored.min() <= restored.max() <= high + 0.1 * (high - low)
    assert isinstance(read_request(out), Denoise)
    assert main(["replay", str(out)]) == 0
    capsys.readouterr()


def test_whole_numbers_of_32_bits_keep_their_range(tmp_path: Path) -> None:
    stored = (200_000 * crops(11, 32)[7] - 50_000).astype(np.int32)
    Image.fromarray(stored).save(tmp_path / "x.tif")
    made = np.asarray(Studio().denoise(tmp_path / "x.tif", method="tv", sigma=0.5)[0])
    assert np.abs(made - stored).max() < 0.02 * 200_000


def test_floats_that_are_none_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.tif"
    Image.fromarray(np.full((8, 8), np.nan, np.float32)).save(path)
    with pytest.raises(RequestError, match="holds NaN or infinity"):
        Studio().denoise(path)


def test_colour_of_more_than_8_bits_is_said(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    deep, floats, narrow = tmp_path / "deep.tif", tmp_path / "floats.tif", tmp_path / "narrow.png"
    colours = np.random.default_rng(0).random((9, 12, 3))
    tifffile.imwrite(deep, (colours * 65535).astype(np.uint16), photometric="rgb")
    tifffile.imwrite(floats, colours.astype(np.float32), photometric="rgb")
    Image.new("RGB", (1, 20)).save(narrow)
    assert main(["upscale", str(deep), "-o", str(tmp_path / "out.png")]) == 0
    assert "deep.tif has 16 bits a colour, and is read with 8" in capfd.readouterr().err
    assert main(["upscale", str(floats), "-o", str(tmp_path / "out.png")]) == 2
    assert "a TIFF of colours in floats" in capfd.readouterr().err
    assert main(["denoise", str(narrow), "--method", "wavelet", "-o", str(tmp_path / "out.png")]) == 0
    assert "Warning" not in capfd.readouterr().err  # of what is underneath


def test_the_guide_says_the_same_in_both_languages_and_its_commands_are_known() -> None:
    from tests.test_guides import ROOT, commands, links, text_of, unknown

    english, chinese = (text_of(ROOT / "docs" / "guide" / f"restore{end}") for end in (".md", ".zh.md"))
    assert commands(english) == commands(chinese)
    assert links(english) == links(chinese)
    assert len(commands(english)) >= 4
    assert [unknown(words) for words in commands(english)] == [None] * len(commands(english))
