"""pydantic's complaints in our words: the setting, what was given, what is allowed, and the nearest that is.

Knows no particular model: rules, choices and near names are read from its fields, and from those of models within it.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Self, TypeGuard, Union, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from sfumato.errors import RequestError, UnknownNameError

KINDS: dict[type, tuple[str, str]] = {
    str: ("text", "put it in quotes"),
    bool: ("true or false", "without quotes"),
    int: ("a whole number", "for example {name}=8"),
    float: ("a number", "for example {name}=1.5"),
    Path: ("a path", "put it in quotes"),
    tuple: ("a list", "put it in [ ]"),
    list: ("a list", "put it in [ ]"),
    dict: ("a table", "write its settings below [{name}]"),
    BaseModel: ("a table", "write its settings below [{name}]"),
}
"""What a value of a type is called, and the remedy where something else was given."""

LIMITS = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}
"""pydantic's limits of a number, and JSON Schema's names of them."""
NUMERIC = ("greater_than_equal", "greater_than", "less_than_equal", "less_than", "multiple_of", "finite_number")
"""Kinds of pydantic's complaints about numbers out of their limits."""


def explained(model: type[BaseModel], error: ValidationError, *, noun: str = "option") -> list[RequestError]:
    """The complaints about values for `model`, one for each of its settings that has any.

    Args:
        noun: what a field is called in messages.
    """
    found: dict[tuple[int | str, ...], RequestError] = {}
    for fault in error.errors(include_url=False):
        place = _Place.of(model, fault["loc"])
        unknown = place.rest if fault["type"] == "extra_forbidden" else ()
        found.setdefault((place.name, *unknown), _complaint(model, place, fault, noun))
    return list(found.values())


def brief(value: object, limit: int = 60) -> str:
    """A value on one line, short enough to read."""
    try:
        text = value if isinstance(value, str) else " ".join(repr(value).split())
    except ValueError:  # Python refuses to print whole numbers of over 4300 digits
        return "of thousands of digits"
    short = text if len(text) <= limit else text[:limit] + "..."
    return repr(short) if isinstance(value, str) else short


# -------------------------------------------------------------------------------------------------- where it stands


@dataclass(frozen=True)
class _Place:
    """Where something stands in the values of a model: at `name`, in `field` of `owner`, of type `kind`.

    `rest` is what follows in pydantic's `loc` and is no field, element or key: the name of an alternative of a union,
    or of a setting that is not there.
    """

    name: str
    owner: type[BaseModel]
    field: str
    kind: object
    rest: tuple[int | str, ...]

    @classmethod
    def of(cls, model: type[BaseModel], loc: tuple[int | str, ...]) -> Self:
        """The place that `loc` leads to."""
        place = cls("", model, "", model, loc)
        while place.rest and (inner := place._inner(place.rest[0])) is not None:
            place = inner
        return place

    def _inner(self, part: int | str) -> Self | None:
        deeper = replace(self, name=f"{self.name}.{part}".lstrip("."), rest=self.rest[1:])
        for kind in alternatives(self.kind):
            origin, arguments = get_origin(kind), [a for a in get_args(kind) if a is not Ellipsis]
            if _is_model(kind) and part in kind.model_fields:
                return replace(deeper, owner=kind, field=str(part), kind=kind.model_fields[str(part)].annotation)
            if isinstance(part, int) and origin in (tuple, list):
                return replace(deeper, kind=arguments[min(part, len(arguments) - 1)])
            if origin is dict:
                return replace(deeper, kind=arguments[1])
        return None

    @property
    def optional(self) -> bool:
        """Whether the field may be left out."""
        return bool(self.field) and not self.owner.model_fields[self.field].is_required()


def _is_model(kind: object) -> TypeGuard[type[BaseModel]]:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def alternatives(kind: object) -> Iterator[object]:
    """The types that a union, perhaps annotated, is made of, without None."""
    if get_origin(kind) is Annotated:
        yield from alternatives(get_args(kind)[0])
    elif get_origin(kind) in (Union, UnionType):
        for part in get_args(kind):
            yield from alternatives(part)
    elif kind is not NoneType:
        yield kind


