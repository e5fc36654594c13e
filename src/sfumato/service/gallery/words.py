"""Prompts as the full-text index has them, and queries for it, in any language.

Words of alphabetic scripts are the index's own business. Chinese and Japanese have no blanks between words, so each
character stands alone, and what is asked for in them is a phrase of its characters: 狐狸 is found in 一只红狐狸, and so
is 红狐. Traditional and simplified characters are not the same here.
"""

import re
import unicodedata
from dataclasses import dataclass

_ALONE = re.compile(
    "[\u3005\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]"
)
_TERM = re.compile(r'(-?)(?:"([^"]*)"?|(\S+))')
MAX_TERMS = 32


def segmented(text: str) -> str:
    """A text whose characters without blanks have them."""
    return _ALONE.sub(r" \g<0> ", unicodedata.normalize("NFKC", text))


@dataclass(frozen=True)
class Language:
    """How a kind of database is asked for words.

    Attributes:
        insert: adds ``:words`` of the row ``:number``.
        matching: whether a row's words are what ``:match`` asks for.
        quote: around a phrase; doubled inside.
        unfinished: after a phrase whose last word may go on.
        all, any, without: between phrases.
    """

    insert: str
    matching: str
    quote: str
    unfinished: str
    all: str
    any: str
    without: str

    def phrase(self, words: str, unfinished: bool) -> str:
        """Words side by side."""
        safe = words.replace(self.quote, " ").replace("\\", " ")
        return f"{self.quote}{safe}{self.quote}{self.unfinished if unfinished else ''}"


LANGUAGES = {
    "sqlite": Language(
        "INSERT INTO gallery_words (rowid, words) VALUES (:number, :words)",
        "gallery_words MATCH :match",
        '"', " *", " AND ", " OR ", "({}) NOT ({})",
    ),
    "postgresql": Language(
        "INSERT INTO gallery_words (rowid, words) VALUES (:number, to_tsvector('sfumato', :words))",
        "gallery_words.words @@ to_tsquery('sfumato', :match)",
        "'", ":*", " & ", " | ", "({}) & !({})",
    ),
}  # fmt: skip
"""Statements by the database's kind."""


@dataclass(frozen=True)
class Terms:
    """What a query asks for, in the language of a database.

    Attributes:
        wanted: all of it must be there; empty where nothing is asked for.
        unwanted: none of it may be there; empty likewise.
    """

    wanted: str
    unwanted: str

    @classmethod
    def of(cls, query: str, language: Language) -> "Terms":
        """``red fox``: both words; ``"red fox"``: side by side; ``-dog``: without it; the last word may go on."""
        wanted: list[str] = []
        unwanted: list[str] = []
        found = list(_TERM.finditer(unicodedata.normalize("NFKC", query)))[:MAX_TERMS]
        for each in found:
            sign, quoted, bare = each.groups()
            words = segmented(quoted if bare is None else bare).replace('"', " ").replace("\0", " ").strip()
            if not any(character.isalnum() for character in words):
                continue
            unfinished = each is found[-1] and bare is not None and words[-1].isascii() and len(words) > 1
            (unwanted if sign else wanted).append(language.phrase(words, unfinished))
        return cls(language.all.join(wanted), language.any.join(unwanted))
