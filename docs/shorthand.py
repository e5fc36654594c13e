"""Writes ``src/sfumato/shorthand.py``, the methods of `Studio`: one a task, typed as the fields of its request.

python -m docs.shorthand
"""

import re
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from sfumato import choices
from sfumato.requests import (
    REQUESTS,
    Control,
    Edit,
    Lora,
    Masked,
    Painting,
    Processing,
    Recognising,
    Request,
    Source,
    shown,
)
from sfumato.requests.written import plain_type, takes_auto

PAGE = Path(__file__).parents[1] / "src" / "sfumato" / "shorthand.py"

HEAD = '''"""`Studio`'s methods, a task each, typed as its request. Written by ``python -m docs.shorthand``."""

from collections.abc import Callable, Sequence
from typing import Literal, TypedDict, Unpack

from sfumato.asking import Asking
from sfumato.choices import CHOICES
from sfumato.requests import Control, Lora, Pictured
from sfumato.results import Progress, Result


class Watching(TypedDict, total=False):
    """Who is told of the progress of a request, see `Studio.run`."""

    on_step: Callable[[Progress], None]
    on_batch: Callable[[Result], None]
'''


def written(field: FieldInfo) -> str:
    """The type of a field, as Python text."""
    kind = plain_type(field)
    named = next((name for name, each in vars(choices).items() if each is kind), None)
    if named:
        text = named
    elif get_origin(kind) is Literal:
        text = f"Literal[{', '.join(repr(each) for each in get_args(kind))}]"
    elif kind is Source:
        text = "Pictured"
    elif (each := get_args(kind)[:1]) in ((Lora,), (Control,)):
        text = f"Sequence[str | {each[0].__name__}]"
    elif get_args(kind) == (Source, ...):
        text = "Sequence[Pictured]"
    elif get_origin((get_args(kind) or (None,))[0]) is Annotated:
        text = "Sequence[str | tuple[int, int, int, int]]"
    elif get_args(kind) == (str, ...):
        text = "Sequence[str]"
    elif set(get_args(kind)) == {int}:
        text = f"tuple[{', '.join(['int'] * len(get_args(kind)))}]"
    else:
        text = f'{kind.__name__} | Literal["auto"]' if takes_auto(field) else kind.__name__
    optional = field.default is None and not field.is_required()
    text += " | None" * optional
    return f'"{text}"' if "Pictured |" in text else text


def own_fields(kind: type[Request]) -> dict[str, FieldInfo]:
    """Fields that a class adds to those of its base, but for its arguments."""
    base = kind.__mro__[1]
    inherited = base.model_fields if issubclass(base, Request) and base is not Request else {}
    options = {name for name, field in inherited.items() if not shown(field).argument}
    fields = {name: field for name, field in kind.model_fields.items() if name not in options and name != "task"}
    return {name: field for name, field in fields.items() if not shown(field).argument}


def options(kind: type[Request]) -> str:
    """The class of a request's options."""
    base = kind.__mro__[1].__name__.replace("Request", "Watching")
    above = base if base == "Watching" else f"{base}Options"
    lines = [f"    {name}: {written(field)}" for name, field in own_fields(kind).items()]
    size = ["    size: str | tuple[int, int]"] if "width" in own_fields(kind) else []
    doc = f'    """Options of requests of `sfumato.requests.{kind.__name__}`."""'
    return "\n".join(["", "", f"class {kind.__name__}Options({above}, total=False):", doc, "", *lines, *size, ""])


def method(kind: type[Request]) -> str:
    """The method of a task."""
    fields = kind.model_fields
    places = sorted((name for name in fields if shown(fields[name]).argument), key=lambda n: shown(fields[n]).argument)
    arguments = "".join(f"{name}: {written(fields[name])}, " for name in places)
    given = "".join(f"{name}={name}, " for name in places)
    said = (kind.__doc__ or "").partition("\n\n")[0].strip()
    return "\n".join(
        [
            "",
            f"    def {kind.TASK}(self, {arguments}**options: Unpack[{kind.__name__}Options]) -> Result:",
            f'        """{said}"""',
            f'        return self._ask("{kind.TASK}", {given}**options)',
            "",
        ]
    )


def page() -> str:
    """The whole file, formatted."""
    kinds: list[type[Request]] = [Painting, Edit, Masked, Processing, Recognising, *REQUESTS.values()]
    shorthand = '\n\nclass Shorthand(Asking):\n    """All tasks as methods."""\n'
    body = "".join(map(options, kinds)) + shorthand + "".join(map(method, REQUESTS.values()))
    named = [
        name
        for name in sorted(vars(choices))
        if re.search(rf"\b{name}\b", body) and get_origin(getattr(choices, name)) is Literal
    ]
    text = HEAD.replace("CHOICES", ", ".join(named)) + body
    ruff = [sys.executable, "-m", "ruff", "format", "-", "--stdin-filename", PAGE.name]
    formatted = subprocess.run(ruff, input=text, capture_output=True, text=True, check=True)
    return formatted.stdout


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE)
