"""Texts go into every format and come out again; pictures stay what they are; nothing hostile gets through."""

import io
import struct
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sfumato.errors import RequestError
from sfumato.metadata import carriers, exif, xmp
from sfumato.metadata.carriers import PARAMETERS, REQUEST, put, read, strip
from tests.metadata.pictures import PICTURE, chunk, encoded, exif_jpeg, hidden, jpeg, png, riff, segment, text_png, tiff

FORMATS = ("png", "jpeg", "webp", "avif")
PLAIN = {format: encoded(format) for format in FORMATS}
TEXTS = {PARAMETERS: 'a <cat> & "dog"\nSteps: 1, 雾 🦊', REQUEST: '{"prompt":"]]> </sfumato:sfumato> ü"}'}


def pixels(data: bytes) -> bytes:
    with Image.open(io.BytesIO(data)) as image:
        return image.convert("RGB").tobytes()


# --------------------------------------------------------------------------------------------------- there and back


@pytest.mark.parametrize("format", FORMATS)
def test_texts_come_back(format: str) -> None:
    carried = read(put(PLAIN[format], TEXTS))
    assert (carried.format, carried.texts, carried.generated) == (format, TEXTS, True)


CHARACTERS = st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff") | st.sampled_from(
    "\n\t<&\ufeff"
)


@pytest.mark.parametrize("format", ["png", "jpeg", "webp"])
@given(st.text(CHARACTERS), st.text(CHARACTERS | st.just("\r")))
def test_any_texts_come_back(format: str, infotext: str, request_json: str) -> None:
    texts = {PARAMETERS: infotext, REQUEST: request_json}
    assert read(put(PLAIN[format], texts)).texts == texts


@pytest.mark.parametrize("format", carriers.LOSSLESS)
def test_the_picture_is_untouched_and_again_without_texts(format: str) -> None:
    once = put(PLAIN[format], TEXTS)
    assert pixels(once) == pixels(PLAIN[format])
    assert strip(once) == strip(PLAIN[format])
    assert read(strip(once)).texts == {}
    assert not read(strip(once)).generated
    assert pixels(strip(once)) == pixels(PLAIN[format])


def test_avif_is_compressed_again() -> None:
    once = put(PLAIN["avif"], TEXTS)
    assert read(strip(once)).texts == {}
    with Image.open(io.BytesIO(once)) as image:
        assert image.size == PICTURE.size


@pytest.mark.parametrize("format", FORMATS)
def test_new_texts_replace_old_ones(format: str) -> None:
    twice = put(put(PLAIN[format], TEXTS), {PARAMETERS: "new"})
    assert read(twice).texts == {PARAMETERS: "new"}
    assert put(PLAIN[format], TEXTS) == put(PLAIN[format], dict(TEXTS)), "the same each time"
    if format != "avif":
        assert put(twice, TEXTS) == put(PLAIN[format], TEXTS)


@pytest.mark.parametrize("lossless", [False, True])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_webp_of_every_kind(lossless: bool, mode: str) -> None:
    buffer = io.BytesIO()
    picture = PICTURE.convert(mode)
    picture.putpixel((0, 0), (1, 2, 3, 4)[: len(mode)])
    picture.save(buffer, "WEBP", lossless=lossless)
    data = buffer.getvalue()
    with Image.open(io.BytesIO(put(data, TEXTS))) as image:
        assert (image.mode, image.size) == (mode, PICTURE.size)
        with Image.open(io.BytesIO(data)) as before:
            assert image.tobytes() == before.tobytes()


def test_jpeg_of_a_camera_keeps_its_other_tags_and_its_orientation() -> None:
    tags = Image.Exif()
    tags[0x010F], tags[0x0112] = "a maker", 6
    data = encoded("jpeg", exif=tags.tobytes(), comment=b"private", progressive=True, icc_profile=b"profile" * 20)
    with Image.open(io.BytesIO(put(data, TEXTS))) as image:
        assert image.getexif()[0x010F] == "a maker"
        assert image.info["comment"] == b"private"
    with Image.open(io.BytesIO(strip(put(data, TEXTS)))) as image:
        assert dict(image.getexif()) == {0x0112: 6}
        assert image.info["icc_profile"] == b"profile" * 20
        assert "comment" not in image.info
    assert pixels(strip(data)) == pixels(data)


