"""Users' own pictures: every way they are laid out, every way they are broken, and what is counted."""

import io
import json
import os
import random
import struct
import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from sfumato.decoding import squared
from sfumato.errors import TrainingError
from sfumato.training import prepare as preparing
from sfumato.training.data import Pictures, captions_of, own_caption
from sfumato.training.prepare import PrepareConfig, check, prepare
from sfumato.training.shards import write_shards
from sfumato.training.sources import candidates

SIZE = 32
SMALL = PrepareConfig(size=SIZE, no_caption="empty", validation=0)


def picture(seed: int = 0, width: int = 48, height: int = 48) -> Image.Image:
    """Smooth colours that no other seed has."""
    grid = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
    return Image.fromarray(grid).resize((width, height), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    data = io.BytesIO()
    image.save(data, format, **options)
    return data.getvalue()


def kept(folder: Path, options: PrepareConfig = SMALL) -> tuple[np.ndarray, list[dict[str, object]], preparing.Report]:
    """What comes of a folder: pixels, attributes, report."""
    report = prepare(folder, folder.parent / "out", options)
    pictures = Pictures(folder.parent / "out")
    assert len(pictures) == report.kept
    return np.asarray(pictures.array), [dict(a) for a in pictures.attributes], report


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "source").mkdir()
    return tmp_path / "source"


# ------------------------------------------------------------------------------------------------- what is left out


