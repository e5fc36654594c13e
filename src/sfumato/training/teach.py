"""``sfumato teach``: a model learns a few pictures under a name, in the time that there is.

    lesson(...)    what is asked for          -> Lesson
    planned(...)   seconds a step, measured   -> the settings of a run, kept as TEACH.toml in its folder
    teach(...)     trains (or goes on), keeps the best, and tries the file   -> Taught

The settings are those of `task = "adapter"`: whoever wants every knob edits the TOML and runs `sfumato train`.
"""

import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any, Literal

import numpy as np
from PIL import Image

from sfumato.adapters.report import examine
from sfumato.checkpoints.catalogue import find
from sfumato.decoding import RejectedPicture
from sfumato.errors import RequestError, TrainingError
from sfumato.files import sha256, write_atomic
from sfumato.images import contact_sheet
from sfumato.lettering import captioned
from sfumato.prompts.builder import character, worded
from sfumato.prompts.vocabulary import Vocabulary
from sfumato.requests import Txt2Img
from sfumato.training.adapter import AdapterRun, AdapterTask
from sfumato.training.loop import gradients
from sfumato.training.run import read_config, train
from sfumato.training.sources import candidates

TeachMethod = Literal["lora", "dreambooth", "embedding"]
TEACH_METHODS: tuple[TeachMethod, ...] = ("lora", "dreambooth", "embedding")
SETTINGS = "teach.toml"
KEPT = "kept"
"""Folder of pictures by the model as it is."""
UNITS = {"s": 1, "m": 60, "h": 3600}
STEPS = 40, 4000
"""Fewest and most."""
LOOKS = 200
"""How often a picture is seen, at most: more of the same is learned by heart."""
OVERHEAD = 0.75
"""Share of the time that steps may take; the rest goes to loading, validation, sheets and the trial."""
PRIOR_PICTURES = 24
"""Pictures by the model as it is, which it is to go on painting so."""
TRIAL_STEPS, OTHER_STEPS = 16, 12
"""Sampling steps: of the pictures by which the file is tried, and of those of the class and the sheets."""
OTHERS = ("a portrait of an old man", "a red apple on a table")
"""Prompts without the name, which should be painted as before."""


