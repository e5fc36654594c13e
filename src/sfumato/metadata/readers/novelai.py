"""NovelAI: texts ``Comment``, ``Description``, ``Software`` and ``Source`` of a PNG, the same as one object in the
UserComment of a WebP, or in the lowest bits of alpha.

Its prompts are weighted by braces, ``{up}`` by 1.05 and ``[down]`` by 1/1.05 a pair, and by ``1.5::numbers::``; they
are written in the web UI's syntax here.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from sfumato.metadata.gathering import Gathering, brief
from sfumato.metadata.readers.texts import Texts

_STEP = 1.05
_TOKEN = re.compile(r"[{}\[\]]|(-?[0-9]{1,6}(?:\.[0-9]{0,6})?|-?\.[0-9]{1,6})?::")
_FIELDS = {
    "width": "width",
    "height": "height",
    "steps": "steps",
    "seed": "seed",
    "guidance": "scale",
    "guidance_rescale": "cfg_rescale",
    "sampler": "sampler",
    "schedule": "noise_schedule",
}
_CAPTIONS = {"prompt": "v4_prompt", "negative": "v4_negative_prompt"}
_SILENT = ("n_samples", "request_type", "signed_hash", "version", "params_version", "stream")


def read(texts: Texts, found: Gathering[Any]) -> bool:
    """The settings in the object of the comment."""
    told = texts.plain.get("Software") == "NovelAI"
    data = next((data for _, data in texts.objects if "sampler" in data and _is_ours(data, told)), None)
    if data is None:
        return False
    rest = {key: value for key, value in data.items() if key not in _SILENT}
    for option, key in (("prompt", "prompt"), ("negative", "uc")):
        base, characters = _caption(rest.pop(_CAPTIONS[option], None))
        text = rest.pop(key, None) or base or (texts.plain.get("Description") if option == "prompt" else None)
        found.text(option, weighted(text) if isinstance(text, str) else text)
        for words in characters:
            found.lose(f"a character's {option}: {brief(words)}")
    for option, key in _FIELDS.items():
        found.take(option, rest.pop(key, None))
    if source := texts.plain.get("Source"):
        found.lose(f"model {brief(source)}")
    found.lose_rest(rest)
    return True


def _is_ours(data: Mapping[str, Any], told: bool) -> bool:
    return ("uc" in data and "c" not in data) or (told and "prompt" in data)  # Draw Things has c and uc


def _caption(value: object) -> tuple[object, list[str]]:
    """The caption of the whole picture and those of its characters, as version 4 has them."""
    caption = value.get("caption") if isinstance(value, dict) else None
    if not isinstance(caption, dict):
        return None, []
    rows = caption.get("char_captions")
    characters = [row.get("char_caption") for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    return caption.get("base_caption"), [words for words in characters if isinstance(words, str) and words]


def weighted(prompt: str) -> str:
    """A prompt of NovelAI in the web UI's syntax: ``{{a}}, 1.5::b::`` is ``(a:1.1025), (b:1.5)``."""
    pieces = [(re.sub(r"([()\[\]\\])", r"\\\1", text), weight) for text, weight in _pieces(prompt)]
    return "".join(text if weight == 1 or not text.strip() else _in_brackets(text, weight) for text, weight in pieces)


def _in_brackets(text: str, weight: float) -> str:
    bare = text.strip()
    start = text.index(bare)
    return f"{text[:start]}({bare}:{weight:g}){text[start + len(bare) :]}"


def _pieces(prompt: str) -> Iterator[tuple[str, float]]:
    """Pieces of one weight, without what weighs them; what is never closed reaches to the end."""
    depth, number, place = 0, 1.0, 0
    for token in _TOKEN.finditer(prompt):
        yield prompt[place : token.start()], round(number * _STEP ** min(max(depth, -99), 99), 4)
        place = token.end()
        if token[0] in "{]":
            depth += 1
        elif token[0] in "}[":
            depth -= 1
        else:
            number = float(token[1]) if token[1] else 1.0
    yield prompt[place:], round(number * _STEP ** min(max(depth, -99), 99), 4)