def png_bomb(side: int) -> bytes:
    """A few bytes that promise side x side pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def broken_middle(data: bytes) -> bytes:
    return data[: len(data) // 2] + bytes(64) + data[len(data) // 2 + 64 :]


NOISE = Image.fromarray(np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8))

LEFT_OUT = [
    ("empty.jpg", b"", "unreadable"),
    ("text.png", b"this is no picture", "unreadable"),
    ("half.jpg", encoded(NOISE, "JPEG")[:1500], "truncated"),
    ("half.png", encoded(NOISE)[:3000], "truncated"),
    ("half.webp", encoded(NOISE, "WEBP", lossless=True)[:3000], "unreadable"),
    ("head.gif", encoded(NOISE.quantize(), "GIF")[:20], "unreadable"),
    ("damaged.png", broken_middle(encoded(NOISE)), "unreadable"),
    ("float.tiff", encoded(Image.new("F", (64, 64), 0.5), "TIFF"), "unreadable"),
    ("tiny.png", encoded(picture(1, 1, 1)), "too small"),
    ("narrow.png", encoded(picture(1, 200, 15)), "too small"),
    ("bomb.png", png_bomb(60_000), "too large"),
    ("large.png", png_bomb(10_001), "too large"),
    ("script.jpg", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n", "unreadable"),
]


@pytest.mark.parametrize(("name", "data", "reason"), LEFT_OUT, ids=[row[0] for row in LEFT_OUT])
def test_a_bad_file_is_counted_and_the_good_one_kept(name: str, data: bytes, reason: str, source: Path) -> None:
    (source / name).write_bytes(data)
    (source / "good.png").write_bytes(encoded(picture()))
    pixels, _, report = kept(source)
    assert (report.read, report.kept, dict(report.reasons)) == (2, 1, {reason: 1})
    assert [entry["name"] for entry in report.left_out] == [name]
    assert report.left_out[0]["detail"]
    assert "0x7f" not in str(report.left_out), "no addresses: the report is the same each time"
    assert np.array_equal(pixels[0], np.asarray(squared(picture(), SIZE)))


def test_a_folder_of_all_of_them(source: Path) -> None:
    for name, data, _ in LEFT_OUT:
        (source / name).write_bytes(data)
    for k in range(20):
        (source / f"{k}.png").write_bytes(encoded(picture(k)))
    report = kept(source)[2]
    assert report.kept == 20
    assert report.read == 20 + len(LEFT_OUT) == 20 + report.reasons.total()
    for reason in {row[2] for row in LEFT_OUT}:
        assert report.reasons[reason] == sum(row[2] == reason for row in LEFT_OUT)  # type: ignore[index]


def test_the_limits_are_options(source: Path) -> None:
    (source / "a.png").write_bytes(encoded(picture(0, 20, 40)))
    (source / "b.png").write_bytes(encoded(picture(1, 60, 60)))
    assert dict(kept(source)[2].changes) == {"enlarged": 1}
    strict = check(source, PrepareConfig(size=SIZE, no_caption="empty", shortest=30))
    assert dict(strict.reasons) == {"too small": 1}
    assert dict(check(source, PrepareConfig(size=SIZE, no_caption="empty", max_pixels=1000)).reasons) == {
        "too large": 1
    }


# ---------------------------------------------------------------------------------------------- what is done to a file


def rotated() -> tuple[bytes, Image.Image]:
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned clockwise
    image = picture(2)
    return encoded(image, exif=exif), image.transpose(Image.Transpose.ROTATE_270)


def deep() -> tuple[bytes, Image.Image]:
    grey = np.arange(48 * 48, dtype=np.uint16).reshape(48, 48) * 28
    return encoded(Image.fromarray(grey)), Image.fromarray(np.round(grey / 257).astype(np.uint8)).convert("RGB")


def see_through() -> tuple[bytes, Image.Image]:
    image = picture(3).convert("RGBA")
    image.putalpha(Image.new("L", image.size, 0))
    image.paste((200, 30, 30, 255), (0, 0, 24, 48))
    shown = Image.new("RGB", image.size, "white")
    shown.paste((200, 30, 30), (0, 0, 24, 48))
    return encoded(image), shown


def palette() -> tuple[bytes, Image.Image]:
    image = Image.new("P", (48, 48), 1)
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.paste(0, (0, 0, 48, 24))
    shown = Image.new("RGB", (48, 48), (200, 100, 50))
    shown.paste((255, 255, 255), (0, 0, 48, 24))
    return encoded(image, transparency=0), shown


def animated() -> tuple[bytes, Image.Image]:
    frames = [Image.new("RGB", (48, 48), colour) for colour in ("red", "lime", "blue")]
    return encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]), frames[0]


def cmyk() -> tuple[bytes, Image.Image]:
    image = Image.new("CMYK", (48, 48), (0, 255, 255, 0))
    return encoded(image, "JPEG", quality=100), Image.new("RGB", (48, 48), (255, 0, 0))


def wrong_profile() -> tuple[bytes, Image.Image]:
    return encoded(picture(4), icc_profile=b"no profile at all"), picture(4)


def grey() -> tuple[bytes, Image.Image]:
    return encoded(picture(5).convert("L")), picture(5).convert("L").convert("RGB")


def srgb() -> tuple[bytes, Image.Image]:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return encoded(picture(6), icc_profile=profile), picture(6)


@pytest.mark.parametrize(
    ("make", "changes", "tolerance"),
    [
        (rotated, ["turned"], 0),
        (deep, ["16-bit"], 0),
        (see_through, ["transparent"], 0),
        (palette, ["transparent"], 0),
        (animated, ["first frame"], 0),
        (cmyk, ["cmyk"], 3),
        (wrong_profile, ["profile ignored"], 0),
        (grey, [], 0),
        (srgb, [], 0),
    ],
)
def test_pixels_are_what_a_viewer_shows(
    make: Callable[[], tuple[bytes, Image.Image]], changes: list[str], tolerance: int, source: Path
) -> None:
    data, shown = make()
    (source / "a.jpg").write_bytes(data)
    pixels, _, report = kept(source)
    assert list(report.changes) == changes
    expected = np.asarray(squared(shown, SIZE)).astype(int)
    assert np.abs(pixels[0].astype(int) - expected).max() <= tolerance


def test_a_wide_profile_is_followed(source: Path) -> None:
    """Pixels in a profile with red and green exchanged come out exchanged."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for k in range(struct.unpack(">I", profile[128:132])[0]):
        name = bytes(profile[132 + 12 * k : 136 + 12 * k])
        profile[132 + 12 * k : 136 + 12 * k] = {b"rXYZ": b"gXYZ", b"gXYZ": b"rXYZ"}.get(name, name)
    raw = bytes(profile).replace("sRGB".encode("utf-16-be"), "odd!".encode("utf-16-be"))
    (source / "a.png").write_bytes(encoded(Image.new("RGB", (48, 48), (250, 20, 20)), icc_profile=raw))
    pixels, _, report = kept(source)
    assert list(report.changes) == ["profile"]
    red, green, blue = pixels[0, 0, 0].astype(int)
    assert green > 240
    assert max(red, blue) < 40


