"""Kinds of values that requests have."""

import contextlib
import hashlib
import math
import os
import re
import unicodedata
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, PrivateAttr, model_validator

from sfumato.choices import Preprocessor
from sfumato.errors import RequestError
from sfumato.requests.base import Shown, Strict
from sfumato.validation import brief

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_SEED = 2**64 - 1  # torch.manual_seed's
MAX_SIGMA = 1e6  # above the noise of any model
MAX_WEIGHT = 1000.0  # of an adapter, as in prompts
MAX_ENTRIES = 64
MAX_SIDE = 65_536  # pixels of a picture that micro-conditioning may name
MAX_PATH = 4096
MAX_FILE = 2**28  # bytes of a picture to begin from


def _text_only(value: str) -> str:
    for place, character in enumerate(value):
        if unicodedata.category(character) == "Cc" and character not in "\t\n\r":
            raise ValueError(f"holds the control character U+{ord(character):04X} at place {place}; remove it")
    return value


def _pair(value: object) -> object:
    if not isinstance(value, list | tuple) or [type(number) for number in value] != [int, int]:
        raise ValueError(f"is {brief(value)}; give two whole numbers, for example [1024, 768]")
    if not all(0 <= number <= MAX_SIDE for number in value):
        raise ValueError(f"is {brief(value)}; both must be 0 to {MAX_SIDE}")
    return tuple(value)


def _box(value: object) -> tuple[int, int, int, int]:
    numbers = value
    if isinstance(value, str):
        found = re.fullmatch(r"\s*([0-9]{1,6})\s*,\s*([0-9]{1,6})\s*,\s*([0-9]{1,6})\s*,\s*([0-9]{1,6})\s*", value)
        numbers = None if found is None else tuple(map(int, found.groups()))
    if not isinstance(numbers, list | tuple) or [type(number) for number in numbers] != [int] * 4:
        raise ValueError(f"is {brief(value)}; give left, top, width and height in pixels, for example 32,16,64,48")
    left, top, width, height = numbers
    if min(left, top) < 0 or min(width, height) < 1 or max(left + width, top + height) > MAX_SIDE:
        raise ValueError(f"is {brief(value)}; left and top are 0 or more, width and height 1 or more")
    return left, top, width, height


def _added(value: object) -> object:
    found = re.fullmatch(r"([0-9]{1,3}(?:\.[0-9]{1,6})?)(?::(gaussian|poisson))?", str(value))
    if found is None or isinstance(value, bool) or not 0 < float(found[1]) <= 255:
        raise ValueError(f"is {brief(value)}; give a standard deviation above 0 and up to 255, as 25 or 25:poisson")
    return f"{float(found[1]):g}:{found[2] or 'gaussian'}"


def _auto_or(low: float, high: float, example: float) -> Callable[[object], object]:
    def checked(value: object) -> object:
        number = isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
        if value != "auto" and not number:
            raise ValueError(
                f"is {brief(value)}; give auto or a number from {low:g} to {high:g}, for example {example}"
            )
        return float(value) if isinstance(value, int) else value

    return checked


def _amount(units: Mapping[str, float], least: float, example: str) -> Callable[[object], object]:
    def checked(value: object) -> object:
        text = f"{value:g}" if isinstance(value, int | float) and not isinstance(value, bool) else value
        if isinstance(text, str):
            with contextlib.suppress(ValueError):
                if least <= amount_of(text, units) < math.inf:
                    return text.strip()
        raise ValueError(f"is {brief(value)}; give a number and one of {', '.join(units)}, for example {example}")

    return checked


def amount_of(text: str, units: Mapping[str, float]) -> float:
    """How much a text says, such as ``90s`` or ``4G``; a bare number counts in the first of the units.

    Raises:
        ValueError: it is no such text.
    """
    found = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*([A-Za-z]?)", text.strip())
    if found is None:
        raise ValueError(text)
    unit = found[2] or next(iter(units))
    if unit not in units:
        raise ValueError(text)
    return float(found[1]) * units[unit]


def _colour(value: object) -> object:
    if not isinstance(value, str) or not re.fullmatch(r"#?[0-9a-fA-F]{6}", value):
        raise ValueError(f"is {brief(value)}; give six hexadecimal digits, for example 1a2b3c")
    return value.removeprefix("#").lower()


def _few(value: object, example: str) -> tuple[object, ...]:
    if not isinstance(value, list | tuple):
        raise ValueError(f'must be a list, for example ["{example}"]')
    if len(value) > MAX_ENTRIES:
        raise ValueError(f"has {len(value)} entries; at most {MAX_ENTRIES} are allowed")
    return tuple(value)


