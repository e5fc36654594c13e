"""From a TOML file to a trained component: reads the configuration, picks the task, runs the loop."""

import importlib.util
import json
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ValidationError

from sfumato.errors import TrainingError, UnknownNameError
from sfumato.files import FULL, cannot_write, held, read_regular
from sfumato.runtime.memory import keep_freed_memory
from sfumato.runtime.precision import choose
from sfumato.training.adapter import AdapterRun
from sfumato.training.autoencoder import AutoencoderRun, autoencoder_task
from sfumato.training.checkpoint import latest_facts
from sfumato.training.classifier import ClassifierRun, ClassifierTask
from sfumato.training.control import ControlRun, ControlTask
from sfumato.training.denoiser import DenoiserRun, DenoiserTask
from sfumato.training.distill import adapter_task
from sfumato.training.gan import GANRun, GANTask
from sfumato.training.language import LanguageRun, LanguageTask
from sfumato.training.loop import EXTENDABLE, Task, fit
from sfumato.training.restorer import RestorerRun, restorer_task
from sfumato.training.runs import note_begin
from sfumato.training.text import TextRun, TextTask
from sfumato.validation import explained

Run = (
    AdapterRun
    | AutoencoderRun
    | ClassifierRun
    | ControlRun
    | DenoiserRun
    | GANRun
    | LanguageRun
    | RestorerRun
    | TextRun
)

TASKS: dict[str, tuple[type[Run], Callable[[Any, Path], Task]]] = {
    "adapter": (AdapterRun, adapter_task),
    "autoencoder": (AutoencoderRun, autoencoder_task),
    "classifier": (ClassifierRun, ClassifierTask),
    "control": (ControlRun, ControlTask),
    "denoiser": (DenoiserRun, DenoiserTask),
    "gan": (GANRun, GANTask),
    "language": (LanguageRun, LanguageTask),
    "restorer": (RestorerRun, restorer_task),
    "text": (TextRun, TextTask),
}
"""What `task = "..."` in a TOML may say: its configuration, and the task of it in a run's folder."""


def read_toml(path: Path) -> dict[str, Any]:
    """The values in a file.

    Raises:
        TrainingError: it cannot be read.
    """
    try:
        return tomllib.loads(read_regular(path).decode("utf-8"))
    except OSError as error:
        raise TrainingError(f"cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise TrainingError(f"{path} is not TOML: {error}") from error


def read_config(path: Path, read: Callable[[Path], dict[str, Any]] = read_toml) -> Run:
    """Parse and check a training TOML.

    Args:
        read: gives its values; `kohya.translated` for files of another program.

    Raises:
        TrainingError: unreadable file, or a value out of range (each named).
        UnknownNameError: an unknown task.
    """
    data = read(path)
    name = data.get("task")
    if name is None:
        raise TrainingError(f'{path} has no task; begin it with task = "NAME", which is {", ".join(TASKS)}')
    if name not in TASKS:
        raise UnknownNameError("training task", str(name), TASKS)
    try:
        return TASKS[name][0].model_validate(data)
    except ValidationError as error:
        faults = "; ".join(map(str, explained(TASKS[name][0], error, noun="setting")))
        raise TrainingError(f"{path}: {faults}") from None


def train(path: Path, run: Path | None = None, *, read: Callable[[Path], dict[str, Any]] = read_toml) -> Path:
    """Train what the TOML at `path` describes in the folder `run` (default `runs/<its stem>`); resumes by itself.

    Returns the folder of the exported component.

    Raises:
        TrainingError: a bad configuration, missing data, a run that was begun with another configuration, or one that
            another process trains.
        OutputError: the run's folder cannot be written; what was there before stays.
    """
    require_extra()
    keep_freed_memory()
    config = read_config(path, read)
    folder = run if run is not None else Path("runs") / path.stem
    with _alone(folder):
        config = _with_precision(config, folder)
        again = partial(TASKS[config.task][1], config, folder)
        task = again()
        identity = {**config.model_dump(mode="json"), "content": task.content}
        _check_identity(folder, identity, defaults(type(config)))
        note_begin(folder, identity)
        fit(task, config.loop, folder, identity=identity, again=again)
    return folder / "export"


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """The folder of a run, made where it is not there, for this process alone."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with held(folder / "lock"):
            yield
    except BlockingIOError as error:
        raise TrainingError(
            f"{folder} is being trained by {error.strerror}; wait for it, stop it, or choose another run folder"
        ) from None
    except OSError as error:
        if error.filename and error.errno not in FULL:
            raise
        raise cannot_write(Path(error.filename or folder), error) from error


def _with_precision(config: Run, folder: Path) -> Run:
    """The configuration with "auto" settled: as the run began, or by measurement."""
    precision = config.loop.precision
    if precision == "auto":
        facts = latest_facts(folder)
        if facts is not None:
            precision = facts["config"]["loop"]["precision"]
        else:
            precision = "bf16" if choose("cpu").dtype is torch.bfloat16 else "fp32"
    return config.model_copy(update={"loop": config.loop.model_copy(update={"precision": precision})})


def require_extra() -> None:
    """Say in one line what is missing for training, before any work is done."""
    missing = [name for name in ("tensorboard", "matplotlib", "torchmetrics") if importlib.util.find_spec(name) is None]
    if missing:
        raise TrainingError(f"training needs {', '.join(missing)}; install with: pip install {' '.join(missing)}")


def defaults(kind: type[BaseModel]) -> dict[str, Any]:
    """The values of a configuration's optional settings, nested like the configuration."""
    found: dict[str, Any] = {}
    for name, field in kind.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            found[name] = defaults(field.annotation)
        elif not field.is_required():
            found[name] = field.get_default(call_default_factory=True)
    return found


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {prefix + name: value}
    return flat


def _check_identity(folder: Path, identity: Mapping[str, Any], unset: Mapping[str, Any]) -> None:
    """A run goes on only as it began; a setting that it does not know counts as its default."""
    snapshot_facts = latest_facts(folder)
    if snapshot_facts is None:
        return
    ours, theirs = _flat(identity), {**_flat(unset), **_flat(snapshot_facts["config"])}
    free = {f"loop.{name}" for name in EXTENDABLE}
    different = sorted(
        name for name in ours.keys() - free if json.dumps(ours[name]) != json.dumps(theirs.get(name, ours[name]))
    )
    if different:
        names = ", ".join(f"{name} ({theirs[name]!r}, now {ours[name]!r})" for name in different)
        raise TrainingError(f"{folder} was begun with another {names}; choose another run folder")
