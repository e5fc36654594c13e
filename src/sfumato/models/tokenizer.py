"""CLIP's byte-pair tokenizer through the `tokenizers` library, from CLIP's own vocabulary or a folder's.

Text is normalised (NFC, white space, lower case), cut into words, and each word into pieces of which the last carries
`</w>`. Byte-level, so any string has tokens.
"""

import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int
from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import BPE
from torch import Tensor

from sfumato.errors import CheckpointError

BEGIN, END = "<|startoftext|>", "<|endoftext|>"
WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
"""CLIP's word pattern. The names of special tokens are plain text when a prompt contains them."""


def bpe(vocabulary: Mapping[str, int] | None = None, merges: Sequence[tuple[str, str]] | None = None) -> Tokenizer:
    """A `tokenizers.Tokenizer` with CLIP's normalisation and word pattern; empty (to be trained) without arguments."""
    model = BPE(
        vocab=dict(vocabulary) if vocabulary is not None else None,
        merges=list(merges) if merges is not None else None,
        end_of_word_suffix="</w>",
        continuing_subword_prefix="",
        unk_token=END,
    )
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    return tokenizer


@dataclass(frozen=True)
class ClipTokenizer:
    """Texts to ids (b, length): begin, words, end, padding. `vocabulary` and `merges` define it entirely."""

    vocabulary: Mapping[str, int]
    merges: tuple[tuple[str, str], ...]
    length: int = 77
    padding: str = END

    @classmethod
    def clip(cls) -> "ClipTokenizer":
        """OpenAI CLIP's vocabulary, which Stable Diffusion 1.x uses; bundled, no network."""
        packed = resources.files("sfumato").joinpath("data/clip/bpe_simple_vocab_16e6.txt.gz").read_bytes()
        lines = gzip.decompress(packed).decode("utf-8").split("\n")[1 : 49152 - 256 - 2 + 1]
        merges = tuple((first, second) for first, second in (line.split() for line in lines))
        letters = [chr(c) for c in (*range(33, 127), *range(161, 173), *range(174, 256))]
        letters += [chr(256 + n) for n in range(256 - len(letters))]
        pieces = [*letters, *(letter + "</w>" for letter in letters), *map("".join, merges), BEGIN, END]
        return cls({piece: i for i, piece in enumerate(pieces)}, merges)

    @classmethod
    def from_folder(cls, folder: Path) -> "ClipTokenizer":
        """Read `vocab.json` and `merges.txt`, or `tokenizer.json` (transformers 5 writes that alone); for length and
        padding `tokenizer_config.json`.

        Raises:
            CheckpointError: a file is missing or not what it should be.
        """
        try:
            if (folder / "vocab.json").is_file():
                vocabulary = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
                lines = (folder / "merges.txt").read_text(encoding="utf-8").split("\n")
                pairs = [line.split() for line in lines if line and not line.startswith("#version")]
            else:
                model = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]
                vocabulary = model["vocab"]
                pairs = [pair.split() if isinstance(pair, str) else pair for pair in model["merges"]]
            merges = tuple((first, second) for first, second in pairs)
            config = _json_or_empty(folder / "tokenizer_config.json")
            special = _json_or_empty(folder / "special_tokens_map.json")
            padding = config.get("pad_token", special.get("pad_token", END))
            padding = padding["content"] if isinstance(padding, dict) else padding
            missing = [token for token in (BEGIN, END, padding) if token not in vocabulary]
        except FileNotFoundError as error:
            raise CheckpointError(f"tokenizer file {error.filename} is missing; copy the whole model folder") from error
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise CheckpointError(f"{folder} does not hold a CLIP tokenizer: {error!r}") from error
        if missing:
            raise CheckpointError(f"{folder} lacks the token {missing[0]!r}; is it a CLIP vocabulary?")
        length = config.get("model_max_length", 77)
        return cls(vocabulary, merges, length if isinstance(length, int) and length < 10_000 else 77, padding)

    def save(self, folder: Path) -> None:
        """Write the files that `from_folder` (and transformers' `CLIPTokenizer`) reads."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "vocab.json").write_text(json.dumps(dict(self.vocabulary), ensure_ascii=False), encoding="utf-8")
        lines = ["#version: 0.2", *(" ".join(pair) for pair in self.merges)]
        (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        config = {
            "tokenizer_class": "CLIPTokenizer",
            "model_max_length": self.length,
            "bos_token": BEGIN,
            "eos_token": END,
            "unk_token": END,
            "pad_token": self.padding,
        }
        (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        return bpe(self.vocabulary, self.merges)

    @property
    def begin(self) -> int:
        """Id of the begin-of-text token."""
        return self.vocabulary[BEGIN]

    @property
    def end(self) -> int:
        """Id of the end-of-text token."""
        return self.vocabulary[END]

    def words(self, text: str) -> list[int]:
        """The ids of a text alone, however long, without begin, end or padding."""
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def __call__(self, texts: Sequence[str]) -> Int[Tensor, "b n"]:
        """Ids of each text; what exceeds the window is cut off (count with `words` to say so)."""
        room = self.length - 2
        filler = self.vocabulary[self.padding]
        rows = []
        for encoding in self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False):
            row = [self.begin, *encoding.ids[:room], self.end]
            rows.append(row + [filler] * (self.length - len(row)))
        return torch.tensor(rows, dtype=torch.long)


def _json_or_empty(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}