Prompt = Annotated[str, Field(max_length=8192), AfterValidator(_text_only)]
Name = Annotated[str, Field(min_length=1, max_length=MAX_PATH), AfterValidator(_text_only)]
Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]
Steps = Annotated[int, Field(ge=1, le=1000)]
Guidance = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]
Sigma = Annotated[float, Field(ge=0, le=MAX_SIGMA, allow_inf_nan=False)]
Deviation = Annotated[float, Field(gt=0, le=255, allow_inf_nan=False)]
"""The standard deviation of noise in a picture, of 255 levels."""
Pixels = Annotated[int, Field(ge=16, le=8192, multiple_of=8)]
Side = Annotated[int, Field(ge=1, le=8192)]
Margin = Annotated[int, Field(ge=0, le=4096)]
Pair = Annotated[tuple[int, int], BeforeValidator(_pair)]
Added = Annotated[str, BeforeValidator(_added)]
"""Noise to be added: its standard deviation of 255 levels, and its kind, as ``25:gaussian``."""
SECONDS = MappingProxyType({"s": 1.0, "m": 60.0, "h": 3600.0})
BYTES = MappingProxyType({"G": 1e9, "M": 1e6})
Duration = Annotated[str, BeforeValidator(_amount(SECONDS, 1e-3, "90s"))]
"""Seconds as ``90s``, ``5m`` or ``1h``; a bare number is seconds."""
Memory = Annotated[str, BeforeValidator(_amount(BYTES, 1e6, "4G"))]
"""Bytes as ``4G`` or ``500M``; a bare number is gigabytes."""
Blur = Annotated[float | Literal["auto"], BeforeValidator(_auto_or(0, 8, 1.5))]
Contrast = Annotated[float | Literal["auto"], BeforeValidator(_auto_or(0, 10, 1.3))]
Box = Annotated[tuple[int, int, int, int], BeforeValidator(_box)]
Boxes = Annotated[tuple[Box, ...], BeforeValidator(lambda value: _few(value, "32,16,64,48"))]
Colour = Annotated[str, BeforeValidator(_colour)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Strength = Annotated[Share, Shown("S", "Denoising strength", always=True)]
Score = Annotated[float, Field(ge=0, le=10, allow_inf_nan=False)]
Weight = Annotated[float, Field(ge=-MAX_WEIGHT, le=MAX_WEIGHT, allow_inf_nan=False)]


class Lora(Strict):
    """An adapter of weights (LoRA or its kin) and how strongly it counts; 0 is off, 1 as it was trained."""

    name: Name = Field(description="a name in SFUMATO_LORAS, or the path of its file")
    weight: Weight = Field(1.0, description="in the denoiser")
    text_weight: Weight | None = Field(None, description="in the text encoders; as in the denoiser when left out")

    @classmethod
    def parse(cls, text: str) -> Self:
        """``NAME``, ``NAME:WEIGHT`` or ``NAME:WEIGHT:TEXT_WEIGHT``.

        Raises:
            RequestError: an empty name or a weight out of range.
        """
        name, *numbers = re.split(r":(?=[+-]?[0-9.]+(?::[+-]?[0-9.]+)?$)", text, maxsplit=1)
        if not name:
            raise RequestError(f"{brief(text)} without a name; write NAME or NAME:0.8")
        try:
            weights = [float(number) for number in ":".join(numbers).split(":") if number]
        except ValueError:
            raise RequestError(f"{brief(text)} has a weight that is no number; write NAME:0.8") from None
        given = ("weight", "text_weight")[: len(weights)]
        return cls.build(name=name, **dict(zip(given, weights, strict=True)))


def _read_each(value: object, kind: "type[Lora] | type[Control]", example: str) -> tuple[object, ...]:
    """A sequence of such values, of their texts or of their fields as JSON has them."""
    found = []
    for item in _few(value, example):
        try:
            read = kind.parse(item) if isinstance(item, str) else kind.build(**item) if isinstance(item, dict) else item
        except RequestError as error:
            raise ValueError(f"has {error}") from None
        if not isinstance(read, kind):
            raise ValueError(f"has {brief(read)}; give texts, for example {example!r}")
        found.append(read)
    return tuple(found)


def _loras(value: object) -> object:
    return _read_each(value, Lora, "ink:0.8")


def _names_of_files(value: object) -> object:
    found = _few(value, "easynegative")
    for item in found:
        if not isinstance(item, str) or not 0 < len(item) <= MAX_PATH:
            raise ValueError(f"has {brief(item)}; give names or paths")
        _text_only(item)
    return found


def _traits(value: object) -> object:
    found = _few(value, "hair=mohawk")
    for item in found:
        if not isinstance(item, str) or not re.fullmatch(r"[a-z_]{1,64}=[^=\n]{0,120}", item):
            raise ValueError(f"has {brief(item)}; give NAME=VALUE, for example hair=mohawk")
    return found


def region_of(text: str) -> tuple[tuple[int, int, int, int], str]:
    """The box (left, top, width, height in pixels) and the prompt of ``128,0,128,256: a bus``.

    Raises:
        ValueError: it has no such box, or no prompt.
    """
    box, _, prompt = text.partition(":")
    if not prompt.strip():
        raise ValueError(f"has {brief(text)}; give LEFT,TOP,WIDTH,HEIGHT:PROMPT, for example 128,0,128,256:a bus")
    try:
        return _box(box), prompt.strip()
    except ValueError as error:
        raise ValueError(f"has {brief(text)}, whose box {error}") from None


def _regions(value: object) -> object:
    found = _few(value, "128,0,128,256:a bus")
    for item in found:
        if not isinstance(item, str) or len(item) > 8192:
            raise ValueError(f"has {brief(item)}; give LEFT,TOP,WIDTH,HEIGHT:PROMPT")
        _text_only(item)
        region_of(item)
    return found


Regions = Annotated[tuple[str, ...], BeforeValidator(_regions)]
Traits = Annotated[tuple[str, ...], BeforeValidator(_traits)]
Loras = Annotated[tuple[Lora, ...], BeforeValidator(_loras)]
FileNames = Annotated[tuple[str, ...], BeforeValidator(_names_of_files)]


DIGEST = re.compile(r"^[0-9a-f]{64}$")


def _digest(text: str) -> str:
    if not DIGEST.match(text):
        raise ValueError(f"is {brief(text)}; give 64 hexadecimal digits in small letters, as uploads answer")
    return text


Digest = Annotated[str, Field(json_schema_extra={"pattern": DIGEST.pattern}), AfterValidator(_digest)]


class Source(Strict):
    """A picture that a request begins from, known by the digest of its file.

    It is named by its path, or carries its bytes when it was given as an object; JSON holds the path and the digest.
    """

    path: Annotated[str, Field(max_length=MAX_PATH)] = Field("", description="of its file; empty for bytes at hand")
    CALLED: ClassVar[str] = 'a picture: its path, or over HTTP {"sha256": "..."} of one that was uploaded'

    sha256: Digest | None = Field(
        None, description="of its bytes; filled in when the request is carried out, and checked when it is repeated"
    )
    _content: bytes | None = PrivateAttr(None)

    @classmethod
    def of(cls, value: object) -> Self:
        """A path, bytes of a file, a PIL image, or the fields that JSON has.

        Raises:
            RequestError: anything else.
        """
        if isinstance(value, cls):
            return value
        if isinstance(value, dict):
            return cls.build(**value)
        if isinstance(value, str | os.PathLike):
            path = os.fspath(value)
            if not path:
                raise RequestError("is empty; give the path of a picture")
            return cls.build(path=path)
        if not isinstance(value, bytes):
            value = _as_png(value)
        source = cls(sha256=hashlib.sha256(value).hexdigest())
        source._content = value
        return source

    @property
    def name(self) -> str:
        """What messages call it."""
        return self.path or "the picture given"

    def read(self) -> bytes:
        """Its bytes.

        Raises:
            RequestError: the file is not there, no plain file, too large, or another one than the digest says.
        """
        data = self._content
        if data is None:
            if not self.path:
                raise RequestError(
                    f"the picture that it began from (SHA-256 {str(self.sha256)[:10]}...) was given as an object; "
                    "give its file"
                )
            file = Path(self.path)
            try:
                if file.exists() and not file.is_file():
                    raise RequestError(f"{self.path!r} is no plain file; give a picture")
                if file.stat().st_size > MAX_FILE:
                    raise RequestError(f"{self.path!r} has over {MAX_FILE >> 20} MB; give a smaller picture")
                data = file.read_bytes()
            except (OSError, ValueError) as error:
                reason = getattr(error, "strerror", None) or str(error)
                raise RequestError(f"cannot read {self.path!r}: {reason}; give the path of a picture") from None
        if self.sha256 not in (None, hashlib.sha256(data).hexdigest()):
            raise RequestError(
                f"{self.name} has changed: its SHA-256 is not {str(self.sha256)[:10]}...; give the original"
            )
        return data

    def known(self) -> Self:
        """The same, with its digest."""
        if self.sha256 is not None:
            return self
        data = self.read()
        source = self.model_copy(update={"sha256": hashlib.sha256(data).hexdigest()})
        source._content = data
        return source


def _as_png(value: Any) -> bytes:
    import io

    if not hasattr(value, "save") or not hasattr(value, "mode"):
        raise RequestError(f"is {brief(value)}; give a path, bytes or a PIL image")
    buffer = io.BytesIO()
    value.save(buffer, "PNG")
    return buffer.getvalue()


def _source(value: object) -> object:
    try:
        return Source.of(value)
    except RequestError as error:
        raise ValueError(str(error)) from None


MAX_LABELS = 10_000
MAX_LABEL = 1000  # characters


def _labels(value: object) -> object:
    """Labels without the blanks around them; a text, or a single one with commas, is several."""
    if isinstance(value, list | tuple) and len(value) == 1:
        value = value[0]
    found = value.replace("，", ",").split(",") if isinstance(value, str) else value
    if not isinstance(found, list | tuple) or not all(isinstance(each, str) for each in found):
        raise ValueError(f'is {brief(value)}; give several texts, for example ["cat", "dog"]')
    labels = tuple(_text_only(each.strip()) for each in found)
    if not 2 <= len(labels) <= MAX_LABELS:
        raise ValueError(f"has {len(labels)} entries; give 2 to {MAX_LABELS}, for example cat,dog")
    if "" in labels:
        raise ValueError(f"has nothing at place {labels.index('') + 1}; give a word or a phrase there")
    if long := next((each for each in labels if len(each) > MAX_LABEL), None):
        raise ValueError(f"has {brief(long)} of {len(long)} characters; give up to {MAX_LABEL}")
    seen: dict[str, str] = {}
    for each in labels:
        if (first := seen.setdefault(each.casefold(), each)) is not each:
            raise ValueError(f"has {brief(first)} twice; give each once")
    return labels


def checked_labels(value: object) -> tuple[str, ...]:
    """Labels that can be told apart.

    Raises:
        RequestError: one is empty or there twice, or there are fewer than 2 or over `MAX_LABELS`.
    """
    try:
        return _labels(value)  # type: ignore[return-value]
    except ValueError as error:
        raise RequestError(f"labels {error}") from None


Labels = Annotated[tuple[str, ...], BeforeValidator(_labels)]


def _sources(value: object) -> object:
    return tuple(_source(each) for each in _few(value, "photo.png"))


Picture = Annotated[Source, BeforeValidator(_source)]
Pictures = Annotated[tuple[Source, ...], BeforeValidator(_sources)]
Pictured: TypeAlias = "str | os.PathLike[str] | bytes | Image | Source"
"""What `Source.of` takes."""


class Control(Strict):
    """A network that holds a painting to a picture (ControlNet, T2I-Adapter), how strongly and in which steps."""

    model: Name = Field(description="a name in SFUMATO_CONTROLNETS, or the path of its file or folder")
    image: Picture = Field(description="what it sees")
    preprocess: Preprocessor | None = Field(
        None, description="what is made of the picture first; as the request says when left out"
    )
    weight: Annotated[float, Field(ge=0, le=10, allow_inf_nan=False)] = Field(1.0, description="0 is off")
    start: Share = Field(0.0, description="share of the steps after which it begins")
    end: Share = Field(1.0, description="share of the steps after which it ends")

    @model_validator(mode="after")
    def _some_steps(self) -> Self:
        if self.start >= self.end:
            raise ValueError(f"start {self.start:g} must be below end {self.end:g}; for example 0 and 0.6")
        return self

    @classmethod
    def parse(cls, text: str) -> Self:
        """``MODEL:IMAGE``, ``MODEL:IMAGE:WEIGHT`` or ``MODEL:IMAGE:WEIGHT:START-END``.

        Raises:
            RequestError: one of the first two is missing, or a number is out of range.
        """
        found = _CONTROL.fullmatch(text)
        if found is None:
            raise RequestError(
                f"{brief(text)} must be MODEL:IMAGE[:WEIGHT[:START-END]]; for example canny:room.png:0.8"
            )
        numbers = {name: float(found[name]) for name in ("weight", "start", "end") if found[name] is not None}
        return cls.build(model=found["model"], image=found["image"], **numbers)


_NUMBER = r"[0-9]+\.?[0-9]*|\.[0-9]+"
_CONTROL = re.compile(
    rf"(?P<model>(?:[A-Za-z]:[\\/])?[^:]+):(?P<image>.+?)"
    rf"(?::(?P<weight>{_NUMBER})(?::(?P<start>{_NUMBER})-(?P<end>{_NUMBER}))?)?"
)


def _controls(value: object) -> object:
    return _read_each(value, Control, "canny:room.png:0.8")


Controls = Annotated[tuple[Control, ...], BeforeValidator(_controls)]


def parse_size(text: str, what: str = "size") -> tuple[int, int]:
    """Width and height of ``"512x768"``; an error calls it `what`.

    Raises:
        RequestError: for anything else. Limits are the request's to check.
    """
    found = re.fullmatch(r"([0-9]{1,9})[xX×]([0-9]{1,9})", text.strip())
    if found is None:
        raise RequestError(f"{what} {brief(text)} must be WIDTHxHEIGHT in pixels; for example 256x256")
    return int(found[1]), int(found[2])