@pytest.mark.parametrize("turned", [False, True])
def test_crops(turned: bool) -> None:
    """Detail at the right end: the centre misses it, smart finds it; a square is kept to the bit."""
    wide = Image.new("RGB", (160, 40), "grey")
    wide.paste(NOISE.crop((0, 0, 40, 40)), (110, 0))
    image = wide.transpose(Image.Transpose.ROTATE_90) if turned else wide
    assert np.ptp(np.asarray(squared(image, 40, "centre"))) == 0
    smart = np.asarray(squared(image, 40, "smart")).astype(int)
    assert (np.abs(np.diff(smart, axis=0)).sum(2) > 0).mean() > 0.9
    square = picture(0, 40, 40)
    for crop in ("centre", "smart"):
        assert np.array_equal(np.asarray(squared(square, 40, crop)), np.asarray(square))
    plain = Image.new("RGB", (90, 40), "grey")
    plain.putpixel((45, 20), (255, 0, 0))
    assert (np.asarray(squared(plain, 40, "smart")) != np.asarray(Image.new("RGB", (40, 40), "grey"))).any()


# ---------------------------------------------------------------------------------------------------------- duplicates


def test_duplicates(source: Path) -> None:
    big = picture(7, 96, 96)
    (source / "a.png").write_bytes(encoded(big))
    (source / "b.bmp").write_bytes(encoded(big, "BMP"))
    (source / "c.jpg").write_bytes(encoded(big.resize((64, 64)), "JPEG", quality=80))
    (source / "d.png").write_bytes(encoded(picture(8, 96, 96)))
    (source / "e.png").write_bytes(encoded(big.transpose(Image.Transpose.FLIP_LEFT_RIGHT)))
    exact = check(source, SMALL)
    assert [(e["name"], e["reason"], e["detail"]) for e in exact.left_out] == [("b.bmp", "duplicate", "of a.png")]
    near = check(source, SMALL.model_copy(update={"near_duplicates": True}))
    assert near.reasons == {"duplicate": 1, "near duplicate": 1}
    assert near.left_out[1] == {"name": "c.jpg", "reason": "near duplicate", "detail": "of a.png"}


def test_flat_pictures_of_other_colours_are_no_duplicates(source: Path) -> None:
    for colour in ("red", "blue", "green"):
        (source / f"{colour}.png").write_bytes(encoded(Image.new("RGB", (40, 40), colour)))
    assert check(source, SMALL.model_copy(update={"near_duplicates": True})).kept == 3


# ------------------------------------------------------------------------------------------------------------ captions


def layout(folder: Path, files: Mapping[str, bytes | str | None]) -> None:
    """Files by path; None stands for a picture that no other path has."""
    for k, (name, data) in enumerate(files.items()):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        content = encoded(picture(100 + k)) if data is None else data
        path.write_bytes(content.encode() if isinstance(content, str) else content)


