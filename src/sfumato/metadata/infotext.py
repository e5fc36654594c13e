"""Infotext: the settings of a picture as AUTOMATIC1111's web UI writes them, and nearly every tool and site reads them.

    a prompt, maybe of several lines
    Negative prompt: maybe too
    Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7, Seed: 1, Size: 512x512, Model: "a, b"

The last line holds settings if three pairs or more are found in it; otherwise it belongs to the prompt. A value with
a comma, colon or line break is a JSON string; lists and objects of JSON are one value too. Three things that others
write are read as they mean them: lines ``Template: ...`` after the settings, everything on one line, and ``|`` between
the pairs. Written from descriptions of the format, in linear time for any text.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sfumato.errors import RequestError

MAX_LENGTH = 2**20

_NEGATIVE = "Negative prompt:"
_KEY = re.compile(r"(\w[\w \-/]{1,79}):")
_BLANKS = re.compile(r"\s*")
_VALUES = {mark: re.compile(rf'("(?:\\.|[^\\"])++"|[^{mark}]*+)(?:[{mark}]|$)') for mark in ",|"}
_STEPS = re.compile(r"\bSteps:\s*[0-9]")
_TRAILING = re.compile(r"((?:Negative )?Template):\s*(.*)", re.DOTALL)
_DECODER = json.JSONDecoder()
_MOST_BROKEN = 8  # values that begin as JSON and are none: each may cost the whole line
_FEWEST_PAIRS = 3


@dataclass(frozen=True)
class Infotext:
    """The three parts of the text.

    Attributes:
        prompt: lines without spaces at their ends.
        negative: likewise.
        fields: settings in the order of the text, values without their quotes; of equal keys the last.
    """

    prompt: str
    negative: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """The text."""
        lines = [self.prompt] if self.prompt else []
        if self.negative:
            lines.append(f"{_NEGATIVE} {self.negative}")
        if self.fields:
            lines.append(", ".join(f"{key}: {_quoted(value)}" for key, value in self.fields.items()))
        return "\n".join(lines)


def parse(text: str) -> Infotext:
    """Take a text apart. Any text is one, if only a prompt.

    Raises:
        RequestError: over 2^20 characters.
    """
    if len(text) > MAX_LENGTH:
        raise RequestError(f"settings of {len(text)} characters are too long; at most {MAX_LENGTH} are read")
    lines = [line.strip() for line in text.strip().split("\n")]
    place, fields = _settings(lines)
    before = lines
    if place is not None:
        before = lines[:place]
        start = _start(lines[place], fields)
        if start:
            prompt, mark, negative = lines[place][:start].partition(_NEGATIVE)
            before += [prompt, *([mark + negative] if mark else [])]
            fields = dict(_pairs(lines[place][start:], ","))
        fields |= _after_settings(lines[place + 1 :])
    first = next((i for i, line in enumerate(before) if line.startswith(_NEGATIVE)), len(before))
    negative = "\n".join(before[first:]).removeprefix(_NEGATIVE)
    return Infotext("\n".join(before[:first]).strip(), negative.strip(), fields)


def _settings(lines: Sequence[str]) -> tuple[int | None, dict[str, str]]:
    """Which line holds the settings, and those: the last, or the last of those that begin with the steps and have
    nothing but templates after them.
    """
    fields = _fields(lines[-1])
    if fields:
        return len(lines) - 1, fields
    template = next((i for i, line in enumerate(lines) if i and _TRAILING.match(line)), 0)
    if template and lines[template - 1].startswith("Steps:") and (fields := _fields(lines[template - 1])):
        return template - 1, fields
    return None, {}


def _fields(line: str) -> dict[str, str]:
    """The pairs of a line, if they are enough to be settings."""
    pairs = _pairs(line, ",")
    if len(pairs) < _FEWEST_PAIRS and line.startswith("Steps:"):
        pairs = _pairs(line, "|")
    return dict(pairs) if len(pairs) >= _FEWEST_PAIRS else {}


def _pairs(line: str, mark: str) -> list[tuple[str, str]]:
    """Keys and values with a mark between them; what is no pair is passed over."""
    found: list[tuple[str, str]] = []
    place = broken = 0
    last = line.rfind(":") + 1  # behind it is no key, which is slow to find out
    while (key := _KEY.search(line, place, last)) is not None:
        blanks = _BLANKS.match(line, key.end())
        assert blanks is not None  # none at all is a match too
        start, end = blanks.end(), None
        if line[start : start + 1] in ("[", "{") and broken < _MOST_BROKEN:
            end = _end_of_json(line, start, mark)
            broken += end is None
        if end is not None:
            found.append((key[1].strip(), line[start:end].strip()))
            place = line.find(mark, end) + 1 or len(line)
        else:
            value = _VALUES[mark].match(line, start)
            assert value is not None  # any text up to the mark or the end is one
            found.append((key[1].strip(), _unquoted(value[1].strip())))
            place = value.end()
    return found


def _end_of_json(line: str, start: int, mark: str) -> int | None:
    """Where the list or object ends that begins here; None if it is none, or if it is not the whole value."""
    try:
        _, end = _DECODER.raw_decode(line, start)
    except (ValueError, RecursionError):
        return None
    following = line[end : end + 80].lstrip()
    return end if not following or following.startswith(mark) else None


def _start(line: str, fields: Mapping[str, str]) -> int:
    """Where the settings of a line begin: behind its prompts, if those stand on it too."""
    steps = _STEPS.search(line)
    if steps is None:
        return 0
    first = next(iter(fields))
    joined = first == "Steps" or (first.endswith(" Steps") and "Steps" not in fields)
    return steps.start() if joined or _NEGATIVE in line[: steps.start()] else 0


def _after_settings(lines: Sequence[str]) -> dict[str, str]:
    """Templates on lines of their own, each up to the next."""
    found: dict[str, str] = {}
    key = ""
    for line in lines:
        if (template := _TRAILING.match(line)) is not None:
            key, line = template[1], template[2]
        found[key] = f"{found[key]}\n{line}" if key in found else line
    return found


def model_name(model: str) -> str:
    """The last part of a model's name or path, without the ending of a weights file."""
    return re.split(r"[/\\]", model.rstrip("/\\"))[-1].removesuffix(".safetensors")


def _quoted(value: str) -> str:
    """The value, as JSON where the plain value would be taken apart, or read otherwise."""
    plain = not re.search(r'[,:\n\r]|^\s|\s$|^"', value)
    return value if plain else json.dumps(value, ensure_ascii=False)


def _unquoted(value: str) -> str:
    if len(value) < 2 or value[0] != '"' or value[-1] != '"':
        return value
    try:
        text = json.loads(value)
    except ValueError:
        return value
    return text if isinstance(text, str) else value
