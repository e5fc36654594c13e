"""A task's command, made of its request: each field is an argument or an option, beside those that all tasks share."""

from collections.abc import Callable, Mapping, Sequence
from inspect import Parameter, Signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin

import typer
from typer.core import TyperCommand

from sfumato.choices import Format
from sfumato.cli.options import Device, Json, Numbers, Quiet, Size, Weights, one_of, real, whole
from sfumato.errors import UnknownNameError
from sfumato.requests import REQUESTS, Painting, Processing, Request, parse_size, shown
from sfumato.requests.groups import place_of
from sfumato.requests.written import plain_type, takes_auto

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

PROMPTS: dict[str, Any] = {
    "template": Annotated[bool, typer.Option("--template", help="PROMPT is a template: {red|blue}, __wildcard__")],
    "wildcards": Annotated[
        Path | None, typer.Option("--wildcards", metavar="FOLDER", help="of a template, a text file each")
    ],
    "style": Annotated[
        list[str] | None, typer.Option("--style", metavar="NAME", help="put around PROMPT; may be repeated")
    ],
    "styles": Annotated[Path | None, typer.Option("--styles", metavar="FILE", help="A1111's styles.csv")],
}
"""What is made of a prompt before it is a request: `painting.PromptOptions`."""

SAVING: dict[str, Any] = {
    "output": Annotated[
        str | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE|PATTERN",
            help="a file (replaced if it is there), a folder/, a pattern of {seed} {index} {model} {prompt}, or - for "
            "stdout; default outputs/",
        ),
    ],
    "format": Annotated[str | None, typer.Option("--format", metavar="F", help=one_of(Format))],
    "quality": Annotated[int | None, whole("--quality", metavar="Q", help="of jpeg, webp and avif, 1 to 100")],
}
"""Where pictures go: `painting.Saving`."""

PREVIEW: dict[str, Any] = {
    "preview": Annotated[bool, typer.Option("--preview", help="show the picture forming in the terminal")]
}
SHOWING: dict[str, Any] = {"as_json": Json, "quiet": Quiet}
"""What is said meanwhile: `painting.OutputMode`."""

PLOT: dict[str, Any] = {
    "plot": Annotated[
        Path | None, typer.Option("--plot", metavar="FILE", help="write what is compared side by side, with crops")
    ]
}

LABELS: dict[str, Any] = {
    "labels_file": Annotated[
        Path | None, typer.Option("--labels-file", metavar="FILE", help="the labels of a text file, one a line")
    ]
}
"""In place of `labels`: `processing.labels_of`."""

MACHINE: dict[str, Any] = {
    "device": Device,
    "precision": Numbers,
    "engine": Weights,
    "allow_nonfinite": Annotated[
        bool, typer.Option("--allow-nonfinite", help="load weights that hold NaN or infinity")
    ],
}
"""Where and how exactly it is painted: `painting.Machine`."""

DEFAULTS: dict[str, object] = {"device": "auto", "precision": "auto", "engine": "auto"} | dict.fromkeys(
    ("template", "preview", "as_json", "quiet", "allow_nonfinite"), False
)


SECTIONS: Mapping[str, str] = {
    "arguments": "Arguments",
    "task": "Options",
    "words": "Words",
    "shape": "Size",
    "chance": "Seed and number",
    "means": "Model, steps and guidance",
    "second": "Second pass and enlarging",
    "adapters": "LoRA, embeddings, parts of the model",
    "control": "Regions, and pictures that guide",
    "guidance": "Finer guidance",
    "noise": "Variations and noise",
    "reading": "How prompts are read",
    "tiles": "Seamless and large",
    "conditioning": "SDXL conditioning",
    "output": "Output",
    "machine": "Machine",
}
"""Headings of a task's help by group, in their order."""
_SECTION_OF: Mapping[str, str] = {
    **dict.fromkeys(PROMPTS, "words"),
    "size": "shape",
    **dict.fromkeys((*SAVING, *PREVIEW, *PLOT, *SHOWING, "help"), "output"),
    **dict.fromkeys(MACHINE, "machine"),
}
"""Of options that are no field of a request."""


class _Grouped(TyperCommand):
    """A command whose help has its options under headings."""

    kind: type[Request] = Request

    def format_options(self, ctx: Any, formatter: Any) -> None:
        rows: dict[str, list[tuple[int, tuple[str, str]]]] = {}
        for option in self.get_params(ctx):
            name, place = option.name or "", place_of(self.kind, option.name or "")
            group = "arguments" if option.param_type_name == "argument" else _SECTION_OF.get(name, "task")
            rank = 1000  # behind fields of the request
            if place is not None and group == "task":
                group, rank = place
            if (record := option.get_help_record(ctx)) is not None:
                rows.setdefault(group, []).append((rank, record))
        for group, heading in SECTIONS.items():
            if group in rows:
                with formatter.section(heading):
                    formatter.write_dl([record for _, record in sorted(rows[group], key=lambda row: row[0])])