LAYOUTS: list[tuple[dict[str, bytes | str | None], dict[str, tuple[list[str], int]]]] = [
    ({"a.png": None, "a.txt": " a cat \n\n"}, {"a.png": (["a cat"], 1)}),
    ({"a.png": None, "a.caption": "一只猫"}, {"a.png": (["一只猫"], 1)}),
    ({"a.png": None, "a.txt": "a cat\0\0\0"}, {"a.png": (["a cat"], 1)}),
    ({"a.png": None, "a.txt": "一只猫".encode("utf-16")}, {"a.png": (["一只猫"], 1)}),
    ({"a.png": None, "a.txt": "\ufeffa cat\r\na  dog\na cat"}, {"a.png": (["a cat", "a dog"], 1)}),
    ({"deep/er/a.b.png": None, "deep/er/a.b.txt": "x"}, {"deep/er/a.b.png": (["x"], 1)}),
    (
        {"10_sks dog/a.png": None, "10_sks dog/b.png": None, "10_sks dog/b.txt": "b", "3_x_y/c.png": None},
        {"10_sks dog/a.png": (["sks dog"], 10), "10_sks dog/b.png": (["b"], 10), "3_x_y/c.png": (["x_y"], 3)},
    ),
    ({"2024_trip/a.png": None, "0_x/b.png": None}, {"0_x/b.png": ([], 1), "2024_trip/a.png": ([], 1)}),
    (
        {
            "a.png": None,
            "train/b.png": None,
            "c.png": None,
            "c.txt": "from text",
            "metadata.jsonl": '{"file_name": "a.png", "text": "A", "repeats": 4}\n\n'
            '{"file_name": "./train/b.png", "captions": ["B1", "B2"]}\n{"file_name": "c.png", "text": "C"}',
        },
        {"a.png": (["A"], 4), "c.png": (["C"], 1), "train/b.png": (["B1", "B2"], 1)},
    ),
    ({"a.png": None, "metadata.csv": 'file_name,text\na.png,"one, two"\n'}, {"a.png": (["one, two"], 1)}),
    ({"a.png": None, ".hidden/b.png": None, ".c.png": None, "notes.md": "x"}, {"a.png": ([], 1)}),
]


@pytest.mark.parametrize(("files", "expected"), LAYOUTS)
def test_captions_are_found(
    files: dict[str, bytes | str | None], expected: dict[str, tuple[list[str], int]], source: Path
) -> None:
    layout(source, files)
    _, rows, report = kept(source)
    found = {
        row["source"]: (row.get("captions") or [c for c in [row.get("caption")] if c], row["repeats"]) for row in rows
    }
    assert found == expected
    assert not report.reasons
    assert list(found) == sorted(map(str, found))


@pytest.mark.parametrize(
    ("files", "reason", "name"),
    [
        ({"a.png": None, "a.txt": b"\xff\xfe\xfa"}, "bad caption", "a.png"),
        ({"a.png": None, "a.txt": "a cat".encode("utf-16-le")}, "bad caption", "a.png"),
        ({"a.png": None, "a.txt": "红色的狐狸".encode("gbk")}, "bad caption", "a.png"),
        ({"a.png": None, "a.txt": "a" * 100_000}, "bad caption", "a.png"),
        ({"a.png": None, "metadata.jsonl": r'{"file_name": "a.png", "text": "a \ud800"}'}, "bad caption", "a.png"),
        ({"a.heic": b"\0\0\0\x18ftypheic", "a.txt": "x"}, "other format", "a.heic"),
        ({"a.CR2": b"II*\0", "a.txt": "x"}, "other format", "a.CR2"),
        ({"a.zip": b"PK\3\4"}, "other format", "a.zip"),
        ({"a.heic": b"x", "metadata.jsonl": '{"file_name": "a.heic", "text": "x"}'}, "other format", "a.heic"),
        ({"no_ending": encoded(NOISE)}, "other format", "no_ending"),
        ({"a.jpg_large": encoded(NOISE, "JPEG")}, "other format", "a.jpg_large"),
        ({"b.txt": "x", "metadata.jsonl": '{"file_name": "a.png", "text": "x"}'}, "missing", "a.png"),
        ({"metadata.jsonl": '{"file_name": "../../etc/a.png", "text": "x"}'}, "missing", "../../etc/a.png"),
        ({"metadata.jsonl": "{broken"}, "bad metadata", "metadata.jsonl:1"),
        ({"metadata.jsonl": "\n[1]"}, "bad metadata", "metadata.jsonl:2"),
        ({"metadata.jsonl": b"\xff"}, "bad metadata", "metadata.jsonl:0"),
        ({"metadata.csv": "name,text\na.png,b\n"}, "bad metadata", "metadata.csv:1"),
        ({"x.tar": b"no tar at all"}, "unreadable", "x.tar"),
        ({"x.tar": b""}, "unreadable", "x.tar"),
    ],
)
def test_faults_beside_the_pictures(files: dict[str, bytes | str | None], reason: str, name: str, source: Path) -> None:
    layout(source, {"zz.png": None} | files)
    report = kept(source)[2]
    assert report.kept == 1
    assert [(e["name"], e["reason"]) for e in report.left_out] == [(name, reason)]