def test_what_follows_a_picture_is_kept_by_put_and_not_by_strip() -> None:
    for format in ("png", "jpeg"):
        assert put(PLAIN[format] + b"film", TEXTS).endswith(b"film")
        assert strip(PLAIN[format] + b"film") == strip(PLAIN[format])


def test_a_thumbnail_in_jfif_is_metadata() -> None:
    thumbnail = b"JFIF\0\1\1\0\0\1\0\1\1\1" + b"rgb"
    data = PLAIN["jpeg"][:2] + segment(0xE0, thumbnail) + PLAIN["jpeg"][20:]
    assert strip(data) == strip(PLAIN["jpeg"])


def test_foreign_xmp_stays() -> None:
    packet = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description a="b"/></rdf:RDF></x:xmpmeta>'
    data = jpeg(segment(0xE1, xmp.JPEG_HEADER + packet))
    for count in range(2):
        data = put(data, TEXTS)
        assert data.count(b'<rdf:Description a="b"/>') == 1, count
        assert data.count(xmp.TRAINED.encode()) == 1
    assert read(data).texts == TEXTS


def test_a_long_infotext_of_a_jpeg_goes_into_xmp() -> None:
    long = "a" * 40_000
    data = put(PLAIN["jpeg"], {PARAMETERS: long})
    assert read(data).texts == {PARAMETERS: long}
    with Image.open(io.BytesIO(data)) as image:
        assert 0x8769 not in image.getexif()
    with pytest.raises(RequestError, match="do not fit"):
        put(PLAIN["jpeg"], {PARAMETERS: "a" * 70_000})
    assert read(put(PLAIN["webp"], {PARAMETERS: "a" * 70_000})).texts == {PARAMETERS: "a" * 70_000}


def test_everyone_else_finds_the_infotext() -> None:
    with Image.open(io.BytesIO(put(PLAIN["png"], TEXTS))) as image:
        assert image.info["parameters"] == TEXTS[PARAMETERS]
    for format in ("jpeg", "webp", "avif"):
        with Image.open(io.BytesIO(put(PLAIN[format], TEXTS))) as image:
            comment = image.getexif().get_ifd(0x8769)[0x9286]
        assert comment == b"UNICODE\0" + TEXTS[PARAMETERS].encode("utf-16-be")


STEPS = "Steps: 1 雾"


@pytest.mark.parametrize(
    ("comment", "order"),
    [
        (b"UNICODE\0" + STEPS.encode("utf-16-be"), ">"),
        (b"UNICODE\0" + STEPS.encode("utf-16-be"), "<"),
        (b"UNICODE\0" + STEPS.encode("utf-16-le"), "<"),
        (b"UNICODE\0\xff\xfe" + STEPS.encode("utf-16-le"), "<"),
        (b"UNICODE\0\xfe\xff" + STEPS.encode("utf-16-be"), "<"),
        (b"UNICODE\0" + STEPS.encode(), ">"),
        (b"UNICODE " + STEPS.encode("utf-16-be"), ">"),
        (b"UNICODE\0" + (STEPS + "\0").encode("utf-16-be"), ">"),
        (b"UNICODE\0" + STEPS.encode("utf-16-be") + b"\0", ">"),
        (b"ASCII\0\0\0" + STEPS.encode(), ">"),
        (b"ASCII   " + STEPS.encode() + b"\0\0", ">"),
        (b"ASCII\0\0\0" + STEPS.encode("utf-16-le"), ">"),
        (bytes(8) + STEPS.encode(), ">"),
        (STEPS.encode(), ">"),
        (STEPS.encode("utf-16-le"), ">"),
    ],
    ids=range(15),
)
def test_comments_in_the_encodings_about(comment: bytes, order: str) -> None:
    assert read(exif_jpeg(tiff(comment, order=order))).texts == {PARAMETERS: STEPS}


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (exif_jpeg(tiff(b"UNICODE\0\0a\0")), "a"),
        (exif_jpeg(tiff(b"UNICODE\0\0a\xd8\x00\0b")), "a\ufffdb"),
        (exif_jpeg(tiff(b"ASCII\0\0\0caf\xe9")), "café"),
        (png(chunk(b"tEXt", b"parameters\0" + "灯塔".encode())), "灯塔"),
        (png(chunk(b"tEXt", b"parameters\0caf\xe9")), "café"),
        (png(chunk(b"zTXt", b"parameters\0\0" + zlib.compress("灯塔".encode()))), "灯塔"),
        (png(chunk(b"iTXt", b"parameters\0\0\0\0\0caf\xe9")), "café"),
    ],
    ids=range(7),
)
def test_bytes_are_text_by_what_they_are(data: bytes, text: str) -> None:
    assert read(data).texts == {PARAMETERS: text}


