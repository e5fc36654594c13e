"""DICOM in and out: depth, tags and window stay; files without one sound picture are refused in a line."""

from pathlib import Path

import numpy as np
import pydicom
import pytest

from sfumato import Studio
from sfumato.cli import main
from sfumato.errors import RequestError

FILES = Path(pydicom.__file__).parent / "data" / "test_files"
KEPT = ("PatientName", "WindowCenter", "RescaleSlope", "RescaleIntercept", "PhotometricInterpretation", "BitsStored",
        "BitsAllocated", "HighBit", "PixelRepresentation", "Rows", "Columns", "StudyInstanceUID")  # fmt: skip
WHOLE = ("CT_small.dcm", "MR_small.dcm", "MR_small_bigendian.dcm", "MR_small_RLE.dcm")
DECODED = pytest.param("J2K_pixelrep_mismatch.dcm", marks=pytest.mark.slow)
"""Which pydicom decodes, and cannot decompress in its place."""


@pytest.mark.parametrize("name", [*WHOLE, DECODED])
def test_tags_and_depth_are_kept(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.dcm"
    assert main(["denoise", str(FILES / name), "--method", "tv", "-o", str(out)]) == 0
    assert "not for diagnosis" in capsys.readouterr().err
    before, after = pydicom.dcmread(FILES / name), pydicom.dcmread(out)
    for tag in KEPT:
        assert before.get(tag) == after.get(tag), tag
    assert before.pixel_array.shape == after.pixel_array.shape
    a, b = (each.pixel_array.astype(float) for each in (before, after))
    assert 0 < np.abs(a - b).mean() < 0.1 * np.ptp(a)
    assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.9
    assert len(np.unique(b)) > 256
    assert after.ImageType[0] == "DERIVED"
    assert "denoise" in after.DerivationDescription
    assert after.SOPInstanceUID != before.SOPInstanceUID
    assert main(["denoise", str(FILES / name), "--method", "tv", "-o", str(tmp_path / "again.dcm")]) == 0
    assert (tmp_path / "again.dcm").read_bytes() == out.read_bytes()
    capsys.readouterr()


def test_what_is_enhanced_stays_dicom(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.dcm"
    words = ["enhance", str(FILES / "MR_small.dcm"), "--deblur", "1", "--prior", "tv", "--contrast", "1.1"]
    assert main([*words, "-o", str(out)]) == 0
    assert "not for diagnosis" in capsys.readouterr().err
    before, after = pydicom.dcmread(FILES / "MR_small.dcm"), pydicom.dcmread(out)
    assert [before.get(tag) for tag in KEPT] == [after.get(tag) for tag in KEPT]
    a, b = (each.pixel_array.astype(float) for each in (before, after))
    assert b.std() > a.std()
    assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.9


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("rtplan.dcm", "is a DICOM object without pixels"),
        ("test-SR.dcm", "is a DICOM object without pixels"),
        ("rtdose.dcm", "has 15 frames"),
        ("SC_rgb_rle_2frame.dcm", "has 2 frames"),
        ("MR_small_jpeg_ls_lossless.dcm", "cannot be decoded .*install pylibjpeg"),
        ("MR_truncated.dcm", "cannot be decoded"),
        ("examples_palette.dcm", "is PALETTE COLOR"),
        ("README.txt", "cannot be opened"),
    ],
)
def test_files_without_one_sound_picture_are_refused(name: str, said: str) -> None:
    with pytest.raises(RequestError, match=said) as refusal:
        Studio().denoise(FILES / name)
    assert "\n" not in str(refusal.value)


def test_dicom_is_written_of_dicom_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from PIL import Image

    Image.new("L", (16, 16)).save(tmp_path / "x.png")
    assert main(["denoise", str(tmp_path / "x.png"), "-o", str(tmp_path / "x.dcm")]) == 2
    assert main(["txt2img", "a fox", "-o", str(tmp_path / "y.dcm")]) == 2
    assert capsys.readouterr().err.count("DICOM is written by denoise and enhance, of a picture from a DICOM") == 2
    assert not (tmp_path / "x.dcm").exists()