def command_of(kind: type[Request], run: Callable[..., None]) -> Callable[..., None]:
    """The command of a task: its arguments and options are the fields of the request, and those of the tables above.

    Args:
        run: is given the kind and, by name, everything that the command line has; None where left out.
    """
    fields = {name: field for name, field in kind.model_fields.items() if name not in ("task", "width", "height")}
    own = {name: option_of(name, field) for name, field in fields.items()}
    places = sorted((name for name in fields if shown(fields[name]).argument), key=lambda n: shown(fields[n]).argument)
    options = {name: each for name, each in own.items() if name not in places}
    if "width" in kind.model_fields:
        options["size"] = Size
    paints = issubclass(kind, Painting)
    options |= PROMPTS if paints else {}
    options |= SAVING if paints or issubclass(kind, Processing) else {}
    options |= LABELS if "labels" in own else {}
    options |= (PREVIEW if paints else PLOT if issubclass(kind, Processing) else {}) | SHOWING | MACHINE
    parameters = [Parameter(name, Parameter.POSITIONAL_OR_KEYWORD, annotation=own[name]) for name in places]
    parameters += [
        Parameter(name, Parameter.KEYWORD_ONLY, default=DEFAULTS.get(name), annotation=each)
        for name, each in options.items()
    ]

    def command(**given: object) -> None:
        run(kind, given)

    command.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    command.__doc__ = (kind.__doc__ or "").partition("\n\n")[0]
    return command


def option_of(name: str, field: "FieldInfo") -> Any:
    """A field of a request as an argument or option of the command line."""
    how, kind = shown(field), plain_type(field)
    said = field.description or ""
    if how.argument:
        stdin = "; - reads it from stdin" if name == "prompt" else ""
        each: Any = list[str] if get_origin(kind) is tuple else str
        return Annotated[each, typer.Argument(metavar=how.metavar, help=said + stdin)]
    flags = how.flags or (f"--{name.replace('_', '-')}",)
    if kind is bool:
        return Annotated[bool | None, typer.Option(*flags, help=said)]
    if kind is int:
        return Annotated[int | None, whole(*flags, metavar=how.metavar, help=said)]
    if kind is float:
        auto: object = "auto" if takes_auto(field) else None if "auto" in how.metavar else ...
        return Annotated[float | None, real(*flags, metavar=how.metavar, help=said, auto=auto)]
    if get_origin(kind) is Literal:
        return Annotated[str | None, typer.Option(*flags, metavar=how.metavar, help=f"{said}: {one_of(kind)}")]
    if get_origin(kind) is tuple and get_args(kind)[-1:] == (...,):
        return Annotated[list[str] | None, typer.Option(*flags, metavar=how.metavar, help=f"{said}; may be repeated")]
    return Annotated[str | None, typer.Option(*flags, metavar=how.metavar, help=said)]


def read_fields(kind: type[Request], given: Mapping[str, object]) -> dict[str, object]:
    """What the command line has of a request's fields, where they are not left out; pairs are read from ``8x0``."""
    found = {name: value for name, value in given.items() if name in kind.model_fields and value is not None}
    pairs = [name for name in found if get_args(plain_type(kind.model_fields[name])) == (int, int)]
    found |= {name: parse_size(str(found[name]), name) for name in pairs}
    if given.get("size") is not None:
        found["width"], found["height"] = parse_size(str(given["size"]))
    return found


def task_command(name: str, run: Callable[..., None]) -> Any:
    """The command of a task of `REQUESTS`, as click has it. See `command_of`."""
    alone = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    alone.command(name, cls=_Grouped)(command_of(REQUESTS[name], run))
    command: Any = typer.main.get_command(alone)
    command.kind = REQUESTS[name]
    return command


def parsed(words: Sequence[str]) -> tuple[type[Request], Mapping[str, Any]]:
    """The kind of request and the options that the words of a task's command are; nothing is run.

    Raises:
        UnknownNameError: the first is no task.
    """
    found: list[tuple[type[Request], Mapping[str, Any]]] = []
    if words[0] not in REQUESTS:
        raise UnknownNameError("task", words[0][:64], REQUESTS)
    command = task_command(words[0], lambda kind, given: found.append((kind, given)))
    with command.make_context(words[0], list(words[1:])) as context:
        command.invoke(context)
    return found[0]
