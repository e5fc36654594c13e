"""`upscale`: sizes, figures, transparency, and what img2img paints over it."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sfumato import Studio, Upscale
from sfumato.cli import main
from sfumato.errors import RequestError
from sfumato.output import read_request
from sfumato.restoration import network
from sfumato.restoration.noise import Noise
from tests.restoration.photographs import crops


@pytest.fixture
def photographs(tmp_path: Path) -> tuple[Path, Path]:
    """A picture made small, and as it was."""
    clean = Image.fromarray((crops(3, 96)[2] * 255).astype(np.uint8))
    small, large = tmp_path / "small.png", tmp_path / "large.png"
    clean.save(large)
    clean.resize((48, 48), Image.Resampling.BICUBIC).save(small)
    return small, large


def test_methods_are_measured_and_repeat(
    photographs: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small, large = photographs
    out = tmp_path / "out.png"
    assert main(["upscale", str(small), "--clean", str(large), "-o", str(out)]) == 0
    assert "consistency" in capsys.readouterr().err
    request = read_request(out)
    assert isinstance(request, Upscale)
    assert request.method == "ours"
    assert main(["replay", str(out)]) == 0
    capsys.readouterr()
    report = Studio().upscale(small, clean=large).report
    assert report is not None
    rows = {str(row["picture"]): row for row in report.rows}
    nearest = Image.open(small).resize((96, 96), Image.Resampling.NEAREST)
    error = np.square(np.asarray(nearest, np.float64) - np.asarray(Image.open(large))).mean()
    for name in ("lanczos", "bicubic"):
        assert float(rows[name]["psnr"] or 0) > 10 * np.log10(255**2 / error)
        assert float(rows[name]["consistency"] or 0) > 30


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_transparency_is_kept(scale: int, tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    image = Image.new("RGBA", (10, 6), (200, 10, 10, 255))
    image.putpixel((0, 0), (0, 0, 0, 0))
    image.save(path)
    made = Studio().upscale(path, scale=scale)[0]
    assert made.size == (10 * scale, 6 * scale)
    assert made.mode == "RGBA"
    assert made.getpixel((0, 0))[3] < 128  # type: ignore[index]
    assert made.getpixel((10 * scale - 1, 0))[3] == 255  # type: ignore[index]


def test_our_network_surpasses_resampling(photographs: tuple[Path, Path]) -> None:
    small, large = photographs
    Image.open(large).resize((24, 24), Image.Resampling.BICUBIC).save(small)
    result = Studio().upscale(small, scale=4, clean=large)
    assert result.request.method == "ours"  # type: ignore[attr-defined]
    assert result.provenance.model_hash
    assert result.report is not None
    rows = {str(row["picture"]): row for row in result.report.rows}
    assert float(rows["ours"]["psnr"] or 0) > float(rows["bicubic"]["psnr"] or 0) + 0.3
    assert float(rows["ours"]["gmsd"] or 0) < float(rows["bicubic"]["gmsd"] or 0)
    assert (
        np.abs(np.asarray(Studio().upscale(small, scale=4, method="painted")[0], float) - np.asarray(result[0])).max()
        > 2
    )


@pytest.mark.parametrize(("sort", "scale"), [("upscale4", 4), ("painted4", 3)])
def test_tiles_of_the_bundled_networks_are_the_whole(sort: network.Sort, scale: int) -> None:
    """To a level of 255, also where the result is resampled."""
    folder = network.folder_of(sort)
    assert folder is not None
    model, pixels = network.load(folder), crops(1, 80)[0]
    whole, tiled = (network.applied(model, pixels, Noise(0), tile=tile, scale=scale) for tile in (80, 60))
    assert whole.shape == (scale * 80, scale * 80, 3)
    assert np.abs(whole - tiled).max() < 1 / 255


@pytest.mark.slow
def test_what_nano_paints_is_enlarged_as_painted() -> None:
    result = Studio("nano", device="cpu").txt2img("a fox", seed=1, steps=1, upscale=4)
    assert result[0].size == (1024, 1024)
    assert result.request.upscaler == "painted"  # type: ignore[attr-defined]


def test_details_are_painted_over_it(photographs: tuple[Path, Path], tiny: Path) -> None:
    result = Studio(tiny, device="cpu", precision="fp32").upscale(photographs[0], refine="a cup", strength=0.5)
    assert result[0].size == (96, 96)
    assert result.report is not None
    assert [row["picture"] for row in result.report.rows] == ["lanczos", "bicubic", "ours", "refined"]
    assert result.provenance.model_hash


def test_what_cannot_be_done_is_said(photographs: tuple[Path, Path]) -> None:
    small, _ = photographs
    with pytest.raises(RequestError, match=r"small.png is 48x48, and the result is 96x96"):
        Studio().upscale(small, clean=small)
    with pytest.raises(RequestError, match="scale"):
        Upscale.build(image=str(small), scale=5)


def test_a_service_looks_into_the_prompt_that_paints_over_it(tmp_path: Path) -> None:
    from sfumato.service.asked import request_of

    (tmp_path / f"{'0' * 64}.png").write_bytes(b"")
    asked = {"task": "upscale", "image": {"sha256": "0" * 64}}
    assert isinstance(request_of(asked | {"refine": "a cup"}, tmp_path), Upscale)
    with pytest.raises(RequestError, match="passwd"):
        request_of(asked | {"refine": "a cup <lora:../../etc/passwd:1>"}, tmp_path)
