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
from typing import TYPE_CHECKING, Self

from sfumato.errors import RequestError
from sfumato.metadata.names import SAMPLER_LABELS, SCHEDULE_LABELS
from sfumato.requests import MAX_SIGMA, Txt2Img

if TYPE_CHECKING:
    from sfumato.results import Result

MAX_LENGTH = 2**20
HASH_DIGITS = 10

_NEGATIVE = "Negative prompt:"
_KEY = re.compile(r"(\w[\w \-/]{1,79}):\s*")
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
    while (key := _KEY.search(line, place)) is not None:
        end = None
        if line[key.end() : key.end() + 1] in ("[", "{") and broken < _MOST_BROKEN:
            end = _end_of_json(line, key.end(), mark)
            broken += end is None
        if end is not None:
            found.append((key[1].strip(), line[key.end() : end].strip()))
            place = line.find(mark, end) + 1 or len(line)
        else:
            value = _VALUES[mark].match(line, key.end())
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
    key = next(iter(fields))
    joined = key.endswith(" Steps") and "Steps" not in fields
    if key == "Negative prompt" or joined or (key == "Steps" and not line.startswith(key)):
        found = _STEPS.search(line)
        return 0 if found is None else found.start()
    return 0


def _after_settings(lines: Sequence[str]) -> dict[str, str]:
    """Templates on lines of their own, each up to the next."""
    found: dict[str, str] = {}
    key = ""
    for line in lines:
        if (template := _TRAILING.match(line)) is not None:
            key, line = template[1], template[2]
        found[key] = f"{found[key]}\n{line}" if key in found else line
    return found


@dataclass(frozen=True)
class Painter:
    """What painted a picture, beside its request: where these agree, repainting gives the same pixels.

    Attributes:
        model_hash: of the denoiser's weights file, SHA-256 in hexadecimal, the first digits or all.
        precision: ``fp32``, ``bf16`` or ``fp16``.
        device: its kind, as ``cpu``.
        torch: version of the engine.
        lora_hashes: of the LoRAs, by name; embedding_hashes likewise.
        vae_hash: of an autoencoder that is not the model's own.
    """

    model_hash: str
    precision: str
    device: str
    torch: str
    lora_hashes: Mapping[str, str] = field(default_factory=dict)
    embedding_hashes: Mapping[str, str] = field(default_factory=dict)
    vae_hash: str = ""

    @classmethod
    def of(cls, result: "Result") -> Self:
        """The painter of a result, which is this process."""
        device = result.device.partition(":")[0]
        hashes = dict(result.lora_hashes), dict(result.embedding_hashes)
        return cls(result.model_hash, result.precision, device, _version("torch"), *hashes, result.vae_hash)

    @classmethod
    def read(cls, info: Infotext) -> Self | None:
        """The painter that `describe` wrote down, its hash cut to 10 digits; None if it wrote none."""
        names = ("Model hash", "Precision", "Device", "Torch")
        if not all(name in info.fields for name in names):
            return None
        model_hash, precision, device, torch = (info.fields[name] for name in names)
        loras, embeddings = (_hashes(info.fields.get(name, "")) for name in ("Lora hashes", "TI hashes"))
        return cls(model_hash, precision, device, torch, loras, embeddings, info.fields.get("VAE hash", ""))

    def differences(self, other: Self) -> tuple[str, ...]:
        """In words, what `other` has otherwise."""
        rows = (
            ("model hash", self.model_hash[:HASH_DIGITS], other.model_hash[:HASH_DIGITS]),
            ("VAE hash", self.vae_hash[:HASH_DIGITS] or "none", other.vae_hash[:HASH_DIGITS] or "none"),
            ("precision", self.precision, other.precision),
            ("device", self.device, other.device),
            ("torch", self.torch, other.torch),
            ("LoRA hashes", _listed(self.lora_hashes) or "none", _listed(other.lora_hashes) or "none"),
            ("embedding hashes", _listed(self.embedding_hashes) or "none", _listed(other.embedding_hashes) or "none"),
        )
        return tuple(f"{name} {ours}, now {theirs}" for name, ours, theirs in rows if ours != theirs)


