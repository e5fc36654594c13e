"""Embeddings in PNG files, laid into them here by the format's description; and pictures that only look like such."""

import base64
import io
import json
import random
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from sfumato import Studio
from sfumato.adapters import pictures
from sfumato.adapters.embeddings import read_embedding
from sfumato.adapters.folders import available, find
from sfumato.cli import main
from sfumato.errors import CheckpointError
from tests.adapters.conftest import Write, numbers

OPTIONS: dict[str, Any] = {"steps": 2, "seed": 1, "guidance": 3.0}
VECTORS = numbers(2, 16)
Pixels = NDArray[np.uint8]


def card(vectors: object = None, **more: object) -> dict[str, Any]:
    """What the web UI writes."""
    param = {"*": {"TORCHTENSOR": VECTORS.tolist() if vectors is None else vectors}}
    return {"string_to_token": {"*": 265}, "string_to_param": param, "name": "zorp", "step": 500, **more}


def picture(height: int = 24) -> Pixels:
    return np.random.default_rng(0).integers(16, 255, (height, 40, 3), dtype=np.uint8)


def randoms(count: int) -> list[int]:
    found, seed = [], 0
    for _ in range(count):
        seed = (1664525 * seed + 1013904223) % 2**32
        found.append(seed % 255)
    return found


