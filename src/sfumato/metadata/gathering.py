"""Collects the values of a foreign picture into a request, and says what it cannot take."""

import math
import re
from collections.abc import Mapping

from sfumato.choices import Sampler
from sfumato.errors import RequestError
from sfumato.metadata import names
from sfumato.requests import Txt2Img

_MOST_LOST = 64


class Gathering:
    """Options as they are found. A value is checked alone, by the rules of `Txt2Img`, before it is taken."""

    def __init__(self) -> None:
        self._options: dict[str, object] = {}
        self._lost: list[str] = []

    @property
    def lost(self) -> tuple[str, ...]:
        """In words, what was not taken: the first 64 of it."""
        more = len(self._lost) - _MOST_LOST
        return (*self._lost[:_MOST_LOST], *([f"and {more} settings more"] if more > 0 else []))

    @property
    def sampler_found(self) -> Sampler | None:
        """The sampler taken so far."""
        name = self._options.get("sampler")
        return next((ours for ours in names.SAMPLER_LABELS if ours == name), None)

    def request(self) -> Txt2Img:
        """What was taken. Without a prompt it is empty."""
        options = {"prompt": "", **self._options}
        try:
            return Txt2Img.build(**options)
        except RequestError as error:  # each value is right, and together they are not
            self.lose(f"size: {error}")
            return Txt2Img.build(**{name: v for name, v in options.items() if name not in ("width", "height")})

    def lose(self, words: str) -> None:
        """Say that something is not taken."""
        self._lost.append(words)

    def lose_rest(self, values: Mapping[str, object]) -> None:
        """Say it of all that is neither None nor empty."""
        for name, value in values.items():
            if value is not None and value not in ("", [], {}, False):
                self.lose(f"{brief(name)}: {brief(value)}")

    def text(self, name: str, value: object) -> None:
        """A prompt or a name; None is none."""
        if isinstance(value, str):
            if value or name == "prompt":
                self._take(name, value)
        elif value is not None:
            self.lose(f"{name} {brief(value)} is no text")

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
        number = value
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53:
            number = float(value)
        elif isinstance(value, str):
            try:
                number = float(value[:40])
            except ValueError:
                number = value
        if isinstance(number, float) and not math.isfinite(number):
            self.lose(f"{name} {number}")
        elif number is not None:
            self._take(name, number)

    def size(self, value: str | None) -> None:
        """``512x768``."""
        found = None if value is None else re.fullmatch(r"([0-9]{1,9})x([0-9]{1,9})", value)
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
        else:
            self._take("sampler", named.sampler)
        if named.schedule is not None:
            self._take("schedule", named.schedule)

    def schedule(self, value: object) -> None:
        """Any tool's name of a schedule; one that leaves the choice open is none."""
        if value is None or (isinstance(value, str) and names.is_automatic(value)):
            return
        schedule = names.read_schedule(value) if isinstance(value, str) else None
        if schedule is None:
            self.lose(f"schedule {brief(value)} has no counterpart here")
        else:
            self._take("schedule", schedule)

    def _take(self, name: str, value: object) -> None:
        try:
            Txt2Img.build(**{"prompt": "", name: value})
        except RequestError as error:
            self.lose(str(error))
        else:
            self._options[name] = value


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
    text = " ".join("".join(c if c.isprintable() else " " for c in text[:400]).split())
    return text if len(text) <= 80 else text[:77] + "..."
