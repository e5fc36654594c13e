"""Writes docs/api.md, a reference of what `sfumato` exports: `python -m docs.api`."""

import inspect
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel
from pydantic.fields import FieldInfo

import sfumato
from sfumato.requests import Painting, Request
from sfumato.requests.written import plain_type

PAGE = Path(__file__).with_name("api.md")
HEAD = """# API reference

What `import sfumato` gives, by `python -m docs.api` from docstrings and fields; `help(sfumato.Studio)` has more. A
request is a task as data: `Studio.run(request)` carries it out, and a method of the task's name does so in one line.

```python
import sfumato

studio = sfumato.Studio()
result = studio.run(sfumato.Txt2Img(prompt="a red apple, white background", seed=1, steps=8))
result.images[0].save("apple.png")
```
"""


def first_line(of: object) -> str:
    """The first paragraph of a docstring, on one line."""
    return " ".join((inspect.getdoc(of) or "").split("\n\n")[0].split())


def cell(text: str) -> str:
    """A text in a table."""
    return text.replace("|", "\\|")


def default(field: FieldInfo) -> str:
    """As it is written; nothing where one must be given."""
    return "" if field.is_required() else f"`{field.get_default(call_default_factory=True)!r}`"


def fields(kind: type[BaseModel], known: frozenset[str] = frozenset()) -> Iterator[str]:
    """A table of a model's fields but for the known ones."""
    own = {name: field for name, field in kind.model_fields.items() if name not in known and name != "task"}
    if own:
        yield "\n| field | type | default | |\n| --- | --- | --- | --- |\n"
    for name, field in own.items():
        named = getattr(plain_type(field), "__name__", str(plain_type(field)))
        yield f"| `{name}` | {cell(named)} | {cell(default(field))} | {cell(field.description or '')} |\n"


def page() -> str:
    """The whole page."""
    exported = {name: getattr(sfumato, name) for name in sfumato.__all__ if name != "__version__"}
    requests = {n: kind for n, kind in exported.items() if inspect.isclass(kind) and issubclass(kind, Request)}
    errors = {n: kind for n, kind in exported.items() if inspect.isclass(kind) and issubclass(kind, Exception)}
    common = frozenset(Painting.model_fields)
    parts = [HEAD, "\n## Requests\n\nFields that all tasks which paint have in common:\n", *fields(Painting)]
    for name, kind in requests.items():
        parts += [f"\n### {name}\n\n{first_line(kind)}\n"]
        parts += fields(kind, common if issubclass(kind, Painting) else frozenset())
    parts += ["\n## Objects\n"]
    for name, value in exported.items():
        if name in requests or name in errors:
            continue
        what = (
            first_line(value) if inspect.isclass(value) or inspect.isfunction(value) else "Each task's request by name."
        )
        parts += [f"\n### {name}\n\n{what}\n"]
        if inspect.isclass(value) and issubclass(value, BaseModel):
            parts += fields(value)
        elif inspect.isclass(value):
            members = [(n, m) for n, m in inspect.getmembers(value) if not n.startswith("_") and first_line(m)]
            members = [(n, m) for n, m in members if inspect.isfunction(m) or isinstance(m, property)]
            parts += ["\n| | |\n| --- | --- |\n"] if members else []
            parts += [f"| `{n}` | {cell(first_line(m))} |\n" for n, m in members]
    parts += ["\n## Errors\n\n| | |\n| --- | --- |\n"]
    parts += [f"| `{name}` | {cell(first_line(kind))} |\n" for name, kind in errors.items()]
    return "".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
