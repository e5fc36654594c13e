"""NovelAI: texts ``Comment``, ``Description``, ``Software`` and ``Source`` of a PNG, the same as one object in the
UserComment of a WebP, or in the lowest bits of alpha. Prompts keep their own syntax, ``novelai``.
"""

from collections.abc import Mapping
from typing import Any

from sfumato.metadata.gathering import Gathering, brief
from sfumato.metadata.readers.texts import Texts

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
    found.text("prompt_syntax", "novelai")
    rest = {key: value for key, value in data.items() if key not in _SILENT}
    for option, key in (("prompt", "prompt"), ("negative", "uc")):
        base, characters = _caption(rest.pop(_CAPTIONS[option], None))
        text = rest.pop(key, None) or base or (texts.plain.get("Description") if option == "prompt" else None)
        found.text(option, text)
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