def _tables(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    """A model, and those in its fields, by the path that leads there."""
    yield prefix, model
    for name, field in model.model_fields.items():
        for kind in alternatives(field.annotation):
            if _is_model(kind):
                yield from _tables(kind, f"{prefix}.{name}".lstrip("."))


# ------------------------------------------------------------------------------------------------ what is said of it


def _complaint(model: type[BaseModel], place: _Place, fault: ErrorDetails, noun: str) -> RequestError:
    name, value, context = place.name, fault["input"], fault.get("ctx", {})
    match fault["type"]:
        case "extra_forbidden":
            return _unknown(model, place, noun)
        case "literal_error" if isinstance(value, str):
            return UnknownNameError(name, value[:64], _choices(place.kind))
        case "literal_error":
            return RequestError(f"{name} {brief(value)} must be one of {', '.join(_choices(place.kind))}")
        case "missing":
            examples = place.owner.model_fields[place.field].examples
            example = f"it, for example {name}={examples[0]!r}" if examples else _allowed(place)[0]
            return RequestError(f"{name} is missing; give {example}")
        case "string_too_long":
            limit = context["max_length"]
            return RequestError(f"{name} has {len(value)} characters; at most {limit} are allowed; shorten it")
        case "string_too_short":
            return RequestError(
                f"{name} is empty; {'leave it out for the default' if place.optional else 'fill it in'}"
            )
        case "too_short":
            return RequestError(f"{name} has {len(value)} entries; give at least {context['min_length']}")
        case "too_long":
            return RequestError(f"{name} has {len(value)} entries; give at most {context['max_length']}")
        case "string_unicode":
            return RequestError(f"{name} holds bytes that are not Unicode text; write it in UTF-8")
        case "value_error":
            return RequestError(f"{name} {context['error']}".strip())
        case kind if kind in NUMERIC:
            return RequestError(f"{name} {brief(value)} {_rule_and_remedy(place, value, context)}")
        case _:
            return RequestError(_wrong_type(place, value))


def _unknown(model: type[BaseModel], place: _Place, noun: str) -> RequestError:
    """A name that is not there: the table where it is, or the nearest names."""
    name = str(place.rest[0])[:64]
    for table, fields in _tables(model):
        if name in fields.model_fields:
            there = f"in the table [{table}]" if table else "above all tables"
            return RequestError(
                f"{noun} {f'{place.name}.{name}'.lstrip('.')!r} stands at the wrong place; put it {there}"
            )
    here = next(kind for kind in alternatives(place.kind) if _is_model(kind))
    meant = _ELSEWHERE.get(name, "")
    if meant and all(part in here.model_fields for part in meant.split(" and ")):
        return UnknownNameError(noun, name, (), meant={name: meant})
    return UnknownNameError(f"{noun} of [{place.name}]" if place.name else noun, name, here.model_fields)


_ELSEWHERE = {
    "size": "width and height",
    "negative_prompt": "negative",
    "num_inference_steps": "steps",
    "guidance_scale": "guidance",
    "cfg_scale": "guidance",
    "num_images_per_prompt": "count",
}
"""What options are called by other programs."""


def _wrong_type(place: _Place, value: object) -> str:
    allowed, remedies = _allowed(place)
    if int in alternatives(place.kind) and isinstance(value, float) and value.is_integer():
        if place.field and not _fits(place, int(value)):
            return f"{place.name} {brief(value)} {_rule_and_remedy(place, value, {})}"
        remedies = {f"write {place.name}={value:.0f}"}
    return "; ".join([f"{place.name} must be {allowed}, not {brief(value)}", *(remedies if len(remedies) == 1 else ())])


def _fits(place: _Place, value: int) -> bool:
    field = place.owner.model_fields[place.field]
    try:
        checked: TypeAdapter[Any] = TypeAdapter(Annotated[field.annotation, *field.metadata])  # type: ignore[arg-type]
        checked.validate_python(value)
    except ValidationError:
        return False
    return True


def _allowed(place: _Place) -> tuple[str, set[str]]:
    """What its values are called, and the remedies where others are given."""
    kinds = [_words(kind) for kind in alternatives(place.kind)]
    return " or ".join(dict.fromkeys(words for words, _ in kinds)), {last.format(name=place.name) for _, last in kinds}


def _words(kind: object) -> tuple[str, str]:
    if get_origin(kind) is Literal:
        return f"one of {', '.join(_choices(kind))}", "choose one of them"
    if (called := getattr(kind, "CALLED", None)) is not None:
        return called, "give one"
    plain = get_origin(kind) or kind
    return next((KINDS[k] for k in KINDS if isinstance(plain, type) and issubclass(plain, k)), KINDS[str])


def _choices(kind: object) -> list[str]:
    """The choices of a ``Literal``, optional or not."""
    literals = (each for each in alternatives(kind) if get_origin(each) is Literal)
    return list(dict.fromkeys(str(choice) for each in literals for choice in get_args(each)))


def _rule_and_remedy(place: _Place, value: float, context: dict[str, Any]) -> str:
    """The limits of a number and the nearest values within, read from its field's JSON schema."""
    schema = _schema(place.owner)["properties"][place.field]
    names = (*LIMITS.values(), "multipleOf")
    limits = next((part for part in (schema, *schema.get("anyOf", ())) if any(name in part for name in names)), None)
    if limits is None:  # those of an element of a list are not the field's
        limits = {LIMITS[rule]: limit for rule, limit in context.items() if rule in LIMITS}
    low, above, high, below, step = map(limits.get, names)
    if int in alternatives(place.kind):  # 1 or more rather than above 0
        low, above = (low, None) if above is None else (above + 1, None)
        high, below = (high, None) if below is None else (below - 1, None)
    if low is not None and high is not None:
        rule = f"{_number(low)} to {_number(high)}"
    else:
        bounds = {"at least": low, "above": above, "at most": high, "below": below}
        rule = " and ".join(f"{words} {_number(limit)}" for words, limit in bounds.items() if limit is not None)
    if step is not None:
        rule = f"a multiple of {step} from {rule}"
    rule = f"must be {rule or 'a finite number'}"
    numbers = " or ".join(map(_number, _nearest(value, low, high, step)))
    remedies = [f"use {numbers}"] if numbers else []
    if place.optional:
        remedies.append("leave it out" if numbers else "leave it out for the default")
    return "; ".join(filter(None, [rule, " or ".join(remedies)]))


@cache
def _schema(model: type[BaseModel]) -> dict[str, Any]:
    return model.model_json_schema()


def _nearest(value: float, low: float | None, high: float | None, step: int | None) -> list[float]:
    """The numbers within limits next to one without; none where the limit on that side is no number allowed."""
    if isinstance(value, float) and math.isnan(value):
        return []
    inside = low if low is not None and value < low else high if high is not None and value > high else value
    if step is not None:
        return sorted({inside // step * step, -(-inside // step) * step})
    return [] if inside == value else [inside]


def _number(number: float) -> str:
    return f"{number:g}" if isinstance(number, float) else str(number)
