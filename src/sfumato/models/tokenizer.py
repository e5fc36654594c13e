"""CLIP's byte-pair tokenizer through the `tokenizers` library, from CLIP's own vocabulary or a folder's.

Text is normalised (NFC, white space, lower case), cut into words, and each word into pieces of which the last carries
`</w>`. Byte-level, so any string has tokens. A folder may add tokens, as textual inversion does: they are found in a
text before it is cut into words.
"""

import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib import resources
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokenizers import AddedToken, Regex, Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import BPE

from sfumato.errors import CheckpointError
from sfumato.files import read_regular

if TYPE_CHECKING:  # whoever only counts tokens needs no torch
    from jaxtyping import Int
    from torch import Tensor

BEGIN, END = "<|startoftext|>", "<|endoftext|>"
WORDLIST, MERGES, FAST = "vocab.json", "merges.txt", "tokenizer.json"
FILES = (WORDLIST, MERGES, FAST, "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
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
    """Texts to ids (b, length): begin, words, end, padding. `vocabulary`, `merges` and `added` define it entirely."""

    vocabulary: Mapping[str, int]
    merges: tuple[tuple[str, str], ...]
    length: int = 77
    padding: str = END
    added: tuple[AddedToken, ...] = ()
    """Tokens that no merge makes; their ids are in the vocabulary."""

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
        padding `tokenizer_config.json`; for added tokens any file that lists some.

        Raises:
            CheckpointError: a file is missing or not what it should be, or two of them contradict each other.
        """
        try:
            needed = () if (folder / FAST).is_file() and not (folder / WORDLIST).is_file() else (WORDLIST, MERGES)
            there = [name for name in FILES if name in needed or (folder / name).is_file()]
            return _of_files(tuple((name, read_regular(folder / name)) for name in there))
        except FileNotFoundError as error:
            raise CheckpointError(f"tokenizer file {error.filename} is missing; copy the whole model folder") from error
        except _UnfitError as error:
            raise CheckpointError(f"{folder} {error}") from error
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise CheckpointError(f"{folder} does not hold a CLIP tokenizer: {error!r}") from error

    def save(self, folder: Path) -> None:
        """Write the files that `from_folder` (and transformers' `CLIPTokenizer`) reads."""
        folder.mkdir(parents=True, exist_ok=True)
        added = {self.vocabulary[token.content]: token for token in self.added}
        vocabulary = {piece: number for piece, number in self.vocabulary.items() if number not in added}
        (folder / WORDLIST).write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
        lines = ["#version: 0.2", *(" ".join(pair) for pair in self.merges)]
        (folder / MERGES).write_text("\n".join(lines) + "\n", encoding="utf-8")
        config = {
            "tokenizer_class": "CLIPTokenizer",
            "model_max_length": self.length,
            "bos_token": BEGIN,
            "eos_token": END,
            "unk_token": END,
            "pad_token": self.padding,
        }
        if added:
            config["added_tokens_decoder"] = {str(number): token.__getstate__() for number, token in added.items()}
        (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        tokenizer = bpe(self.vocabulary, self.merges)
        tokenizer.add_tokens(list(self.added))
        return tokenizer

    @cached_property
    def _followers(self) -> Mapping[int, list[int]]:
        """An added token of several vectors, `<x>`, stands for `<x>`, `<x>_1`, `<x>_2` ..., as in diffusers."""
        names = {token.content for token in self.added}
        series = {
            name: list(takewhile(names.__contains__, (f"{name}_{i}" for i in range(1, len(names))))) for name in names
        }
        return {self.vocabulary[name]: [self.vocabulary[n] for n in (name, *rest)] for name, rest in series.items()}

    def _whole(self, ids: list[int]) -> list[int]:
        return [each for i in ids for each in self._followers.get(i, (i,))] if self.added else ids

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
        return self._whole(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def __call__(self, texts: Sequence[str]) -> "Int[Tensor, 'b n']":
        """Ids of each text; what exceeds the window is cut off (count with `words` to say so)."""
        import torch

        room = self.length - 2
        filler = self.vocabulary[self.padding]
        rows = []
        for encoding in self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False):
            row = [self.begin, *self._whole(encoding.ids)[:room], self.end]
            rows.append(row + [filler] * (self.length - len(row)))
        return torch.tensor(rows, dtype=torch.long)


class _UnfitError(ValueError):
    """What is wrong with the tokenizer of a folder."""


@lru_cache(maxsize=4)
def _of_files(files: tuple[tuple[str, bytes], ...]) -> ClipTokenizer:
    """The tokenizer in files of these names. The same files are read once: encoders of a model mostly share them."""
    texts = {name: data.decode("utf-8") for name, data in files}

    def read(name: str) -> dict[str, Any]:
        return dict(json.loads(texts.get(name, "{}")))

    fast, config, special = read(FAST), read("tokenizer_config.json"), read("special_tokens_map.json")
    if WORDLIST in texts:
        vocabulary = read(WORDLIST)
        lines = texts[MERGES].replace("\r\n", "\n").split("\n")
        pairs = [line.split() for line in lines if line and not line.startswith("#version")]
    else:
        vocabulary = dict(fast["model"]["vocab"])
        pairs = [pair.split() if isinstance(pair, str) else pair for pair in fast["model"]["merges"]]
    merges = tuple((first, second) for first, second in pairs)
    padding = config.get("pad_token", special.get("pad_token", END))
    padding = padding["content"] if isinstance(padding, dict) else padding
    added = _added_tokens(fast, config, read("added_tokens.json"))
    own = [token for token in added if not (token.special and token.content in vocabulary)]
    own = [token for token in own if token.content not in (BEGIN, END)]
    ids = {token.content: added[token] for token in own}
    moved = [name for name, number in ids.items() if vocabulary.get(name, number) != number]
    vocabulary |= ids
    if not all(type(number) is int and number >= 0 for number in vocabulary.values()):
        raise ValueError("an id is no whole number")
    if missing := [token for token in (BEGIN, END, padding) if token not in vocabulary]:
        raise _UnfitError(f"lacks the token {missing[0]!r}; is it a CLIP vocabulary?")
    if moved or len(set(vocabulary.values())) < len(vocabulary):
        raise _UnfitError("gives two ids to a token, or one to two; copy the whole model folder again")
    length = config.get("model_max_length", 77)
    length = length if isinstance(length, int) and length < 10_000 else 77
    return ClipTokenizer(vocabulary, merges, length, padding, tuple(own))


def _added_tokens(
    fast: Mapping[str, Any], config: Mapping[str, Any], old: Mapping[str, int]
) -> Mapping[AddedToken, int]:
    """Ids of added tokens, wherever they are listed: `tokenizer.json`, `tokenizer_config.json`, `added_tokens.json`.

    Raises:
        ValueError: one has two ids.
    """
    listed = {int(number): row for number, row in config.get("added_tokens_decoder", {}).items()}
    listed |= {int(row["id"]): row for row in fast.get("added_tokens", ())}
    kept = ("content", "single_word", "lstrip", "rstrip", "normalized", "special")
    tokens = [(AddedToken(**{key: row[key] for key in kept if key in row}), number) for number, row in listed.items()]
    known = {(token.content, number) for token, number in tokens}
    tokens += [(AddedToken(name), number) for name, number in old.items() if (name, number) not in known]
    contents = [token.content for token, _ in tokens]
    if doubled := [name for name in contents if contents.count(name) > 1]:
        raise ValueError(f"the added token {doubled[0]!r} has two ids")
    return dict(tokens)
