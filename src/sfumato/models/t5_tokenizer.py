"""T5's unigram tokenizer (Kudo 2018) through the `tokenizers` library, from a folder's `tokenizer.json` or
`spiece.model`. Its vocabulary is not bundled: it comes with the model.
"""

import json
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from jaxtyping import Int
from tokenizers import AddedToken, Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import Unigram
from torch import Tensor

from sfumato.errors import CheckpointError
from sfumato.files import read_regular

END, PADDING, UNKNOWN = "</s>", "<pad>", "<unk>"
EXTRA = 100
"""Names of gaps (`<extra_id_0>`) that stand after the pieces of a `spiece.model`."""


@dataclass(frozen=True)
class T5Tokenizer:
    """Texts to ids (b, length): words, end, padding. `serialised` is a whole `tokenizer.json`."""

    serialised: str
    length: int = 256
    """Stable Diffusion 3 was trained with 77 and is run with 256."""

    @classmethod
    def from_folder(cls, folder: Path) -> "T5Tokenizer":
        """Read `tokenizer.json`, or `spiece.model`.

        Raises:
            CheckpointError: neither is there, or it is no T5 tokenizer.
        """
        try:
            if (folder / "tokenizer.json").is_file():
                serialised = (folder / "tokenizer.json").read_text(encoding="utf-8")
            else:
                serialised = _unigram(read_regular(folder / "spiece.model")).to_str()
        except FileNotFoundError:
            raise CheckpointError(
                f"{folder} has neither tokenizer.json nor spiece.model; copy the whole model folder"
            ) from None
        except Exception as error:  # `tokenizers` raises nothing more special
            raise CheckpointError(f"{folder} does not hold a T5 tokenizer: {error}") from error
        return cls.parsed(serialised, str(folder))

    @classmethod
    def of_pieces(cls, pieces: Sequence[tuple[str, float]], charsmap: bytes, source: str) -> "T5Tokenizer":
        """Of its pieces with their log-probabilities, and SentencePiece's map of characters.

        Raises:
            CheckpointError: they lack the end, the padding or the unknown.
        """
        try:
            serialised = _assembled(pieces, charsmap).to_str()
        except Exception as error:  # `tokenizers` raises nothing more special
            raise CheckpointError(f"{source} does not hold a T5 tokenizer: {error}") from error
        return cls.parsed(serialised, source)

    @classmethod
    def parsed(cls, serialised: str, source: str) -> "T5Tokenizer":
        """From the text of a `tokenizer.json`.

        Raises:
            CheckpointError: it is not one, or lacks the end or the padding.
        """
        tokenizer = cls(serialised)
        try:
            ids = [tokenizer._tokenizer.token_to_id(token) for token in (END, PADDING)]
        except Exception as error:  # `tokenizers` raises nothing more special
            raise CheckpointError(f"{source} does not hold a T5 tokenizer: {error}") from error
        if None in ids:
            raise CheckpointError(f"{source} lacks the token {(END, PADDING)[ids.index(None)]!r}; is it T5's?")
        return tokenizer

    def save(self, folder: Path) -> None:
        """Write the files that `from_folder` (and transformers' `T5Tokenizer`) reads."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "tokenizer.json").write_text(self.serialised, encoding="utf-8")
        config = {
            "tokenizer_class": "T5Tokenizer",
            "model_max_length": 512,
            "eos_token": END,
            "unk_token": UNKNOWN,
            "pad_token": PADDING,
        }
        (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        tokenizer = Tokenizer.from_str(self.serialised)
        tokenizer.no_padding()
        tokenizer.no_truncation()
        return tokenizer

    @property
    def size(self) -> int:
        """Ids in all."""
        return int(self._tokenizer.get_vocab_size())

    def places(self, text: str) -> list[tuple[int, int]]:
        """The ids of a text alone, however long, without end or padding, and the character that each ends before."""
        encoding = self._tokenizer.encode(text, add_special_tokens=False)
        return [(token, end) for token, (_, end) in zip(encoding.ids, encoding.offsets, strict=True)]

    def words(self, text: str) -> list[int]:
        """The ids of a text alone, however long."""
        return [token for token, _ in self.places(text)]

    def __call__(self, texts: Sequence[str]) -> Int[Tensor, "b n"]:
        """Ids of each text; what exceeds the length is cut off (count with `words` to say so)."""
        end, padding = (self._tokenizer.token_to_id(token) for token in (END, PADDING))
        rows = [[*self.words(text)[: self.length - 1], end] for text in texts]
        return torch.tensor([row + [padding] * (self.length - len(row)) for row in rows], dtype=torch.long)


def _unigram(data: bytes) -> Tokenizer:
    """The tokenizer in a SentencePiece model: pieces with their log-probabilities, and rules of normalisation.

    Its format is protocol buffers; fields as in `sentencepiece_model.proto` of https://github.com/google/sentencepiece.
    """
    pieces: list[tuple[str, float]] = []
    charsmap = b""
    for field, value in _fields(data):
        inner = dict(_fields(value)) if isinstance(value, bytes) else {}
        if field == 1:  # a piece: its text and its score, 0 where left out
            text, score = inner[1], inner.get(2, b"\0\0\0\0")
            if not isinstance(text, bytes) or not isinstance(score, bytes):
                raise ValueError("a piece is not text with a score")
            pieces.append((text.decode("utf-8"), struct.unpack("<f", score)[0]))
        elif field == 2 and inner.get(3, 1) != 1:  # the kind of model
            raise ValueError("it is no unigram model")
        elif field == 3 and isinstance(normalisation := inner.get(2, b""), bytes):
            charsmap = normalisation
    return _assembled(pieces, charsmap)


def _assembled(pieces: Sequence[tuple[str, float]], charsmap: bytes) -> Tokenizer:
    """A unigram tokenizer, with T5's names of gaps where the pieces lack them."""
    names = [text for text, _ in pieces]
    if UNKNOWN not in names:
        raise ValueError(f"it lacks the token {UNKNOWN!r}")
    extra = [f"<extra_id_{i}>" for i in reversed(range(EXTRA))]
    lacking = [(name, 0.0) for name in extra if name not in names]
    tokenizer = Tokenizer(Unigram([*pieces, *lacking], names.index(UNKNOWN), False))
    special = [token for token in (PADDING, END, UNKNOWN) if token in names]
    tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token in (*special, *extra)])
    if charsmap:
        tokenizer.normalizer = normalizers.Precompiled(charsmap)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="always")]
    )
    return tokenizer


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The numbered fields of a protocol buffer: numbers as such, everything else as bytes.

    Raises:
        ValueError: the data end inside a field, or are of another kind.
    """
    at = 0

    def number() -> int:
        nonlocal at
        value = shift = 0
        while True:
            if at >= len(data) or shift > 63:
                raise ValueError("it is cut off or no protocol buffer")
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(data):
        field, wire = divmod(number(), 8)
        if wire == 0:
            yield field, number()
            continue
        sizes = {1: 8, 5: 4}
        if wire not in (1, 2, 5):
            raise ValueError("it is no protocol buffer")
        size = number() if wire == 2 else sizes[wire]
        if at + size > len(data):
            raise ValueError("it is cut off")
        yield field, data[at : at + size]
        at += size
