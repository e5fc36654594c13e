"""From a TOML file to a trained component: reads the configuration, picks the task, runs the loop."""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from sfumato.errors import TrainingError, UnknownNameError
from sfumato.training.autoencoder import AutoencoderRun, AutoencoderTask
from sfumato.training.denoiser import DenoiserRun, DenoiserTask
from sfumato.training.loop import Task, fit

TASKS: dict[str, tuple[type[AutoencoderRun | DenoiserRun], Callable[[Any], Task]]] = {
    "autoencoder": (AutoencoderRun, AutoencoderTask),
    "denoiser": (DenoiserRun, DenoiserTask),
}
"""What `task = "..."` in a TOML may say: its configuration and its class."""


def read_config(path: Path) -> AutoencoderRun | DenoiserRun:
    """Parse and check a training TOML.

    Raises:
        TrainingError: unreadable file, or a value out of range (each named).
        UnknownNameError: an unknown task.
    """
    try:
        data: dict[str, Any] = tomllib.loads(path.read_text())
    except OSError as error:
        raise TrainingError(f"cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise TrainingError(f"{path} is not TOML: {error}") from error
    name = data.get("task")
    if name not in TASKS:
        raise UnknownNameError("training task", str(name), TASKS)
    try:
        return TASKS[name][0].model_validate(data)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc']))}={fault['input']!r}: {fault['msg']}" for fault in error.errors()
        )
        raise TrainingError(f"{path}: {faults}") from error


def train(path: Path, run: Path | None = None) -> Path:
    """Train what the TOML at `path` describes in the folder `run` (default `runs/<its stem>`); resumes by itself.

    Returns the folder of the exported component.
    """
    config = read_config(path)
    folder = run if run is not None else Path("runs") / path.stem
    build = TASKS[config.task][1]
    fit(build(config), config.loop, folder, identity=config.model_dump(mode="json", exclude={"loop"}))
    return folder / "export"
