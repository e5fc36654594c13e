"""Collects the values of a foreign picture into a request, and says what it cannot take."""

import math
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Generic, TypeVar, get_args

from sfumato.choices import Sampler
from sfumato.errors import RequestError, printable
from sfumato.metadata import infotext, names
from sfumato.requests import Lora, Painting

_MOST_LOST = 64
_MOST_LORAS = 64  # of a request
_PROMPTS = ("prompt", "negative")
_TRUTH = {"true": True, "false": False, "only masked": True, "whole picture": False}
_OWN_VAE = (None, "None", "Automatic", "Default (model)", "Baked VAE")

Kind = TypeVar("Kind", bound=Painting)


class Gathering(Generic[Kind]):
    """Options of a request as they are found. A value is checked alone, by the rules of its field, before it is taken.

    Args:
        kind: of the request.
        given: values of fields that it must have and no picture tells.
    """

    def __init__(self, kind: type[Kind], **given: object) -> None:
        self.kind = kind
        self._given: dict[str, object] = {"prompt": "", **given}
        self._options: dict[str, object] = {}
        self._loras: list[Lora] = []
        self._lost: dict[str, None] = {}  # in this order, each once
        self._beyond: dict[str, str] = {}

    @property
    def lost(self) -> tuple[str, ...]:
        """In words, what was not taken: the first 64 of it."""
        more = len(self._lost) - _MOST_LOST
        return (*islice(self._lost, _MOST_LOST), *([f"and {more} settings more"] if more > 0 else []))

    @property
    def beyond(self) -> Mapping[str, str]:
        """Prompts that break a rule of the request, as the picture has them: there to be read."""
        return self._beyond

    def has(self, name: str) -> bool:
        """Whether an option is taken."""
        return name in self._options

    @property
    def sampler_found(self) -> Sampler | None:
        """The sampler taken so far."""
        name = self._options.get("sampler")
        return next((ours for ours in names.SAMPLER_LABELS if ours == name), None)

    def request(self) -> Kind:
        """What was taken. Without a prompt it is empty."""
        options = {**self._given, **self._options, "loras": self._loras}
        try:
            return self.kind.build(**options)
        except RequestError as error:  # each value is right, and together they are not
            self.lose(f"size: {error}")
            return self.kind.build(**{name: v for name, v in options.items() if name not in ("width", "height")})

    def lose(self, words: str) -> None:
        """Say that something is not taken."""
        self._lost[words] = None

    def lose_rest(self, values: Mapping[str, object]) -> None:
        """Say it of all that is neither None nor empty."""
        for name, value in values.items():
            if value is not None and value not in ("", "None", [], {}, False):
                self.lose(f"{brief(name)}: {brief(value)}")

    def take(self, name: str, value: object) -> None:
        """Any option by its name; ``size`` is both of width and height. None is none."""
        own = {
            "sampler": self.sampler,
            "schedule": self.schedule,
            "size": self.size,
            "vae": self.vae,
            "hires_upscaler": self.upscaler,
            "refiner": self.checkpoint,
        }.get(name)
        if own is not None:
            own(value)
            return
        accepted = set(_parts(self.kind.model_fields[name].annotation))
        ways = {bool: self.flag, int: self.whole, float: self.real}
        next((way for kind, way in ways.items() if kind in accepted), self.text)(name, value)

    def text(self, name: str, value: object) -> None:
        """A prompt or a name; None is none."""
        if name in _PROMPTS and isinstance(value, str):
            self._prompt(name, value)
        elif isinstance(value, str):
            if value:
                self._take(name, value)
        elif value is not None:
            self.lose(f"{name} {brief(value)} is no text")

    def checkpoint(self, value: object) -> None:
        """The name of a model, with its hash behind it as the web UI writes it; None is none."""
        self.text("refiner", re.sub(r"\s*\[[0-9a-f]{6,64}\]$", "", value) if isinstance(value, str) else value)

    def flag(self, name: str, value: object) -> None:
        """True or False, or their names; None is none."""
        truth = _TRUTH.get(value.strip().lower(), value) if isinstance(value, str) else value
        if truth is not None:
            self._take(name, truth)

    def whole(self, name: str, value: object) -> None:
        """A whole number, or its digits."""
        number = value
        digits = isinstance(value, str) and re.fullmatch(r"\s*-?[0-9]{1,20}\s*", value)
        if isinstance(value, str | float) and (digits or (isinstance(value, float) and value.is_integer())):
            number = int(value)
        if number is not None:
            self._take(name, number)

    def real(self, name: str, value: object) -> None:
        """A number, or its digits."""
        number = _number(value)
        if isinstance(number, float) and not math.isfinite(number):
            self.lose(f"{name} {number}")
        elif number is not None:
            self._take(name, number)

    def scaled(self, name: str, value: object, factor: float) -> None:
        """A number that is counted in other units."""
        number = _number(value)
        self.real(name, round(number * factor, 6) if isinstance(number, float) else number)

    def size(self, value: object) -> None:
        """``512x768``, or two numbers: ``[512, 768]``, ``(512, 768)``."""
        text = f"{value[0]}x{value[1]}" if isinstance(value, list | tuple) and len(value) == 2 else value
        pattern = r"\s*\(?([0-9]{1,9})\s*[x×,*]\s*([0-9]{1,9})\)?\s*"
        found = re.fullmatch(pattern, text[:80]) if isinstance(text, str) else None
        if found is not None:
            self.whole("width", found[1])
            self.whole("height", found[2])
        elif value is not None:
            self.lose(f"Size {brief(value)}")

    def sampler(self, value: object) -> None:
        """Any tool's name of a sampler, with or without its schedule."""
        if value is None:
            return
        named = names.read_sampler(value) if isinstance(value, str) else names.Named(None)
        if named.sampler is None:
            self.lose(f"sampler {brief(value)} has no counterpart here")
            if named.schedule is not None:
                self._take("schedule", named.schedule)
            return
        for name in ("sampler", "schedule", "guidance_method"):
            if (ours := getattr(named, name)) is not None:
                self._take(name, ours)

    def schedule(self, value: object) -> None:
        """Any tool's name of a schedule; one that leaves the choice open is none."""
        if value is None or (isinstance(value, str) and names.is_automatic(value)):
            return
        schedule = names.read_schedule(value) if isinstance(value, str) else None
        if schedule is None:
            self.lose(f"schedule {brief(value)} has no counterpart here")
        else:
            self._take("schedule", schedule)

    def vae(self, value: object) -> None:
        """The name or path of an autoencoder's file; some mean that of the model."""
        if value not in _OWN_VAE:
            self.text("vae", infotext.model_name(value) if isinstance(value, str) else value)

    def upscaler(self, value: object) -> None:
        """What enlarges for a second pass; those that are networks of their own have no counterpart."""
        if value is not None:
            self.text("hires_upscaler", value.lower() if isinstance(value, str) else value)

    def regions(self, texts: Sequence[str]) -> None:
        """Parts of the picture with prompts of their own."""
        if texts:
            self._take("regions", list(texts))

    def lora(self, name: object, weight: object = 1.0, text_weight: object = None) -> None:
        """An adapter by the name or path of its file, and its weights in the denoiser and in the text encoders."""
        weights = {"weight": _number(weight), "text_weight": _number(text_weight)}
        if weights["text_weight"] == weights["weight"]:
            del weights["text_weight"]
        try:
            found = Lora.build(name=infotext.model_name(name) if isinstance(name, str) else name, **weights)
        except RequestError:
            found = None
        if found is not None and len(self._loras) < _MOST_LORAS:
            self._loras.append(found)
        else:
            self.lose(f"LoRA {brief(name)} at {brief(weight)}")

    def _prompt(self, name: str, value: str) -> None:
        """Taken without the control characters that a request refuses; one that is refused all the same can be read."""
        controls = {c for c in value if unicodedata.category(c) in ("Cc", "Cs") and c not in "\t\n\r"}
        clean = "".join(c for c in value if c not in controls) if controls else value
        if controls:
            codes = ", ".join(f"U+{ord(c):04X}" for c in sorted(controls)[:4])
            self.lose(f"control characters of the {name}: {codes}")
        if not self._take(name, clean):
            self._beyond[name] = value

    def _take(self, name: str, value: object) -> bool:
        try:
            self.kind.build(**{**self._given, name: value})
        except RequestError as error:
            self.lose(str(error))
            return False
        self._options[name] = value
        return True


def brief(value: object) -> str:
    """On one line and short, whatever it is."""
    if isinstance(value, str):
        text = value
    elif isinstance(value, list | dict):
        text = f"{len(value)} entries"
    else:
        try:
            text = repr(value)
        except ValueError:  # Python refuses to print whole numbers of over 4300 digits
            text = "a number of thousands of digits"
    text = " ".join(printable(text[:400]).split())
    return text if len(text) <= 80 else text[:77] + "..."


def _number(value: object) -> object:
    """A float where the value is a number or its digits; the value otherwise."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53:
        return float(value)
    if isinstance(value, str):
        try:
            return float(value[:40])
        except ValueError:
            return value
    return value


def _parts(annotation: Any) -> Iterator[Any]:
    """The types in an annotation."""
    yield annotation if isinstance(annotation, type) else None
    for part in get_args(annotation):
        yield from _parts(part)
