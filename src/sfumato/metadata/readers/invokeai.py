"""InvokeAI 2 and its forerunner: ``sd-metadata``, a JSON object, and ``Dream``, a line of its command language. What
stands in square brackets in a prompt is its negative.
"""

import re
from collections.abc import Mapping
from typing import Any

from sfumato.metadata.gathering import Gathering, brief
from sfumato.metadata.readers.texts import Texts

_OPTIONS = {"s": "steps", "S": "seed", "W": "width", "H": "height", "C": "guidance", "A": "sampler"}
_FIELDS = {"steps": "steps", "seed": "seed", "width": "width", "height": "height", "cfg_scale": "guidance"}
_DREAM = re.compile(r'\s*"((?:\\.|[^"\\])*+)"(.*)', re.DOTALL)
_SILENT = ("type", "postprocessing", "image_type")


def read(texts: Texts, found: Gathering[Any]) -> bool:
    """The settings of either kind."""
    for _, data in texts.objects:
        image = data.get("image")
        if isinstance(image, dict) and "prompt" in image and "sampler" in image:
            _metadata(data, dict(image), found)
            return True
    dream = _DREAM.fullmatch(texts.plain.get("Dream", ""))
    if dream is not None:
        _prompts(re.sub(r"\\(.)", r"\1", dream[1]), found)
        _command(dream[2], found)
    return dream is not None


def _metadata(data: Mapping[str, Any], image: dict[str, Any], found: Gathering[Any]) -> None:
    prompt = image.pop("prompt")
    pieces = (
        [piece.get("prompt") for piece in prompt if isinstance(piece, dict)] if isinstance(prompt, list) else [prompt]
    )
    _prompts(pieces[0] if pieces else None, found)
    for piece in pieces[1:]:
        found.lose(f"a further prompt: {brief(piece)}")
    for theirs, ours in _FIELDS.items():
        found.take(ours, image.pop(theirs, None))
    found.take("sampler", image.pop("sampler"))
    found.take("model", data.get("model_weights"))
    found.lose_rest({key: value for key, value in image.items() if key not in _SILENT})


def _command(options: str, found: Gathering[Any]) -> None:
    for name, value in re.findall(r"(?:^|\s)-(\w{1,20})[ =]+([\w.-]{1,80})", options):
        if name in _OPTIONS:
            found.take(_OPTIONS[name], value)
        else:
            found.lose(f"-{name} {brief(value)}")


def _prompts(text: object, found: Gathering[Any]) -> None:
    found.text("prompt_syntax", "compel")
    if not isinstance(text, str):
        found.text("prompt", text)
        return
    negative = re.findall(r"\[([^\[\]]*)\]", text)
    found.text("prompt", re.sub(r"\[[^\[\]]*\]", " ", text).strip() if negative else text)
    found.text("negative", ", ".join(map(str.strip, negative)))