def test_names_that_are_no_unicode_stand_escaped(source: Path) -> None:
    """Zip files of old have such; JSON, too, may hold halves of a pair."""
    name = os.fsdecode(b"caf\xe9")
    layout(source, {f"{name}.png": None, f"{name}.txt": "a cat", f"3_{name}/b.png": None, f"{name}.jxl": b""})
    rows = [{"file_name": "c.png", "text": "c", "kind": "\ud800"}]
    layout(source, {"c.png": encoded(picture(7)), "metadata.jsonl": json.dumps(rows[0])})
    _, found, report = kept(source)
    assert {str(row["source"]): row.get("caption") for row in found} == {
        "caf\\xe9.png": "a cat",
        "3_caf\\xe9/b.png": "caf\\xe9",
        "c.png": "c",
    }
    assert [row["kind"] for row in found if "kind" in row] == ["\\ud800"]
    assert [entry["name"] for entry in report.left_out] == ["caf\\xe9.jxl"]
    assert (source.parent / "out/report.json").read_text(encoding="utf-8")


def test_links_are_followed(source: Path, tmp_path: Path) -> None:
    layout(tmp_path / "elsewhere", {"cats/a.png": None, "cats/a.txt": "a", "cats/b.png": None, "cats/b.txt": "b"})
    layout(source, {"c.png": encoded(picture(51)), "c.txt": "c"})
    (source / "10_cats").symlink_to(tmp_path / "elsewhere/cats")
    (source / "once_more").symlink_to(tmp_path / "elsewhere/cats")
    (tmp_path / "elsewhere/cats/circle").symlink_to(source)
    layout(tmp_path / "elsewhere", {"d.png": encoded(picture(50)), "d.txt": "beside what it leads to"})
    (source / "link.png").symlink_to(tmp_path / "elsewhere/d.png")
    (source / "nowhere.png").symlink_to(tmp_path / "none.png")
    _, rows, report = kept(source)
    assert [(row["source"], row["caption"], row["repeats"]) for row in rows] == [
        ("10_cats/a.png", "a", 10),
        ("10_cats/b.png", "b", 10),
        ("c.png", "c", 1),
        ("link.png", "beside what it leads to", 1),
    ]
    assert [(entry["name"], entry["detail"]) for entry in report.left_out] == [
        ("nowhere.png", "a link that leads nowhere")
    ]