def strips(packed: bytes, height: int = 24) -> tuple[Pixels, Pixels]:
    """Half bytes row by row, masked, below decoration; what is over is filled with what comes first."""
    width = -(-len(packed) // (3 * height))
    size = height * width * 3
    filled = [packed[i % len(packed)] for i in range(size)]
    drawn, mask = random.Random(1), randoms(size)
    sides = []
    for shift in (0, 4):
        values = [
            (byte >> shift & 15) ^ (key & 15) | drawn.randrange(1, 16) << 4
            for byte, key in zip(filled, mask, strict=True)
        ]
        sides.append(np.array(values, dtype=np.uint8).reshape(height, width, 3))
    return sides[0], sides[1]


def framed(low: Pixels, high: Pixels, margin: int = 0) -> Image.Image:
    """The picture between its strips, parted by columns of black; with a margin, as after a careless paste."""
    gap = np.zeros((len(low), 1, 3), dtype=np.uint8)
    whole = np.concatenate([low, gap, picture(len(low)), gap, high], axis=1)
    return Image.fromarray(np.pad(whole, ((margin, margin), (margin, margin), (0, 0))))


def saved(image: Image.Image, path: Path, text: str | None = None, *, international: bool = False) -> Path:
    info = PngInfo()
    if text is not None and international:
        info.add_itxt(pictures.TEXT, text, zip=True)
    elif text is not None:
        info.add_text(pictures.TEXT, text)
    image.save(path, pnginfo=info)
    return path


def in_text(path: Path, data: object) -> Path:
    return saved(Image.fromarray(picture()), path, base64.b64encode(json.dumps(data).encode()).decode())


def in_international_text(path: Path, data: object) -> Path:
    text = base64.b64encode(json.dumps(data).encode()).decode()
    return saved(Image.fromarray(picture()), path, text, international=True)


def in_pixels(path: Path, data: object) -> Path:
    return saved(framed(*strips(zlib.compress(json.dumps(data).encode(), 9))), path)


def in_framed_pixels(path: Path, data: object) -> Path:
    return saved(framed(*strips(zlib.compress(json.dumps(data).encode(), 9)), margin=5).convert("RGBA"), path)


FORMS: dict[str, Callable[[Path, object], Path]] = {
    form.__name__: form for form in (in_text, in_international_text, in_pixels, in_framed_pixels)
}


@pytest.mark.parametrize("form", FORMS)
def test_the_vectors_come_back(form: str, tmp_path: Path) -> None:
    embedding = read_embedding(FORMS[form](tmp_path / "cat.png", card()))
    assert (embedding.format, embedding.names, embedding.file.container) == ("A1111", ("cat", "zorp"), "png")
    assert torch.equal(embedding.vectors["text_encoder"], VECTORS)


def test_a_pair_and_a_nameless_one(tmp_path: Path) -> None:
    tensor = {"TORCHTENSOR": numbers(2, 768).tolist()}
    both = read_embedding(
        in_pixels(tmp_path / "both.png", {"clip_l": tensor, "clip_g": {"TORCHTENSOR": [[1.0] * 1280] * 2}})
    )
    assert (both.format, both.names, both.family) == ("SDXL pair", ("both",), "sdxl")
    assert torch.equal(both.vectors["text_encoder"], numbers(2, 768))


def test_the_random_numbers_are_those_of_the_web_ui() -> None:
    """Golden: those that its own test names, and their sum over the 100,000 that follow the first 100."""
    found = pictures._random(100_100)
    assert found[:10].tolist() == [253, 242, 127, 44, 157, 27, 239, 133, 38, 79]
    assert int(found[100:].sum(dtype=np.int64)) == 12731374
    assert pictures._random(1000).tolist() == randoms(1000)


def test_a_picture_is_a_word(studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = studio.txt2img("a fox, cat", **OPTIONS)[0].tobytes()
    path = in_pixels(tmp_path / "cat.png", card())
    named = studio.txt2img("a fox, cat", embeddings=[str(path)], **OPTIONS)[0].tobytes()
    by_its_own_name = studio.txt2img("a fox, zorp", embeddings=[str(path)], **OPTIONS)[0].tobytes()
    monkeypatch.setenv("SFUMATO_EMBEDDINGS", str(tmp_path))
    assert studio.txt2img("a fox, cat", **OPTIONS)[0].tobytes() == named == by_its_own_name != plain


def test_previews_are_no_embeddings(
    tmp_path: Path, write: Write, caplog: pytest.LogCaptureFixture, studio: Studio
) -> None:
    weights = write({"emb_params": VECTORS}, "cat")
    for name in ("cat.png", "dog.preview.png"):
        Image.fromarray(picture()).save(tmp_path / name)
    fish = in_text(tmp_path / "fish.png", card())
    assert available("embedding") == {"cat": weights, "fish": fish}
    assert available("lora")["cat"] == weights
    assert available("lora").keys() == {"cat", "nano-turbo"}  # which is bundled
    assert find("embedding", str(fish)) == fish
    with pytest.raises(CheckpointError, match=r"fish.png is no lora"):
        find("lora", str(fish))
    Image.fromarray(picture()).save(tmp_path / "fox.png")
    studio.txt2img("a fox", **OPTIONS)
    assert "'fox' stays a plain word" in caplog.text


def test_inspection(tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = in_pixels(tmp_path / "cat.png", card())
    assert main(["inspect", str(path), "--model", str(tiny), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["kind"], found["container"], found["ranks"]) == ("embedding", "png", {"16": 2})
    assert found["verdict"] == "an embedding that fits tiny"


def deep(levels: int) -> str:
    return "[" * levels + "]" * levels


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def flipped(path: Path) -> None:
    """A wrong byte amid the pixels' data."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(bytes(data))


def huge(path: Path) -> None:
    """A head that promises more pixels than anything should hold."""
    data = bytearray(path.read_bytes())
    data[16:24] = struct.pack(">II", 2**30, 2**30)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    path.write_bytes(bytes(data))


def text_of(text: str) -> Callable[[Path], None]:
    return lambda path: void(saved(Image.fromarray(picture()), path, text))


def json_of(data: str) -> Callable[[Path], None]:
    return text_of(base64.b64encode(data.encode()).decode())


def strips_of(packed: bytes) -> Callable[[Path], None]:
    return lambda path: void(saved(framed(*strips(packed)), path))


def void(path: Path) -> None:
    assert path.is_file()


def uneven(path: Path) -> None:
    low, high = strips(zlib.compress(json.dumps(card()).encode()))
    framed(low, high[:, :-1]).save(path)


def first(form: Callable[[Path, object], Path], then: Callable[[Path], None]) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        then(form(path, card()))

    return make


GOOD = zlib.compress(json.dumps(card()).encode())
HOSTILE: dict[str, tuple[Callable[[Path], None], str]] = {
    "a photograph": (lambda path: Image.fromarray(picture()).save(path), "a picture without an embedding"),
    "black": (lambda path: Image.new("RGB", (32, 32)).save(path), "a picture without an embedding"),
    "strips of other widths": (uneven, "a picture without an embedding"),
    "cut, with text": (first(in_text, cut), "ends too early"),
    "cut, with strips": (first(in_pixels, cut), "ends too early"),
    "a flipped byte": (first(in_pixels, flipped), "damaged|cannot be read"),
    "more pixels than it has": (first(in_pixels, huge), "too large"),
    "no base64": (text_of("§$%"), "cannot be read"),
    "no JSON": (json_of("{"), "cannot be read"),
    "no names": (json_of("[1, 2]"), "it is a list, not named values"),
    "deep": (json_of(deep(100_000)), "cannot be read"),
    "deep names": (json_of('{"a":' * 900 + "1" + "}" * 900), "cannot be read"),
    "deep vectors": (json_of(json.dumps(card(json.loads(deep(200))))), "cannot be read|is no embedding"),
    "ragged": (json_of(json.dumps(card([[1.0, 2.0], [3.0]]))), "cannot be read"),
    "words": (json_of(json.dumps(card([["a"]]))), "cannot be read"),
    "nothing": (json_of(json.dumps(card([]))), "is no embedding"),
    "null": (json_of(json.dumps(card({"a": None}))), "cannot be read"),
    "NaN": (json_of(json.dumps(card([[float("nan")] * 16]))), "NaN"),
    "too large numbers": (json_of(json.dumps(card([[10**400]]))), "cannot be read"),
    "other tensors": (json_of(json.dumps({key: {"TORCHTENSOR": [1.0]} for key in "ab"})), "is no embedding"),
    "a pickle": (strips_of(zlib.compress(b"cos\nsystem\n(S'echo'\ntR.")), "cannot be read"),
    "no zlib": (strips_of(b"abcdefgh" * 90), "cannot be read"),
    "cut zlib": (strips_of(GOOD[:-40] * 3), "cannot be read"),
    "a bomb": (strips_of(zlib.compress(bytes(2**26), 9)), "it has over 16 MiB"),
    "a bomb of text": (
        lambda path: void(saved(Image.fromarray(picture()), path, "A" * 2**25, international=True)), "too long"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_card_is_said_in_one_line(name: str, tmp_path: Path) -> None:
    make, message = HOSTILE[name]
    path = tmp_path / "cat.png"
    make(path)
    with pytest.raises(CheckpointError, match=message) as caught:
        read_embedding(path)
    assert "cat.png" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_no_prefix_of_a_card_ends_otherwise(tmp_path: Path) -> None:
    whole = io.BytesIO()
    framed(*strips(GOOD)).save(whole, "PNG")
    path = tmp_path / "cat.png"
    for length in range(8, len(whole.getvalue()), 97):
        path.write_bytes(whole.getvalue()[:length])
        with pytest.raises(CheckpointError, match=r"too early|damaged"):
            read_embedding(path)
