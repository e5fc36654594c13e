"""Files: whole or not at all, the same bytes each time, and able to repaint themselves."""

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sfumato.choices import Format
from sfumato.errors import OutputError, RequestError
from sfumato.files import write_atomic
from sfumato.metadata import carriers, xmp
from sfumato.metadata.infotext import parse
from sfumato.metadata.provenance import Provenance
from sfumato.output import FIELDS, Destination, encode, read_request, save_image, slug, texts_of
from sfumato.requests import MAX_SEED, Txt2Img

FORMATS: tuple[Format, ...] = ("png", "jpeg", "webp", "avif")
IMAGES = [
    Image.linear_gradient("L").resize((16, 16)).convert("RGB").point(lambda v, i=i: v // (i + 1)) for i in range(3)
]
PAINTER = Provenance("0123456789", "fp32", "cpu", "2.9.0")


def request(count: int = 1, **options: object) -> Txt2Img:
    return Txt2Img.build(**{"prompt": "一只猫, a cat!", "seed": 41, "count": count, "batch": count, **options})


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


# -------------------------------------------------------------------------------------------------------- one file


@pytest.mark.parametrize("format", FORMATS)
def test_a_file_carries_the_request_that_repaints_it(tmp_path: Path, format: Format) -> None:
    one = request(prompt='quotes " and \\ and\nlines, 🦊 and 狐', negative="雾").single(0)
    save_image(IMAGES[0], tmp_path / "a.bin", texts_of(one), format)
    assert read_request(tmp_path / "a.bin") == one


@pytest.mark.parametrize("format", FORMATS)
def test_the_same_picture_is_the_same_bytes(format: Format) -> None:
    texts = texts_of(request().single(0), PAINTER)
    assert encode(IMAGES[0], texts, format) == encode(IMAGES[0].copy(), texts, format)


@pytest.mark.parametrize("format", FORMATS)
def test_a_file_says_what_painted_it_and_that_an_algorithm_did(tmp_path: Path, format: Format) -> None:
    (path,) = Destination.parse(tmp_path / f"a.{format}").save(IMAGES[:1], request(steps=4), PAINTER)
    carried = carriers.read(path.read_bytes())
    assert carried.generated
    info = parse(carried.texts["parameters"])
    assert Provenance.read(info) == PAINTER
    assert info.fields["Seed"] == "41"
    assert info.prompt == "一只猫, a cat!"


def test_png_loses_nothing_and_names_its_text_chunks(tmp_path: Path) -> None:
    texts = texts_of(request().single(0))
    save_image(IMAGES[0], tmp_path / "a.png", texts)
    with Image.open(tmp_path / "a.png") as image:
        assert image.tobytes() == IMAGES[0].tobytes()
        assert image.info == {**texts, xmp.PNG_KEYWORD: xmp.write({}).decode()} | {"xmp": xmp.write({})}


def test_quality_changes_the_file_and_is_written_down(tmp_path: Path) -> None:
    assert len(encode(IMAGES[0], {}, "jpeg", 10)) < len(encode(IMAGES[0], {}, "jpeg", 95))
    (path,) = Destination.parse(tmp_path / "a.webp", quality=70).save(IMAGES[:1], request())
    assert parse(carriers.read(path.read_bytes()).texts["parameters"]).fields["Quality"] == "70"


def test_a_picture_is_the_same_file_alone_or_in_a_batch(tmp_path: Path) -> None:
    batch = Destination.parse(tmp_path / "b{seed}.png").save(IMAGES, request(3))
    alone = Destination.parse(tmp_path / "alone.png").save(IMAGES[2:], request(1, seed=43))
    assert batch[2].read_bytes() == alone[0].read_bytes()


def test_foreign_files_carry_no_request(tmp_path: Path) -> None:
    IMAGES[0].save(tmp_path / "plain.png")
    IMAGES[0].save(tmp_path / "plain.jpg")
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "short.png").write_bytes((tmp_path / "plain.png").read_bytes()[:40])
    for name in ("plain.png", "plain.jpg", "text.png", "short.png", "missing.png"):
        with pytest.raises(RequestError, match=name):
            read_request(tmp_path / name)


