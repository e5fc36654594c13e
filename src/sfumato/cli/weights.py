"""``sfumato convert`` and ``inspect``: files of weights from one layout to the other, and what they are."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, get_args

from sfumato.choices import Prediction
from sfumato.cli.reports import columns
from sfumato.cli.terminal import narrating
from sfumato.errors import RequestError, UnknownNameError, printable

if TYPE_CHECKING:
    from sfumato.adapters.report import AdapterReport
    from sfumato.checkpoints.inspect import Report

Name = TypeVar("Name", bound=str)


def convert(
    source: str, target: Path, *, precision: str, prediction: str | None, vae: Path | None, loras: Sequence[str]
) -> None:
    """Write a model in the other layout, LoRAs merged, and print its path."""
    from sfumato.adapters.requested import files_of
    from sfumato.checkpoints.catalogue import find
    from sfumato.requests import Lora

    path = find(source)  # before torch is imported, which takes longer
    adapters = files_of(Lora.parse(text) for text in loras)
    with narrating():
        from sfumato.adapters.merge import merge
        from sfumato.checkpoints.export import StoredPrecision, export

        stored: StoredPrecision = _one_of("precision", precision, get_args(StoredPrecision))
        predicts: Prediction | None = (
            None if prediction is None else _one_of("prediction", prediction, get_args(Prediction))
        )
        revise = partial(merge, loras=adapters, name=path.stem) if adapters else None
        print(export(path, target, precision=stored, prediction=predicts, vae=vae, revise=revise))


def one_place(argument: Path | None, option: Path | None) -> Path:
    """Where to write, which is said in one of two ways.

    Raises:
        RequestError: in neither, or in both.
    """
    place = option if argument is None else argument
    if place is None:
        raise RequestError("where to write is missing; sfumato convert IN OUT, with OUT a NAME.safetensors or a folder")
    if None not in (argument, option):
        raise RequestError(f"OUT is said twice, {str(argument)!r} and -o {str(option)!r}; leave out one")
    return place


def inspect(path: Path, *, prediction: str | None, model: str | None, as_json: bool) -> int:
    """Print what a file is; 0 when it is sound and of a known kind, else 2."""
    report = _examined(path, prediction, model)
    facts = asdict(report)
    if as_json:
        print(json.dumps(facts))
    else:
        rows = [(key.replace("_", " "), _plain(value)) for key, value in facts.items() if key not in _LISTED]
        print(columns([row for row in rows if row[1]]))
        if facts.get("model", "") is None and report.good:
            print("--model says whether it fits one")
        for sort, names in report.names.items():
            print(*(printable(f"{sort.replace('_', ' ')}  {name}") for name in names), sep="\n")
        for key, text in report.metadata.items():
            print(printable(f"{key}  {' '.join(text.split())[:120]}"))
    return 0 if report.good else 2


def _examined(path: Path, prediction: str | None, model: str | None) -> "Report | AdapterReport":
    from sfumato.checkpoints.catalogue import find

    folder = None if model is None else find(model)
    from sfumato.adapters.report import examine, is_small
    from sfumato.checkpoints.inspect import inspect

    predicts: Prediction | None = (
        None if prediction is None else _one_of("prediction", prediction, get_args(Prediction))
    )
    if path.is_file() and is_small(path):
        with narrating():
            return examine(path, folder)
    if folder is not None:
        raise RequestError(f"{path} is no LoRA or embedding, which alone are held against a model; leave out --model")
    return inspect(path, prediction=predicts)


_LISTED = ("names", "metadata", "good")


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{count} {name}" for name, count in value.items())
    return "" if value is None else str(value)


def _one_of(kind: str, name: str, known: tuple[Name, ...]) -> Name:
    for value in known:
        if name == value:
            return value
    raise UnknownNameError(kind, name[:64], known)
