"""T5's tokenizer against transformers', and from a SentencePiece file, on a vocabulary trained here."""

import struct
from pathlib import Path

import pytest
from tokenizers import Tokenizer
from tokenizers.models import Unigram
from transformers import T5Tokenizer as TheirT5Tokenizer

from sfumato.errors import CheckpointError
from sfumato.models.t5_tokenizer import T5Tokenizer
from tests.parity.sd3 import t5_tokenizer, unigram

pytestmark = pytest.mark.parity

TEXTS = [
    "",
    "a photo of a cat",
    "  Hello   WORLD's café, don't we'll 123 4.5!!  ",
    "tab\tnew\nline",
    "一个微笑的红发女孩",
    "the end </s> is <pad> no end",
    "<extra_id_3> of the fox",
    "word " * 300,
]


@pytest.fixture(scope="module")
def vocabulary() -> list[tuple[str, float]]:
    return unigram()


def field(number: int, value: bytes | int | float) -> bytes:
    """A field of a protocol buffer; all lengths here are below 128 or take two bytes."""

    def varint(n: int) -> bytes:
        return bytes([n]) if n < 128 else bytes([n & 0x7F | 0x80]) + varint(n >> 7)

    if isinstance(value, bytes):
        return varint(number << 3 | 2) + varint(len(value)) + value
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    return varint(number << 3) + varint(value)


def spiece(vocabulary: list[tuple[str, float]], kind: int = 1) -> bytes:
    """A SentencePiece model as its library writes it: pieces, then training settings, then normalisation."""
    pieces = b"".join(field(1, field(1, piece.encode()) + field(2, score)) for piece, score in vocabulary)
    return pieces + field(2, field(3, kind) + field(40, 2)) + field(3, field(1, b"identity") + field(3, 1))


@pytest.fixture(scope="module")
def folder(vocabulary: list[tuple[str, float]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As transformers saves it."""
    folder = tmp_path_factory.mktemp("tokenizer")
    t5_tokenizer().save_pretrained(folder)
    return folder


@pytest.mark.parametrize("text", TEXTS)
def test_same_ids(text: str, folder: Path) -> None:
    theirs = TheirT5Tokenizer.from_pretrained(folder)
    expected = theirs(text, padding="max_length", max_length=256, truncation=True).input_ids
    assert T5Tokenizer.from_folder(folder)([text])[0].tolist() == expected


@pytest.mark.parametrize("text", TEXTS)
def test_same_ids_from_sentencepiece(
    text: str, folder: Path, vocabulary: list[tuple[str, float]], tmp_path: Path
) -> None:
    (tmp_path / "spiece.model").write_bytes(spiece(vocabulary))
    tokenizer = T5Tokenizer.from_folder(tmp_path)
    assert tokenizer.words(text) == T5Tokenizer.from_folder(folder).words(text)
    assert tokenizer.size == len(vocabulary) + 100


def test_round_trip(folder: Path, tmp_path: Path) -> None:
    ours = T5Tokenizer.from_folder(folder)
    ours.save(tmp_path)
    assert T5Tokenizer.from_folder(tmp_path) == ours
    theirs = TheirT5Tokenizer.from_pretrained(tmp_path)
    assert theirs(TEXTS[2]).input_ids == [*ours.words(TEXTS[2]), 1]


BAD = {
    "missing": ({}, "neither tokenizer.json nor spiece.model"),
    "not json": ({"tokenizer.json": b"{"}, "does not hold a T5 tokenizer"),
    "not utf-8": ({"tokenizer.json": b"\xff"}, "does not hold a T5 tokenizer"),
    "another": (
        {"tokenizer.json": Tokenizer(Unigram([("<unk>", 0.0)], 0, False)).to_str().encode()},
        "lacks the token '</s>'",
    ),
    "empty": ({"spiece.model": b""}, "lacks the token '<unk>'"),
    "text": ({"spiece.model": b"version https://git-lfs.github.com/spec/v1"}, "no protocol buffer|cut off"),
    "cut off": ({"spiece.model": spiece([("<unk>", 0.0)])[:-9]}, "cut off"),
    "byte pairs": ({"spiece.model": spiece([("<unk>", 0.0)], kind=2)}, "no unigram model"),
    "no end": ({"spiece.model": spiece([("<unk>", 0.0), ("<pad>", 0.0)])}, "lacks the token '</s>'"),
    "endless number": ({"spiece.model": b"\xff" * 40}, "no protocol buffer"),
    "piece without text": ({"spiece.model": field(1, field(2, 1.0))}, "does not hold a T5 tokenizer"),
    "normalisation": ({"spiece.model": spiece([("<unk>", 0.0)]) + field(3, field(2, b"x"))}, "does not hold a T5"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files(name: str, tmp_path: Path) -> None:
    files, message = BAD[name]
    for file, data in files.items():
        (tmp_path / file).write_bytes(data)
    with pytest.raises(CheckpointError, match=message):
        T5Tokenizer.from_folder(tmp_path)