def test_new_files_have_ordinary_permissions(tmp_path: Path) -> None:
    save_image(IMAGES[0], tmp_path / "a.png", {})
    (tmp_path / "plain").touch()
    assert stat.S_IMODE((tmp_path / "a.png").stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


# ------------------------------------------------------------------------------------------------------------ names


@pytest.mark.parametrize(
    ("pattern", "count", "expected"),
    [
        ("cat.png", 1, ["cat.png"]),
        ("cat.png", 3, ["cat-1.png", "cat-2.png", "cat-3.png"]),
        ("cat", 1, ["cat.png"]),
        ("cat.JPG", 1, ["cat.JPG"]),
        ("{seed}.webp", 2, ["41.webp", "42.webp"]),
        ("{index:04}.png", 2, ["0001.png", "0002.png"]),
        ("{model}/{prompt}-{seed}.png", 1, ["nano/一只猫-a-cat-41.png"]),
        ("{{x}}.png", 1, ["{x}.png"]),
        ("new/", 2, ["new/0001-一只猫-a-cat.png", "new/0002-一只猫-a-cat.png"]),
        ("{model}/", 1, ["nano/0001-一只猫-a-cat.png"]),
    ],
)
def test_patterns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pattern: str, count: int, expected: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    destination = Destination.parse(pattern)
    destination.check(request(count))
    assert names(tmp_path) == [], "a check leaves nothing behind"
    assert list(map(str, destination.save(IMAGES[:count], request(count)))) == expected
    assert all(Path(name).is_file() for name in expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"output": ""}, "is no file name"),
        ({"output": "a\0.png"}, "is no file name"),
        ({"output": "{sede}.png"}, "did you mean seed"),
        ({"output": "{}.png"}, "known: index"),
        ({"output": "{seed.__class__}.png"}, "unknown field"),
        ({"output": "{seed!r}.png"}, "only seed and index take a width"),
        ({"output": "{index:999999999}.png"}, "only seed and index take a width"),
        ({"output": "{index:{seed}}.png"}, "only seed and index take a width"),
        ({"output": "{prompt:9}.png"}, "only seed and index take a width"),
        ({"output": "{seed.png"}, "is no pattern"),
        ({"output": "{seed}/"}, "known: model, prompt"),
        ({"output": "cat.gif"}, "end it in .png"),
        ({"output": "cat.jpg", "format": "png"}, "make them agree"),
        ({"format": "pgn"}, "did you mean png"),
        ({"quality": 90}, "PNG loses nothing"),
        ({"format": "jpeg", "quality": 0}, "must be 1 to 100"),
    ],
)
def test_wrong_outputs_are_explained(options: dict[str, object], message: str) -> None:
    with pytest.raises(RequestError) as caught:
        Destination.parse(**options)  # type: ignore[arg-type]
    assert message in str(caught.value)


@given(st.text(max_size=30) | st.lists(st.sampled_from([*(f"{{{f}}}" for f in FIELDS), "a", ".png", "{"])).map("".join))
def test_any_pattern_gives_distinct_names_or_a_request_error(pattern: str) -> None:
    try:
        destination = Destination.parse(pattern)
    except RequestError as error:
        message: str | None = str(error)
    else:
        message = None
        paths = destination.paths(request(3))
        assert len({str(path) for path in paths}) == 3
    assert message is None or message.isprintable()


@given(st.text(st.characters(codec=None)))
def test_slugs_are_safe_names(text: str) -> None:
    name = slug(text)
    assert 0 < len(name.encode()) <= 48
    assert not set(name) & set('/\\:*?"<>|. \0\n')
    assert not name.startswith("-")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A Cat, on: a/roof!", "a-cat-on-a-roof"),
        ("两只猫", "两只猫"),
        ("हिन्दी", "हिन्दी"),
        ("🦊", "untitled"),
        ("word " * 20, "word-word-word-word-word-word-word-word-word"),
        ("w" * 99, "w" * 48),
        ("", "untitled"),
    ],
)
def test_slugs(text: str, expected: str) -> None:
    assert slug(text) == expected


def test_an_existing_folder_is_a_folder_whatever_its_name(tmp_path: Path) -> None:
    (tmp_path / "{odd}.png").mkdir()
    paths = Destination.parse(tmp_path / "{odd}.png").save(IMAGES[:1], request())
    assert paths == [tmp_path / "{odd}.png" / "0001-一只猫-a-cat.png"]


def test_numbers_go_on_and_never_take_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "0007-old.png").write_text("old")
    destination = Destination.parse(tmp_path)
    assert destination.save(IMAGES[:1], request())[0].name.startswith("0008-")
    taken = destination.paths(request(2))
    monkeypatch.setattr(Destination, "paths", lambda self, request, first: taken)
    taken[0].write_text("another process was faster")
    assert [path.name[:5] for path in destination.save(IMAGES[:2], request(2))] == ["0010-", "0011-"]
    assert taken[0].read_text() == "another process was faster"


# ------------------------------------------------------------------------------------------------------ bad weather


def test_an_existing_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("old")
    Destination.parse(tmp_path / "a.png").save(IMAGES[:1], request())
    assert read_request(tmp_path / "a.png").seed == 41
    assert names(tmp_path) == ["a.png"]


