"""The ground of all requests: frozen, of exact types, with errors of ours, and JSON that gives the request back."""

import json
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo

from sfumato.errors import RequestError
from sfumato.validation import brief, explained

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

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid", strict=True)

    def __init__(self, **options: Any) -> None:
        try:
            super().__init__(**{name: _python(value) for name, value in options.items()})
        except ValidationError as error:
            raise explained(type(self), error)[0] from None

    @classmethod
    def build(cls, **options: Any) -> Self:
        """One of keyword options whose types are not known, as the command line and readers have them."""
        return cls(**options)


def _python(value: Any) -> Any:
    """A number of NumPy as Python's own."""
    return value.item() if type(value).__module__ == "numpy" and getattr(value, "ndim", None) == 0 else value


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

    @property
    def pictures(self) -> int:
        """How many pictures come of it; none where it asks for an answer in words and figures."""
        return 0

    @property
    def title(self) -> str:
        """What its files are named by."""
        return self.task

    @property
    def first_seed(self) -> int | None:
        """The seed that counts up from picture to picture, where there is one."""
        return None

    def single(self, index: int) -> Self:
        """The request of which picture `index` alone comes."""
        return self

    def seeded(self) -> Self:
        """The same with its seed drawn, where it leaves that open: carried out twice, it comes to the same."""
        return self

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
