"""Options that commands share, as typer reads them, and tables of them. Nothing heavy is imported here."""

from collections.abc import Callable, Mapping
from inspect import Parameter, signature
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

import typer

from sfumato.choices import Engine, Precision
from sfumato.errors import UnknownNameError

Number = TypeVar("Number", int, float)
Command = TypeVar("Command", bound=Callable[..., None])


def one_of(choices: object) -> str:
    """The names of a ``Literal``, for a help text."""
    return ", ".join(get_args(choices))


def _parser(kind: type[Number], rule: str) -> Callable[[str], Number]:
    def parse(text: str) -> Number:
        try:
            return kind(text)
        except ValueError:
            raise typer.BadParameter(f"{text[:60]!r} must be {rule}") from None

    return parse


def whole(*names: str, metavar: str, help: str) -> Any:
    """An option that is a whole number."""
    return typer.Option(*names, metavar=metavar, help=help, parser=_parser(int, "a whole number, as 8"))


def real(*names: str, metavar: str, help: str, auto: object = ...) -> Any:
    """An option that is a number, or where `auto` is given that word, which means the value of `auto`."""
    parse = _parser(float, "a number, as 1.5" if auto is ... else "auto or a number, as 1.5")
    parser = parse if auto is ... else (lambda text: auto if text == "auto" else parse(text))
    return typer.Option(*names, metavar=metavar, help=help, parser=parser)


Model = Annotated[str | None, typer.Option("--model", metavar="NAME|PATH", help="default nano, the bundled model")]
Steps = Annotated[int | None, whole("--steps", metavar="N", help="sampling steps; the model's own by default")]
Size = Annotated[str | None, typer.Option("--size", metavar="WxH", help="in pixels, multiples of 8, as 256x256")]
Device = Annotated[str, typer.Option("--device", metavar="D", help="auto, cpu, cuda, cuda:1, mps")]
Numbers = Annotated[str, typer.Option("--precision", metavar="P", help=one_of(Precision))]
Stored = Annotated[str | None, typer.Option("--precision", metavar="P", help="the picture's own by default")]
Weights = Annotated[
    str, typer.Option("--engine", metavar="E", help=f"{one_of(Engine)}: how weights lie in memory, see docs")
]
StoredWeights = Annotated[str | None, typer.Option("--engine", metavar="E", help="the picture's own by default")]
Picture = Annotated[Path, typer.Argument(metavar="FILE", help="a picture")]
Json = Annotated[bool, typer.Option("--json", help="print one JSON object on stdout")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="only errors on stderr")]


def taking(table: Mapping[str, Any]) -> Callable[[Command], Command]:
    """A command whose last parameter, ``**choices``, is given these options, by name; None where left out."""

    def declared(command: Command) -> Command:
        plain = signature(command)
        *own, _ = plain.parameters.values()
        places = [parameter for parameter in own if parameter.kind is Parameter.POSITIONAL_OR_KEYWORD]
        options = [Parameter(name, Parameter.KEYWORD_ONLY, default=None, annotation=a) for name, a in table.items()]
        command.__signature__ = plain.replace(  # type: ignore[attr-defined]
            parameters=[*places, *options, *own[len(places) :]]
        )
        return command

    return declared


def check_precision(name: str) -> Precision:
    """A name as a precision.

    Raises:
        UnknownNameError: for another name.
    """
    for precision in get_args(Precision):
        if name == precision:
            return precision
    raise UnknownNameError("precision", name[:64], get_args(Precision))


def check_engine(name: str) -> Engine:
    """A name as an engine. Raises UnknownNameError for another name."""
    for engine in get_args(Engine):
        if name == engine:
            return engine
    raise UnknownNameError("engine", name[:64], get_args(Engine))
