"""Values of a request's fields as people write them in tables and on command lines: text, by the type of the field."""

from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from sfumato.errors import RequestError, UnknownNameError
from sfumato.requests.base import Request
from sfumato.requests.fields import parse_size
from sfumato.validation import alternatives, brief

TRUTHS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


AUTO = Literal["auto"]
"""The alternative to a number where that may be found out."""


def plain_type(field: FieldInfo) -> Any:
    """The type of a field without None, constraints and `AUTO`: int, a Literal, ``tuple[int, int]`` ..."""
    (kind,) = (each for each in alternatives(field.annotation) if each != AUTO)
    return kind


def takes_auto(field: FieldInfo) -> bool:
    """Whether a field is a number or the word auto."""
    return AUTO in alternatives(field.annotation)


def read_value(kind: type[Request], name: str, text: str) -> dict[str, object]:
    """The field or, for ``size``, the two fields that a text means; whether the value is allowed, the request says.

    Raises:
        UnknownNameError: the request has no such field.
        RequestError: the text is nothing of the field's type.
    """
    if name == "size" and "width" in kind.model_fields:
        return dict(zip(("width", "height"), parse_size(text), strict=True))
    field = kind.model_fields.get(name)
    if field is None or name == "task":
        raise UnknownNameError(f"field of {kind.TASK}", name[:64], [*kind.model_fields.keys() - {"task"}, "size"])
    plain = plain_type(field)
    if text == "auto" and takes_auto(field):
        return {name: text}
    if plain in (int, float):
        try:
            return {name: plain(text)}
        except ValueError:
            rule = "a whole number, as 8" if plain is int else "a number, as 1.5"
            raise RequestError(f"{name} {brief(text)} must be {rule}") from None
    if plain is bool:
        if text.lower() not in TRUTHS:
            raise RequestError(f"{name} {brief(text)} must be yes or no")
        return {name: TRUTHS[text.lower()]}
    if get_args(plain) == (int, int):
        return {name: parse_size(text, name)}
    if get_origin(plain) is tuple:
        return {name: (text,) if "," in text else tuple(text.split())}  # commas part labels, which may have blanks
    return {name: text}


def read_values(kind: type[Request], texts: Mapping[str, str]) -> dict[str, object]:
    """The fields that texts by name mean. Raises as `read_value`."""
    return {field: value for name, text in texts.items() for field, value in read_value(kind, name, text).items()}