INFOTEXT = "a pier\nNegative prompt: fog\nSteps: 20, Sampler: Euler a, Seed: 12"
TAGGED = b"Exif\0\0" + tiff(b"UNICODE\0" + INFOTEXT.encode("utf-16-be"))
PACKET = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description><dc:description>\n <rdf:Alt>\n '
    f'<rdf:li xml:lang="x-default">{INFOTEXT}</rdf:li></rdf:Alt></dc:description></rdf:Description></rdf:RDF>'
).encode()


def raw_profile(kind: str, block: bytes) -> bytes:
    """As ImageMagick and old versions of GIMP keep a block in a PNG."""
    digits = block.hex()
    lines = "\n".join(digits[at : at + 72] for at in range(0, len(digits), 72))
    text = f"\n{kind.lower()}\n{len(block):8d}\n{lines}\n".encode()
    return png(chunk(b"zTXt", f"Raw profile type {kind}".encode() + b"\0\0" + zlib.compress(text)))


@pytest.mark.parametrize(
    "data",
    [
        raw_profile("exif", TAGGED),
        raw_profile("APP1", TAGGED),
        raw_profile("APP1", xmp.JPEG_HEADER + PACKET),
        raw_profile("xmp", PACKET),
        png(chunk(b"iTXt", b"XML:com.adobe.xmp" + bytes(5) + PACKET)),
        png(chunk(b"eXIf", tiff(b"ASCII\0\0\0charset=Unicode " + INFOTEXT.encode()))),
        png(chunk(b"eXIf", tiff(b"UNICODE\0" + f'charset="Unicode" {INFOTEXT}'.encode("utf-16-be")))),
    ],
)
def test_what_editors_make_of_an_infotext_is_one(data: bytes) -> None:
    assert read(data).texts[PARAMETERS] == INFOTEXT


@pytest.mark.parametrize("text", ["", "\nexif\n 9\nzz", "no profile"])
def test_profiles_that_are_none_are_no_text(text: str) -> None:
    assert read(png(chunk(b"tEXt", b"Raw profile type exif\0" + text.encode()))).texts == {}


def test_latin_that_looks_like_utf8_comes_back() -> None:
    text = "Ã© is no é"
    assert text.encode("latin-1").decode("utf-8", "ignore") != text
    for format in ("png", "jpeg"):
        assert read(put(PLAIN[format], {PARAMETERS: text})).texts == {PARAMETERS: text}


def test_a_comment_may_stand_in_the_outer_folder() -> None:
    tags = Image.Exif()
    tags[0x9286] = b"ASCII\0\0\0" + STEPS.encode()
    assert read(encoded("webp", exif=tags.tobytes())).texts == {PARAMETERS: STEPS}


def test_a_comment_may_be_of_the_type_for_utf8() -> None:
    block = tiff(STEPS.encode()).replace(struct.pack(">HH", 0x9286, 7), struct.pack(">HH", 0x9286, 129))
    assert read(exif_jpeg(block)).texts == {PARAMETERS: STEPS}


@pytest.mark.parametrize("kind", [b"stealth_pnginfo", b"stealth_pngcomp", b"stealth_rgbinfo", b"stealth_rgbcomp"])
def test_texts_in_the_lowest_bits(kind: bytes) -> None:
    assert read(hidden(STEPS, kind)).texts == {PARAMETERS: STEPS}