def test_a_link_is_followed_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "link.png").symlink_to(tmp_path / "real.png")
    Destination.parse(tmp_path / "link.png").save(IMAGES[:1], request())
    assert (tmp_path / "link.png").is_symlink()
    assert read_request(tmp_path / "real.png").seed == 41


def loop(folder: Path) -> Path:
    (folder / "loop.png").symlink_to(folder / "loop.png")
    return folder / "loop.png"


def under_a_file(folder: Path) -> Path:
    (folder / "file").touch()
    return folder / "file" / "deep" / "a.png"


@pytest.mark.parametrize(
    "target",
    [loop, under_a_file, lambda folder: folder / f"{'x' * 300}.png"],
)
def test_hopeless_targets_are_refused_before_the_work(tmp_path: Path, target: Callable[[Path], Path]) -> None:
    path = target(tmp_path)
    before = names(tmp_path)
    with pytest.raises(OutputError) as caught:
        Destination.parse(path).check(request())
    assert "\n" not in str(caught.value)
    assert names(tmp_path) == before


def test_a_write_protected_file_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "kept.png").touch()
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # for users who may write everywhere
    with pytest.raises(OutputError, match="write-protected"):
        Destination.parse(tmp_path / "kept.png").check(request())


def test_devices_stay_devices() -> None:
    with pytest.raises(OutputError):
        Destination("/dev/null", numbered=False, format="png").check(request())
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_a_request_too_long_for_jpeg_is_refused_before_the_work(tmp_path: Path) -> None:
    long = request(prompt="🦊" * 8192, negative="🦊" * 8192)
    with pytest.raises(RequestError, match="save as png or webp"):
        Destination.parse(tmp_path / "a.jpg").check(long)
    shorter = request(prompt="狐" * 8192, negative="狐" * 8192)
    (path,) = Destination.parse(tmp_path / "a.jpg").save(IMAGES[:1], shorter, PAINTER)
    assert read_request(path) == shorter
    save_image(IMAGES[0], tmp_path / "a.webp", texts_of(long), "webp")
    assert read_request(tmp_path / "a.webp") == long


class FullDisk:
    """`os.fsync`, which fails from its n-th call on for a folder."""

    def __init__(self, after: int, calls: int = 10**6) -> None:
        self.after, self.until, self.count, self.sync = after, after + calls, 0, os.fsync

    def __call__(self, descriptor: int) -> None:
        self.count += 1
        if self.after < self.count <= self.until:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.sync(descriptor)


def test_a_full_disk_is_found_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", FullDisk(0))
    with pytest.raises(OutputError, match="No space left on device; free some space"):
        Destination.parse(tmp_path / "a.png").check(request())
    assert names(tmp_path) == []


def test_a_disk_that_fills_up_costs_no_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "spare").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "spare"))
    (tmp_path / "out" / "a-2.png").write_text("old")
    monkeypatch.setattr(os, "fsync", FullDisk(2, calls=1))  # the first picture's file and folder are synced
    with pytest.raises(OutputError, match=r"No space left.*2 pictures are kept in") as caught:
        Destination.parse(tmp_path / "out" / "a.png").save(IMAGES, request(3))
    assert names(tmp_path / "out") == ["a-1.png", "a-2.png"]
    assert (tmp_path / "out" / "a-2.png").read_text() == "old"
    kept = Path(str(caught.value).rpartition(" in ")[2])
    assert [read_request(kept / name).seed for name in names(kept)] == [42, 43]


def test_a_disk_that_is_full_everywhere_still_tells_the_seed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(os, "fsync", FullDisk(0))
    with pytest.raises(OutputError, match="--seed 41"):
        Destination.parse(tmp_path / "a.png").save(IMAGES[:1], request())
    assert not any(path.is_file() for path in tmp_path.rglob("*"))


def test_an_interrupt_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(descriptor: int) -> None:
        raise KeyboardInterrupt

    (tmp_path / "a.png").write_text("old")
    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomic(tmp_path / "a.png", b"new")
    assert names(tmp_path) == ["a.png"]
    assert (tmp_path / "a.png").read_text() == "old"


def test_a_file_system_without_links_still_keeps_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, target: Path) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    write_atomic(tmp_path / "a", b"first", replace=False)
    with pytest.raises(FileExistsError):
        write_atomic(tmp_path / "a", b"second", replace=False)
    assert (tmp_path / "a").read_bytes() == b"first"
    assert names(tmp_path) == ["a"]


def test_a_seed_that_is_still_to_be_drawn_is_checked_at_its_longest() -> None:
    (path,) = Destination.parse("{seed}.png").paths(request(seed=None))
    assert path == Path(f"{MAX_SEED}.png")