def describe(request: Txt2Img, painter: Painter | None = None, *, quality: int | None = None) -> Infotext:
    """The infotext of a request for one picture. What the request leaves open is left out.

    Args:
        quality: of the file, when it is not the default.
    """
    size = None if request.width is None or request.height is None else f"{request.width}x{request.height}"
    fields: dict[str, str | int | None] = {
        "Steps": request.steps,
        "Sampler": None if request.sampler is None else SAMPLER_LABELS[request.sampler],
        "Schedule type": None if request.schedule is None else SCHEDULE_LABELS[request.schedule],
        "CFG scale": None if request.guidance is None else _number(request.guidance),
        "Seed": request.seed,
        "Size": size,
        "Model hash": None if painter is None else painter.model_hash[:HASH_DIGITS],
        "Model": model_name(request.model),
        "VAE hash": None if painter is None else painter.vae_hash[:HASH_DIGITS] or None,
        "VAE": None if request.vae is None else model_name(request.vae),
        "Clip skip": request.clip_skip if request.clip_skip > 1 else None,
        "RNG": "CPU",
        "Guidance rescale": _number(request.guidance_rescale) if request.guidance_rescale else None,
        "Eta DDIM" if request.sampler == "ddim" else "Eta": None if request.eta is None else _number(request.eta),
        "ENSD": request.ensd or None,
        "Numerics": request.numerics if request.numerics != "diffusers" else None,
        "Guidance method": request.guidance_method if request.guidance_method != "cfg" else None,
        "Guidance low": _number(request.guidance_low) if request.guidance_low else None,
        "Guidance high": _number(request.guidance_high) if request.guidance_high < MAX_SIGMA else None,
        "Dynamic threshold": _number(request.dynamic_threshold) if request.dynamic_threshold != 1 else None,
        "PAG": _number(request.pag) if request.pag else None,
        "FreeU": _number(request.freeu) if request.freeu else None,
        "Prompt syntax": request.prompt_syntax if request.prompt_syntax != "a1111" else None,
        "Precision": None if painter is None else painter.precision,
        "Device": None if painter is None else painter.device,
        "Torch": None if painter is None else painter.torch,
        "Quality": quality,
        "Lora hashes": None if painter is None else _listed(painter.lora_hashes) or None,
        "TI hashes": None if painter is None else _listed(painter.embedding_hashes) or None,
        "Version": f"sfumato {_version('sfumato')}",
    }
    written = {key: str(value) for key, value in fields.items() if value is not None}
    return Infotext(_with_tags(request).strip(), request.negative.strip(), written)


def _with_tags(request: Txt2Img) -> str:
    """The prompt with the LoRAs that were given beside it, as the web UI writes them, where its syntax has them."""
    tags = []
    for lora in request.loras if request.prompt_syntax == "a1111" else ():
        text = lora.weight if lora.text_weight is None else lora.text_weight
        weights = [text] if text == lora.weight else [text, lora.weight]
        name = re.sub(r"[<>:]", "_", model_name(lora.name))
        tags.append(f"<lora:{name}:{':'.join(map(_number, weights))}>")
    return " ".join([request.prompt, *tags])


def _listed(hashes: Mapping[str, str]) -> str:
    return ", ".join(f"{re.sub('[,:]', '_', name)}: {digits}" for name, digits in hashes.items())


def _hashes(text: str) -> dict[str, str]:
    pairs = (pair.rpartition(":") for pair in text.split(",") if ":" in pair)
    return {name.strip(): digits.strip() for name, _, digits in pairs}


def model_name(model: str) -> str:
    """The last part of a model's name or path, without the ending of a weights file."""
    return re.split(r"[/\\]", model.rstrip("/\\"))[-1].removesuffix(".safetensors")


def _number(value: float) -> str:
    return repr(value).removesuffix(".0")


def _version(package: str) -> str:
    from importlib.metadata import version

    return version(package)


def _quoted(value: str) -> str:
    """As JSON where the plain value would be taken apart, or read otherwise."""
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