def test_hidden_lengths_and_archives_are_not_believed() -> None:
    for content in (b"\xff\xff\xff\xf8", struct.pack(">I", 8 * 100) + b"no gzip", struct.pack(">I", 7)):
        picture = Image.new("RGBA", (64, 64), (1, 2, 3, 254))
        bits = "".join(f"{byte:08b}" for byte in b"stealth_pngcomp" + content)
        for place, bit in enumerate(bits):
            picture.putpixel((place // 64, place % 64), (1, 2, 3, 254 | int(bit)))
        buffer = io.BytesIO()
        picture.save(buffer, "PNG")
        assert read(buffer.getvalue()).texts == {}


def test_text_of_chinese_alone_is_not_taken_for_another_order() -> None:
    text = "一丁七" * 100
    assert read(put(PLAIN["jpeg"], {PARAMETERS: text})).texts == {PARAMETERS: text}


def test_every_kind_of_png_text_is_read() -> None:
    data = png(
        chunk(b"tEXt", b"a\0" + "é".encode("latin-1")),
        chunk(b"zTXt", b"b\0\0" + zlib.compress(b"two")),
        chunk(b"iTXt", b"c\0\0\0\0\0" + "三".encode()),
        chunk(b"iTXt", b"d\0\1\0en\0d\0" + zlib.compress("四".encode())),
    )
    assert read(data).texts == {"a": "é", "b": "two", "c": "三", "d": "四"}


def test_a_damaged_exif_block_costs_no_other_text() -> None:
    data = png(chunk(b"tEXt", b"prompt\0{}"), chunk(b"eXIf", b"garbage"))
    assert read(data).texts == {"prompt": "{}"}
    packet = jpeg(segment(0xE1, b"Exif\0\0garbage"), segment(0xE1, xmp.JPEG_HEADER + xmp.write({"sfumato": "{}"})))
    assert read(packet).texts == {"sfumato": "{}"}


def test_a_blank_comment_of_a_camera_hides_no_other() -> None:
    exif_block = b"Exif\0\0" + tiff(b"ASCII\0\0\0" + b" " * 20)
    assert read(encoded("jpeg", exif=exif_block, comment=STEPS.encode())).texts == {PARAMETERS: STEPS}


def test_gif_has_a_comment() -> None:
    assert read(encoded("gif", comment=b"Steps: 1")).texts == {PARAMETERS: "Steps: 1"}


# ---------------------------------------------------------------------------------------------------------- hostile


BOMB = zlib.compress(bytes(10**8))
HUGE = struct.pack(">IIBBBBB", 2**31 - 1, 2**31 - 1, 8, 2, 0, 0, 0)

HOSTILE: dict[str, bytes] = {
    "nothing": b"",
    "text": b"no picture at all",
    "png: signature alone": PLAIN["png"][:8],
    "png: cut in its header": PLAIN["png"][:20],
    "png: cut in its picture": PLAIN["png"][:60],
    "png: without an end": PLAIN["png"][:-12],
    "png: a chunk of 4 GB": png(chunk(b"tEXt", b"a\0b", length=2**32 - 1)),
    "png: a chunk that is too long": png(chunk(b"tEXt", b"a\0b", length=2**20)),
    "png: a chunk without a name": png(chunk(b"\0\1\2\3", b"")),
    "png: a wrong checksum": png(chunk(b"tEXt", b"a\0b")[:-1] + b"!"),
    "png: 50 MB of text": png(chunk(b"tEXt", b"parameters\0" + b"a" * 50_000_000)),
    "png: 9 texts of 1 MB": png(*[chunk(b"tEXt", b"%d\0" % i + b"a" * 10**6) for i in range(9)]),
    "png: a bomb in zTXt": png(chunk(b"zTXt", b"parameters\0\0" + BOMB)),
    "png: a bomb in iTXt": png(chunk(b"iTXt", b"parameters\0\1\0\0\0" + BOMB)),
    "png: bombs in small parts": png(*[chunk(b"zTXt", b"%d\0\0" % i + zlib.compress(bytes(10**6))) for i in range(9)]),
    "png: zTXt that is not compressed": png(chunk(b"zTXt", b"parameters\0\0abc")),
    "png: zTXt that ends early": png(chunk(b"zTXt", b"parameters\0\0" + zlib.compress(b"abc" * 99)[:-9])),
    "png: zTXt with nothing": png(chunk(b"zTXt", b"parameters\0")),
    "png: tEXt without a keyword": png(chunk(b"tEXt", b"parameters")),
    "png: an empty tEXt": png(chunk(b"tEXt", b"")),
    "png: iTXt of two bytes": png(chunk(b"iTXt", b"p\0")),
    "png: iTXt without its parts": png(chunk(b"iTXt", b"p\0\0\0en")),
    "png: EXIF garbage": png(chunk(b"eXIf", b"garbage")),
    "jpeg: its first bytes": PLAIN["jpeg"][:3],
    "jpeg: cut in a table": PLAIN["jpeg"][:100],
    "jpeg: no marker": PLAIN["jpeg"][:20] + b"xx" + PLAIN["jpeg"][20:],
    "jpeg: a segment of no length": jpeg(b"\xff\xe1\0\0"),
    "jpeg: a segment past the end": jpeg(b"\xff\xfe\xff\xff"),
    "jpeg: EXIF garbage": exif_jpeg(b"\x00garbage" * 9),
    "jpeg: EXIF with nothing": exif_jpeg(b""),
    "jpeg: EXIF far away": exif_jpeg(b"MM\0*\xff\xff\xff\xff"),
    "jpeg: EXIF of 65535 tags": exif_jpeg(b"MM\0*\0\0\0\x08\xff\xff" + bytes(100)),
    "jpeg: a comment past the end": exif_jpeg(tiff(b"UNICODE\0abc")[:-3]),
    "webp: its first bytes": PLAIN["webp"][:12],
    "webp: cut": PLAIN["webp"][:-5],
    "webp: a chunk past the end": riff((b"VP8 ", bytes(10)))[:-18] + b"VP8 \xff\xff\xff\x7f" + bytes(10),
    "webp: EXIF garbage": riff((b"VP8 ", PLAIN["webp"][20:]), (b"EXIF", b"garbage")),
    "avif: cut": PLAIN["avif"][:200],
    "avif: header alone": PLAIN["avif"][:32],
    "gif: cut": encoded("gif")[:8],
    "tiff: garbage": b"II*\0" + bytes(range(256)),
    "bmp: of 10^10 pixels": b"BM" + bytes(8) + struct.pack("<IIIIHHIIIIII", 54, 40, 10**5, 10**5, 1, 24, *[0] * 6),
}
assert len(HOSTILE) > 40


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_one_clear_line(name: str, tmp_path: Path) -> None:
    file = tmp_path / "bad.bin"
    file.write_bytes(HOSTILE[name])
    start = time.process_time()
    with pytest.raises(RequestError) as caught, carriers.about(file):
        read(carriers.load(file))
    assert time.process_time() - start < 5
    assert "bad.bin" in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("change", [strip, lambda data: put(data, TEXTS)], ids=["strip", "put"])
def test_hostile_files_are_changed_or_refused(name: str, change: Callable[[bytes], bytes]) -> None:
    try:
        changed, message = change(HOSTILE[name]), ""
    except RequestError as error:
        changed, message = PLAIN["png"], str(error)
    assert read(changed).texts in ({}, TEXTS) or b"a\0b" in HOSTILE[name]
    assert message.isprintable()


def test_values_that_overlap_cost_no_memory() -> None:
    """5000 tags, each of which is the whole block."""
    entries = b"".join(struct.pack(">HHII", tag, 7, 60_000, 8) for tag in range(5000))
    block = b"MM\0*\0\0\0\x08" + struct.pack(">H", 5000) + entries
    assert len(exif.write("a", block.ljust(60_100, b"\0"))) < 1000


@given(st.sampled_from(sorted(PLAIN)), st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=6))
def test_any_damage_is_survived(format: str, damage: list[tuple[int, int]]) -> None:
    data = bytearray(put(PLAIN[format], TEXTS) if format != "avif" else PLAIN[format])
    for place, value in damage:
        data[place % len(data)] = value
    for use in (read, strip, lambda data: put(data, TEXTS)):
        try:
            use(bytes(data))
            message = ""
        except RequestError as error:
            message = str(error)
        assert message.isprintable()


@pytest.mark.parametrize("text", ["a\0b", "\x1b[2J", "\ud800", "\uffff", "a" * 3_000_000])
def test_texts_that_no_file_can_carry_are_refused(text: str) -> None:
    with pytest.raises(RequestError, match="the text parameters"):
        put(PLAIN["png"], {PARAMETERS: text})


@pytest.mark.parametrize("name", ["missing.png", ".", "a\0b", "x" * 300])
def test_files_that_cannot_be_read(name: str, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="cannot read"):
        carriers.load(tmp_path / name)


def test_other_formats_are_not_changed() -> None:
    for change in (strip, lambda data: put(data, TEXTS)):
        with pytest.raises(RequestError, match="GIF"):
            change(encoded("gif"))


def test_a_text_of_another_name_stays() -> None:
    data = text_png(Title="mine", parameters="old", sfumato="old")
    assert read(put(data, {PARAMETERS: "new"})).texts == {"Title": "mine", PARAMETERS: "new"}