def seconds_of(text: str) -> float:
    """Seconds of "90s", "20m", "1.5h"; a bare number is minutes.

    Raises:
        RequestError: it is none of these, or not above 0.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh]?)", text.strip().lower())
    if not found or float(found[1]) <= 0:
        raise RequestError(f"time is {text!r}; give minutes, or for example 90s, 20m or 1.5h")
    return float(found[1]) * UNITS[found[2] or "m"]


@dataclass(frozen=True)
class Lesson:
    """What is to be learned, under which name, by what, and in how many seconds.

    Raises:
        RequestError: a name that no prompt can have, no subject, or an unknown method.
    """

    photos: Path
    name: str
    subject: str
    method: TeachMethod = "lora"
    model: str = "nano"
    seconds: float = 1200.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[\w-]{1,64}", self.name):
            raise RequestError(f"name is {self.name[:70]!r}; give one word of letters, digits, - and _")
        if not self.subject.strip():
            raise RequestError('subject is empty; say what the pictures show, for example "a woman"')
        if self.method not in TEACH_METHODS:
            raise RequestError(f"method is {self.method!r}; give {', '.join(TEACH_METHODS)}")

    @property
    def keeps(self) -> bool:
        """Whether pictures by the model as it is are learned beside: of the class for DreamBooth; for a LoRA of nano,
        which is small and forgets soon, of all that it knows."""
        return self.method == "dreambooth" or (self.method == "lora" and self.model == "nano")

    @property
    def called(self) -> str:
        """The subject by its name, as a prompt has it."""
        return f"{self.name}, {self.subject}"


@dataclass(frozen=True)
class Taught:
    """What came of it.

    Attributes:
        file: the adapter or embedding.
        loss: validation loss before and after.
        strength: ||change|| / ||W|| by component; of an embedding the mean length of its vectors.
        named: how far, in levels of 0 to 255 (root mean square), the picture of the name moved,
        others: and those of prompts without it.
        command: paints with it.
    """

    file: Path
    steps: int
    seconds_per_step: float
    loss: tuple[float, float]
    strength: Mapping[str, float]
    named: float
    others: float
    sheet: Path
    command: str


def settings(lesson: Lesson, steps: int, folder: Path, *, batch: int, every: int, size: int | None) -> dict[str, Any]:
    """The settings of a run, as `AdapterRun` takes them."""
    nano = lesson.model == "nano"
    source: dict[str, Any] = {
        "folder": str(lesson.photos.absolute()),
        "caption": lesson.subject,
        "recognised": nano,
        "trigger": lesson.name,
        "caption_dropout": 0.05,
    }
    sources = [source]
    values: dict[str, Any] = {"task": "adapter", "model": lesson.model, "name": lesson.name, "sources": sources}
    if lesson.method == "embedding":
        values |= {"adapter": False, "word": _word(lesson)}
        source["caption_dropout"] = 0.0
    else:  # a small network has room to learn in its convolutions alone
        values["adapter"] = {"method": "locon" if nano else "lora", "rank": 16, "text_targets": ["attention"]}
    if lesson.keeps:
        sources.append({"folder": str((folder / KEPT).absolute()), "caption": lesson.subject, "prior": True})
    if lesson.keeps and nano:
        values["loss"] = {"prior_target": "model"}
    if size is not None:
        values["buckets"] = {"size": size}
    rate = {"embedding": 5e-3}.get(lesson.method, 1e-3 if nano else 2e-4)
    values |= {"prompts": [f"{prompt} --s {OTHER_STEPS}" for prompt in (lesson.called, OTHERS[0])]}
    values["loop"] = {
        "steps": steps,
        "batch": batch,
        "learning_rate": rate,
        "warmup": max(1, steps // 20),
        "validate_every": max(1, steps // 10),
        "sheet_every": every,
        "save_every": max(1, steps // 10),
        "log_every": max(1, min(10, steps // 20)),
        "seed": lesson.seed,
    }
    return values


def _word(lesson: Lesson) -> dict[str, Any]:
    initial = re.sub(r"^(an?|the)\s+", "", lesson.subject.strip(), flags=re.IGNORECASE)
    return {"word": lesson.name, "vectors": 4, "initial": initial}


def planned(lesson: Lesson, folder: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """The settings that fit into the time, by steps measured on this machine; at half the size where even the fewest
    do not."""
    spent = time.monotonic()
    for half in (False, True):
        begun = settings(lesson, 1, folder, batch=1, every=1, size=None)
        task = AdapterTask(AdapterRun.model_validate({**begun, "loop": {**begun["loop"], "precision": "fp32"}}), folder)
        side = task.examples.side
        if half:
            side = max(task.own.grain * 4, side // 2 // 64 * 64)
            begun |= {"buckets": {"size": side, "smallest": side // 2}}
            task = AdapterTask(AdapterRun.model_validate(begun), folder)
        count = sum(not task.run.sources[e.source].prior for e in task.examples.all)
        batch = min(4 if lesson.model == "nano" else 1, count)
        run = AdapterRun.model_validate({**begun, "loop": {**begun["loop"], "batch": batch, "precision": "fp32"}})
        task = AdapterTask(run, folder, base=task.base)
        seconds = _seconds_a_step(task, run)
        left = lesson.seconds * OVERHEAD - (time.monotonic() - spent)
        steps = int(left / seconds)
        if steps >= STEPS[0] or half:
            break
    if steps < STEPS[0]:
        least = seconds * STEPS[0] / OVERHEAD / 60 + 1
        raise TrainingError(
            f"a step of {lesson.model} takes {seconds:.1f} s here, so that {lesson.seconds:.0f} s, less what is "
            f"spent already, are {max(steps, 0)} steps, under {STEPS[0]}; give --time {least:.0f}m"
        )
    most = max(STEPS[0], min(STEPS[1], LOOKS * count // batch))
    if steps > most:
        say(f"{most} steps are enough for {count} pictures; it will be done before the time is over")
    steps = min(steps, most)
    say(f"{count} pictures, {seconds:.2f} s a step of {batch}, {steps} steps at {side} px")
    every = max(1, int(60 / seconds), steps // 8)
    return settings(lesson, steps, folder, batch=batch, every=every, size=side if half else None)


def _seconds_a_step(task: AdapterTask, run: AdapterRun) -> float:
    gradients(task, {"model": task.model}, run.loop, 0)  # the first one encodes texts
    begun = time.perf_counter()
    for step in (1, 2):
        gradients(task, {"model": task.model}, run.loop, step)
    task.model.zero_grad(set_to_none=True)
    return (time.perf_counter() - begun) / 2


def teach(lesson: Lesson, folder: Path, say: Callable[[str], None] = lambda line: None) -> Taught:
    """Learn, and try what was learned. A folder in which the same lesson was begun goes on.

    Raises:
        TrainingError: no pictures, too little time, or a folder with another lesson in it.
        CheckpointError, OutputError, DivergedError: as `train`.
    """
    find(lesson.model)
    file = folder / SETTINGS
    stated = {**asdict(lesson), "photos": str(lesson.photos.absolute())}
    if (folder / "lesson.json").is_file() and file.is_file():
        known = json.loads((folder / "lesson.json").read_text())
        if different := [name for name in stated if known.get(name) != stated[name]]:
            raise TrainingError(
                f"{folder} was begun with another {different[0]} ({known.get(different[0])!r}); choose another --run"
            )
        say(f"going on in {folder}")
    else:
        _look_at(lesson.photos)
        folder.mkdir(parents=True, exist_ok=True)
        if lesson.keeps:
            _paint_kept(lesson, folder / KEPT, say)
        values = planned(lesson, folder, say)
        write_atomic(file, toml(values).encode())
        write_atomic(folder / "lesson.json", json.dumps(stated).encode())
    run = read_config(file)
    assert isinstance(run, AdapterRun)
    begun = time.monotonic()
    export = train(file, folder)
    spent = time.monotonic() - begun
    return _tried(lesson, run, folder, export / f"{lesson.name}.safetensors", spent / run.loop.steps)


def _look_at(photos: Path) -> None:
    """Before anything is painted.

    Raises:
        TrainingError: there is nothing that might be a picture.
    """
    if not any(not isinstance(candidate.data, RejectedPicture) for candidate in candidates(photos)):
        raise TrainingError(f"{photos} has no pictures; put PNG, JPEG or WebP files there")


def _paint_kept(lesson: Lesson, folder: Path, say: Callable[[str], None]) -> None:
    """Pictures by the model as it is, with their captions; those that are there already are not painted again."""
    from sfumato.studio import Studio

    folder.mkdir(exist_ok=True)
    prompts = [lesson.subject] * PRIOR_PICTURES if lesson.method == "dreambooth" else known_to(lesson.model)
    missing = [i for i in range(len(prompts)) if not (folder / f"{i:03d}.png").is_file()]
    if missing:
        say(f"painting {len(missing)} pictures of what {lesson.model} knows, which it is to keep")
    studio = Studio(lesson.model)
    for i in missing:
        picture = studio.txt2img(prompts[i], seed=1000 + i, steps=OTHER_STEPS).images[0]
        (folder / f"{i:03d}.txt").write_text(prompts[i] + "\n", "utf-8")
        temporary = folder / f".{i:03d}.png"
        picture.save(temporary)
        temporary.rename(folder / f"{i:03d}.png")


def known_to(model: str) -> list[str]:
    """Prompts of all that a model knows, each style of each kind in turn.

    Raises:
        TrainingError: it does not say what it knows.
    """
    vocabulary = Vocabulary.read(find(model))
    if vocabulary is None:
        raise TrainingError(f"{model} does not say what it knows")
    styles = [(kind, style) for kind, keys in vocabulary.about.items() for style in keys.get("style", [""])]
    found = []
    for i in range(PRIOR_PICTURES):
        kind, style = styles[i % len(styles)]
        traits = {**character(vocabulary, kind, f"kept {i}")[0], "style": style}
        if names := vocabulary.about[kind].get("name"):
            traits["name"] = Random(i).choice(names)
        found.append(worded(vocabulary, kind, traits))
    return found


def _tried(lesson: Lesson, run: AdapterRun, folder: Path, file: Path, seconds: float) -> Taught:
    """Figures of the file itself, read back as anybody reads it."""
    from sfumato.studio import Studio

    task = AdapterTask(run.model_copy(update={"loop": run.loop.model_copy(update={"precision": "fp32"})}), folder)
    untrained = task.model
    before = task.validate(untrained)["loss"]
    facts = json.loads((folder / "best/best.json").read_text())
    report = examine(file, find(lesson.model))
    if not report.good:
        raise TrainingError(f"{file} does not fit {lesson.model}: {report.verdict}")
    studio = Studio(lesson.model)
    options = {"embeddings": [str(file)]} if lesson.method == "embedding" else {"loras": [str(file)]}

    def painted(prompt: str, **more: Any) -> Image.Image:
        return studio.run(Txt2Img(prompt=prompt, seed=7, model=lesson.model, steps=TRIAL_STEPS, **more)).images[0]

    prompts = [lesson.called, *OTHERS]
    rows = [[painted(prompt) for prompt in prompts], [painted(prompt, **options) for prompt in prompts]]
    moved = [_distance(a, b) for a, b in zip(*rows, strict=True)]
    sheet = folder / "before-and-after.png"
    texts = [f"{when}: {prompt}" for when in ("before", "after") for prompt in prompts]
    contact_sheet(captioned([*rows[0], *rows[1]], texts), columns=len(prompts)).save(sheet)
    option = "--embedding" if lesson.method == "embedding" else "--lora"
    model = "" if lesson.model == "nano" else f" --model {lesson.model}"
    taught = Taught(
        file,
        run.loop.steps,
        seconds,
        (before, float(facts["loss"])),
        report.strength,
        moved[0],
        sum(moved[1:]) / len(moved[1:]),
        sheet,
        f'sfumato txt2img "{lesson.called}" {option} {file}{model}',
    )
    kept = {**asdict(taught), "file": str(file), "sheet": str(sheet), "sha256": sha256(file)}
    write_atomic(folder / "taught.json", json.dumps(kept, indent=1).encode())
    return taught


def _distance(a: Image.Image, b: Image.Image) -> float:
    first, second = (np.asarray(image.convert("RGB"), np.float32) for image in (a, b))
    return float(np.sqrt(np.square(first - second).mean()))


def toml(values: Mapping[str, Any]) -> str:
    """Settings as TOML: scalars and lists of them, tables, and lists of tables."""
    plain = {k: v for k, v in values.items() if not isinstance(v, Mapping) and not _tables(v)}
    lines = [f"{key} = {_value(value)}" for key, value in plain.items()]
    for key, value in values.items():
        for table in value if _tables(value) else [value] if isinstance(value, Mapping) else ():
            head = f"[[{key}]]" if _tables(value) else f"[{key}]"
            lines += ["", head, *(f"{name} = {_value(own)}" for name, own in table.items())]
    return "\n".join(lines) + "\n"


def _tables(value: Any) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(each, Mapping) for each in value)


def _value(value: Any) -> str:
    """A text, a number, a list of them or an inline table in TOML, whose basic strings are JSON's but for DEL."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{name} = {_value(own)}" for name, own in value.items()) + " }"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
