"""The ground of all requests: frozen, of exact types, with errors of ours, and JSON that gives the request back."""

import json
import math
from dataclasses import dataclass
from typing import Any, ClassVar, Self, get_args

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo

from sfumato.errors import RequestError, UnknownNameError

MAX_JSON = 2**20


@dataclass(frozen=True)
class Shown:
    """How a field looks outside Python; it stands in the field's `Annotated`.

    Attributes:
        metavar: what its value is called in help texts.
        label: its key in an infotext; without one it is not written there.
        flags: on the command line, in place of ``--name``.
        argument: its place on the command line and in `Studio`'s methods, ascending; 0: it is an option.
        always: its label is written even with the default's value.
    """

    metavar: str
    label: str = ""
    flags: tuple[str, ...] = ()
    argument: int = 0
    always: bool = False


_PLAIN = Shown("V")


def shown(field: FieldInfo) -> Shown:
    """How a field of a request looks outside Python."""
    return next((each for each in field.metadata if isinstance(each, Shown)), _PLAIN)


class Strict(BaseModel):
    """Frozen, of exact types (1 is a seed; ``"1"``, 1.0 and True are not), and built with errors of ours.

    Raises:
        UnknownNameError: an option, sampler or schedule of that name does not exist; near names are offered.
        RequestError: a value breaks its rule; the message says which, and what would do.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    def __init__(self, **options: Any) -> None:
        try:
            super().__init__(**options)
        except ValidationError as error:
            raise explained(type(self), error) from None

    @classmethod
    def build(cls, **options: Any) -> Self:
        """One of keyword options whose types are not known, as the command line and readers have them."""
        return cls(**options)


class Request(Strict):
    """What is asked of a `Studio`."""

    task: str

    TASK: ClassVar[str] = ""
    """The value of `task`, which is also the name of the command and of the method of `Studio`."""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        cls.TASK = cls.model_fields["task"].default or ""

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """The request that `to_json` wrote.

        Raises:
            RequestError: for text that is no such request.
        """
        return cls.build(**read_object(text))

    def to_json(self) -> str:
        """One line, every field in the order of the class, so that equal requests are equal text."""
        return json.dumps(self.model_dump(), ensure_ascii=False, separators=(",", ":"))

    def changed(self, **values: object) -> Self:
        """The same request with other values, checked like a new one."""
        return self.build(**{**{name: getattr(self, name) for name in type(self).model_fields}, **values})


def read_object(text: str | bytes) -> dict[str, Any]:
    """The fields of a request in JSON.

    Raises:
        RequestError: for text that is no JSON object, or too long.
    """
    if len(text) > MAX_JSON:
        raise RequestError(f"a request of {len(text)} characters is too long; at most {MAX_JSON} are read")
    try:
        options = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RequestError(f"the request is not JSON: {brief(str(error), 120)}; write an object") from None
    if not isinstance(options, dict):
        raise RequestError(f'a request is a JSON object, not {brief(options)}; write {{"prompt": "..."}}')
    return options


# ---------------------------------------------------------------------------------------- pydantic's errors as ours


def brief(value: object, limit: int = 60) -> str:
    """A value on one line, short enough to read."""
    try:
        text = value if isinstance(value, str) else repr(value)
    except ValueError:  # Python refuses to print whole numbers of over 4300 digits
        return "of thousands of digits"
    short = text if len(text) <= limit else text[:limit] + "..."
    return repr(short) if isinstance(value, str) else short


def explained(model: type[BaseModel], error: ValidationError) -> RequestError:
    """The first complaint, in our form."""
    first = error.errors(include_url=False)[0]
    name = str(first["loc"][0]) if first["loc"] else ""
    value = first["input"]
    match first["type"]:
        case "extra_forbidden":
            return UnknownNameError("option", name[:64], model.model_fields)
        case "literal_error" if isinstance(value, str):
            return UnknownNameError(name, value[:64], _names(model, name))
        case "literal_error":
            return RequestError(f"{name} {brief(value)} must be one of {', '.join(_names(model, name))}")
        case "missing":
            return RequestError(f"{name} is missing; give it, for example {name}='a red apple'")
        case "string_too_long":
            limit = first["ctx"]["max_length"]
            return RequestError(f"{name} has {len(value)} characters; at most {limit} are allowed; shorten it")
        case "string_too_short":
            return RequestError(f"{name} is empty; leave it out for the default")
        case "string_unicode":
            return RequestError(f"{name} holds bytes that are not Unicode text; write it in UTF-8")
        case "string_type":
            return RequestError(f"{name} must be text, not {brief(value)}; put it in quotes")
        case "int_type":
            return RequestError(f"{name} must be a whole number, not {brief(value)}; for example {name}=8")
        case "float_type":
            return RequestError(f"{name} must be a number, not {brief(value)}; for example {name}=1.5")
        case "greater_than_equal" | "less_than_equal" | "multiple_of" | "finite_number":
            return RequestError(f"{name} {brief(value)} {_rule_and_remedy(model, name, value)}")
        case "value_error":
            return RequestError(f"{name} {first['ctx']['error']}".strip())
        case _:
            return RequestError(f"{name} {brief(value)}: {first['msg']}".strip())


def _names(model: type[BaseModel], field: str) -> list[str]:
    """The choices of a ``Literal`` field, optional or not."""
    choices: list[str] = []
    for part in (model.model_fields[field].annotation, *get_args(model.model_fields[field].annotation)):
        choices += [name for name in get_args(part) if isinstance(name, str)]
    return list(dict.fromkeys(choices))


def _rule_and_remedy(model: type[BaseModel], field: str, value: float) -> str:
    """The limits of a numeric field and the nearest values within, read from its JSON schema."""
    schema: dict[str, Any] = model.model_json_schema()["properties"][field]
    limits = next((part for part in schema.get("anyOf", ()) if "minimum" in part), schema)
    low, high, step = limits["minimum"], limits["maximum"], limits.get("multipleOf")
    rule = f"must be {low:g} to {high:g}" if isinstance(low, float) else f"must be {low} to {high}"
    if step is not None:
        rule = f"must be a multiple of {step} from {low} to {high}"
    optional = not model.model_fields[field].is_required()
    if isinstance(value, float) and math.isnan(value):
        return f"{rule}; leave it out for the default" if optional else rule
    inside = min(max(value, low), high)
    nearest = [inside] if step is None else sorted({inside // step * step, -(-inside // step) * step})
    offer = " or ".join(f"{number:g}" if isinstance(number, float) else str(number) for number in nearest)
    return f"{rule}; use {offer}" + (" or leave it out" if optional else "")