def test_what_is_no_file_and_no_open_folder_is_named(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layout(source, {"a.png": None, "closed/b.png": None})
    os.mkfifo(source / "pipe.jpg")
    real = Path.iterdir

    def iterdir(folder: Path) -> Iterator[Path]:
        if folder.name == "closed":  # a folder of another user, which none is to root
            raise PermissionError(13, "Permission denied")
        return real(folder)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    assert [(e["name"], e["reason"]) for e in kept(source)[2].left_out] == [
        ("closed/", "unreadable"),
        ("pipe.jpg", "unreadable"),
    ]


@pytest.mark.parametrize(("lines", "captions"), [("each", ["a cat", "on a mat"]), ("join", "a cat on a mat")])
def test_captions_of_several_lines(lines: str, captions: object, source: Path) -> None:
    layout(source, {"a.png": None, "a.txt": "a cat\n\non a mat\n", "b.png": None, "b.txt": "b\n"})
    _, rows, report = kept(source, PrepareConfig.model_validate({"size": SIZE, "caption_lines": lines}))
    assert rows[0].get("captions", rows[0].get("caption")) == captions
    assert report.several_lines == 1


def test_pictures_of_one_caption_file_are_on_one_side(source: Path) -> None:
    for k in range(8):
        layout(source, {f"{k}.jpg": encoded(picture(k)), f"{k}.png": encoded(picture(10 + k)), f"{k}.txt": f"{k}"})
    _, rows, report = kept(source, PrepareConfig(size=SIZE, validation=0.3))
    sides = {row["caption"]: {r["split"] for r in rows if r["caption"] == row["caption"]} for row in rows}
    assert all(len(side) == 1 for side in sides.values())
    assert report.held_out == sum(row["split"] == "validation" for row in rows) == 6


@pytest.mark.parametrize(("rule", "captions"), [("skip", None), ("empty", ""), ("name", "red fox 2")])
def test_pictures_without_a_caption(rule: str, captions: str | None, source: Path) -> None:
    layout(source, {"red_fox-2.png": None, "with.png": None, "with.txt": "text"})
    _, rows, report = kept(source, PrepareConfig.model_validate({"size": SIZE, "no_caption": rule}))
    assert dict(report.reasons) == ({"no caption": 1} if captions is None else {})
    assert [row["caption"] for row in rows] == [*([] if captions is None else [captions]), "text"]


def test_other_strings_and_splits_are_kept(source: Path) -> None:
    rows = [{"file_name": f"{k}.png", "text": "x", "kind": "fox", "width": 3} for k in range(3)]
    rows[1]["split"] = "validation"
    layout(source, {f"{k}.png": None for k in range(3)} | {"metadata.jsonl": "\n".join(map(json.dumps, rows))})
    kept_rows = kept(source, PrepareConfig(size=SIZE))[1]
    assert [row["split"] for row in kept_rows] == ["train", "validation", "train"]
    assert all(row["kind"] == "fox" and "width" not in row for row in kept_rows)


def test_the_folder_validation_is_held_out(source: Path) -> None:
    layout(source, {f"{folder}/{k}.png": None for folder in ("train", "validation") for k in range(3)})
    rows = kept(source, PrepareConfig(size=SIZE, no_caption="empty", validation=0.9))[1]
    assert [row["split"] for row in rows] == ["train"] * 3 + ["validation"] * 3


# ------------------------------------------------------------------------------------------------- tars, and back again


def tar_of(files: dict[str, bytes]) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return data.getvalue()


def test_webdataset(source: Path) -> None:
    first, second, third = (encoded(picture(k)) for k in range(3))
    files = {
        "000.jpg": first,
        "000.txt": b"text",
        "000.json": b'{"caption": "from json", "url": "u"}',
        "sub/001.PNG": second,
        "sub/001.txt": b"second",
        "002.webp": third,
        "003.txt": b"no picture",
        "004.jpg": b"damaged",
        "004.json": b"[]",
        "005.heic": b"\0\0\0\x18ftypheic",
        "006.small.png": encoded(picture(6)),
    }
    (source / "a.tar").write_bytes(tar_of(files))
    _, rows, report = kept(source)
    assert [(row["source"], row["caption"]) for row in rows] == [
        ("a.tar/000.jpg", "from json"),
        ("a.tar/sub/001.png", "second"),
        ("a.tar/002.webp", ""),
    ]
    assert rows[0]["url"] == "u"
    assert dict(report.reasons) == {"bad metadata": 1, "other format": 2}
    assert [entry["name"] for entry in report.left_out][1:] == ["a.tar/005.heic", "a.tar/006.small.png"]
    assert check(source / "a.tar", SMALL).kept == 3


def test_a_tar_that_breaks_off(source: Path) -> None:
    data = tar_of({f"{k}.png": encoded(NOISE.rotate(90 * k)) for k in range(4)})
    (source / "a.tar").write_bytes(data[: len(data) // 2])
    (source / "b.png").write_bytes(encoded(picture()))
    _, rows, report = kept(source)
    assert 2 <= len(rows) < 5
    assert rows[-1]["source"] == "b.png"
    assert dict(report.reasons) == {"truncated": 1}


def test_shards_come_back_to_the_bit(source: Path, tmp_path: Path) -> None:
    layout(
        source,
        {"3_fox/a.png": None, "b.png": None, "b.txt": "one\ntwo", "c.png": None, "c.txt": "红色的狐狸", "d.png": None},
    )
    prepare(source, tmp_path / "one", PrepareConfig(size=SIZE, no_caption="empty", validation=0.3))
    tars = write_shards(Pictures(tmp_path / "one"), tmp_path / "shards", per_shard=3)
    assert [path.name for path in tars] == ["00000.tar", "00001.tar"]
    with tarfile.open(tars[0]) as tar:
        assert [m.name for m in tar][:3] == ["000000000.png", "000000000.json", "000000000.txt"]
    report = prepare(tmp_path / "shards", tmp_path / "two", PrepareConfig(size=SIZE, no_caption="empty"))
    assert (report.read, report.kept, report.reasons, report.changes) == (4, 4, {}, {})
    for name in ("pictures.npy", "attributes.jsonl"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name
    again = write_shards(Pictures(tmp_path / "two"), tmp_path / "again", per_shard=3)
    assert [p.read_bytes() for p in again] == [p.read_bytes() for p in tars]


# ------------------------------------------------------------------------------------------------ the data as a whole


def test_the_result_depends_on_the_source_alone(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layout(source, {f"{k}.png": None for k in range(9)} | {"bad.png": "x"})
    results = []
    for threads in (1, 4):
        monkeypatch.setattr(preparing, "THREADS", threads)
        prepare(source, tmp_path / f"out{threads}", SMALL)
        files = sorted((tmp_path / f"out{threads}").iterdir())
        results.append([(file.name, file.read_bytes()) for file in files])
    assert results[0] == results[1]
    assert [name for name, _ in results[0]] == ["attributes.jsonl", "pictures.npy", "report.json"]


@pytest.mark.parametrize(
    ("count", "share", "held"), [(1, 0.5, 0), (2, 0.05, 1), (40, 0.1, 4), (40, 0.0, 0), (3, 0.99, 2)]
)
def test_held_out_share(count: int, share: float, held: int, source: Path) -> None:
    layout(source, {f"{k}.png": None for k in range(count)})
    rows = kept(source, PrepareConfig(size=8, no_caption="empty", validation=share))[1]
    assert sum(row["split"] == "validation" for row in rows) == held


def test_repeats_count_in_an_epoch(source: Path, tmp_path: Path) -> None:
    layout(source, {"3_fox/a.png": None, "b.png": None, "b.txt": "b"})
    prepare(source, tmp_path / "out", PrepareConfig(size=SIZE, validation=0))
    assert Pictures(tmp_path / "out").train.tolist() == [0, 0, 0, 1]


def test_own_captions() -> None:
    assert own_caption({"caption": "a"}, random.Random(0)) == "a"
    assert own_caption({"caption": ""}, random.Random(0)) == ""
    drawn = {own_caption({"captions": ["a", "b"]}, random.Random(k)) for k in range(20)}
    assert drawn == {"a", "b"}


def test_a_picture_without_a_caption_is_found_before_the_first_step(source: Path) -> None:
    layout(source, {"a.png": None, "b.png": None})
    kept(source, PrepareConfig(size=SIZE, no_caption="empty"))
    pictures = Pictures.for_training(source.parent / "out")
    assert captions_of(pictures, None) is own_caption
    del pictures.attributes[1]["caption"]  # type: ignore[attr-defined]
    with pytest.raises(TrainingError, match=r"picture 1 of .* has no caption, only source, "):
        captions_of(pictures, None)


def test_nothing_is_left_of_a_stopped_import(source: Path, tmp_path: Path) -> None:
    layout(source, {"a.png": None, "b.png": None})

    def stopped(found: object) -> object:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(source, tmp_path / "out", SMALL, track=stopped)  # type: ignore[arg-type]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["source"]


def test_impossible_sources(source: Path, tmp_path: Path) -> None:
    (source / "a.png").write_bytes(b"x")
    with pytest.raises(TrainingError, match=r"no usable picture \(1 unreadable\)"):
        prepare(source, tmp_path / "out", SMALL)
    with pytest.raises(TrainingError, match=r"neither a folder nor a \.tar"):
        candidates(tmp_path / "none")
    with pytest.raises(TrainingError, match=r"neither a folder nor a \.tar"):
        check(source / "a.png", SMALL)
    with pytest.raises(TrainingError, match="is there already"):
        prepare(source, source, SMALL)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["source"]


def test_training_reads_it(source: Path) -> None:
    layout(source, {f"{k}.png": None for k in range(4)})
    prepare(source, source.parent / "out", PrepareConfig(size=SIZE, no_caption="name"))
    pictures = Pictures(source.parent / "out")
    assert pictures.pixels(pictures.validation).shape == (1, 3, SIZE, SIZE)
    assert torch.equal(pictures.train.sort().values, pictures.train)
    assert len(pictures.digest) == 64
