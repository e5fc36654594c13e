"""The whole recipe in two minutes, to see that it holds together: `python -m recipes.nano.smoke --out runs/smoke`.

Each stage is the recipe's own command with the recipe's own settings, but for the sizes in `SMALL`. What comes of it
paints nothing to look at. Checked is that losses fall, files are whole, and the bundle paints in both languages. A
stage whose result is there is not run again; the first that fails ends with one line and exit code 1.
"""

import argparse
import contextlib
import json
import math
import sys
import time
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from recipes.nano.bundle import RECIPE, SUMS, bundle, bundle_expert, digests
from recipes.nano.data.render import COUNTS, render
from recipes.nano.data.views import VIEW_LOOKS
from sfumato.checkpoints.experts import FOLDER
from sfumato.cli import main as sfumato
from sfumato.errors import SfumatoError
from sfumato.prompts.vocabulary import Vocabulary
from sfumato.training.data import Pictures
from sfumato.training.tracking import read_log

SCALE = 0.006
"""Share of the recipe's pictures of each style; no emoji, whose drawings come from the network."""
SIZE = 64
VIEWS = 12
"""Views of each look."""


def loop(steps: int, batch: int, **others: object) -> dict[str, object]:
    """A short `[loop]` in one process: logged ten times, validated four times, kept twice."""
    return {
        "steps": steps, "batch": batch, "accumulate": 1, "processes": 1, "warmup": steps // 10, "decay": steps // 2,
        "log_every": steps // 10, "validate_every": steps // 4, "sheet_every": steps, "save_every": steps // 2,
        **others,
    }  # fmt: skip


TEXT = {"vocabulary": 1024, "width": 64, "layers": 1}
PROMPTS = {"en": "toon portrait, red hair, smile, blue background", "zh": "卡通头像，红发，微笑，蓝色背景"}
PAINTED = {"prompts": list(PROMPTS.values())}
DENOISER: Mapping[str, object] = {
    **PAINTED,
    "shares": {"emoji": None},
    "text": TEXT,
    "network": {"channels": [32, 64, 64]},
}

SMALL: Mapping[str, Mapping[str, object]] = {
    "classifier": {"shares": {"emoji": None}, "channels": [16, 16, 32, 32], "loop": loop(40, 16)},
    "autoencoder": {"channels": [16, 32, 32], "blocks": 1, "crop": SIZE, "loop": loop(80, 16)},
    "grow": {"crop": SIZE, "loop": loop(40, 16)},
    "finish": {
        "crop": SIZE,
        "adversarial": {"channels": [16, 32, 32], "lead": 10},
        "loop": loop(40, 16, opponent={"start": 20}),
    },
    "text": {"shares": {"emoji": None}, "text": TEXT, "loop": loop(40, 32)},
    "auxiliary": {"shares": {"emoji": None}, "channels": [16, 32], "loop": loop(40, 16)},
    "denoiser": {**DENOISER, "loop": loop(20, 8, accumulate=2, processes=2)},
    "reward": {**DENOISER, "reward": {"pictures": 2}, "loop": loop(10, 8)},
    "views_auxiliary": {"channels": [16, 32], "loop": loop(40, 16)},
    "views": {**PAINTED, "text": TEXT, "network": {"channels": [32, 64, 64]}, "loop": loop(10, 8)},
    "language": {**PAINTED, "validation": 64, "paintings": 6, "loop": loop(20, 16)},
}
"""What is smaller than in the recipe's TOML of that name; None leaves a setting out."""

FALLING = {
    "classifier": ["train/loss"],
    "autoencoder": ["train/loss", "validation/loss"],
    "grow": ["validation/loss"],
    "finish": ["train/opponent", "validation/perceptual"],
    "text": ["train/loss", "validation/loss"],
    "auxiliary": ["train/loss"],
    "denoiser": ["validation/loss"],
    "reward": ["validation/loss"],
    "views_auxiliary": ["train/loss"],
    "views": ["validation/loss"],
    "language": ["validation/loss"],
}
"""What must fall from the first logged value to the last. Times and noise, and with them a denoiser's training loss,
differ from step to step, as crops do; the loss of a decoder grows when the discriminator joins."""


@dataclass(frozen=True)
class Stage:
    """Makes `result`, a file or folder that is there only when it is whole; `check` gives figures to be told."""

    name: str
    result: Path
    make: Callable[[], object]
    check: Callable[[], str]


def fail(why: str) -> NoReturn:
    """End the smoke test."""
    raise SystemExit(f"smoke: {why}")


def merged(settings: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with changes, table by table; what is None is left out."""
    both = {**settings, **{k: merged(settings[k], v) if isinstance(v, Mapping) else v for k, v in changes.items()}}
    return {name: value for name, value in both.items() if value is not None}


def toml(value: object) -> str:
    """A value of a TOML file, as it is written in one; tables inline."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{name} = {toml(each)}" for name, each in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def command(*arguments: object) -> None:
    """Run a command of `sfumato`, which says itself what went wrong; what it prints is no result of ours."""
    with contextlib.redirect_stdout(sys.stderr):
        if code := sfumato([str(each) for each in arguments]):
            raise SystemExit(code)


def drawing(out: Path, name: str, counts: Mapping[str, int]) -> Stage:
    """So many pictures of each style."""
    data = out / name

    def make() -> None:
        render(data, counts, placements=0, size=SIZE, seed=0, processes=1)

    def check() -> str:
        pictures = Pictures(data)
        if len(pictures) != sum(counts.values()):
            fail(f"{data} has {len(pictures)} pictures, not {sum(counts.values())}")
        return f"{len(pictures.train)} pictures and {len(pictures.validation)} held out, {pictures.size} px"

    return Stage(name, data, make, check)


def training(name: str, out: Path) -> Stage:
    """The stage of the recipe's TOML of that name."""
    run, config = out / name, out / f"{name}.toml"

    def make() -> None:
        text = (RECIPE / config.name).read_text("utf-8").replace("runs/nano/", f"{out.as_posix()}/")
        text = text.replace('"src/sfumato/data/nano', f'"{(out / "bundle").as_posix()}')
        settings = tomllib.loads(text)
        lines = (f"{key} = {toml(value)}\n" for key, value in merged(settings, SMALL[name]).items())
        config.write_text("".join(lines), "utf-8")
        command("train", config, "--run", run)

    def check() -> str:
        told, records = [], read_log(run)
        for figure in FALLING[name]:
            values = [record[figure] for record in records if figure in record]
            if len(values) < 2 or not all(map(math.isfinite, values)) or values[-1] >= values[0]:
                fail(f"{name}: {figure} did not fall: {', '.join(f'{v:.4g}' for v in values)}")
            told.append(f"{figure} {values[0]:.3f} to {values[-1]:.3f}")
        if not list((run / "sheets").glob("*.png")):
            fail(f"{run} has no sheet")
        return ", ".join(told)

    return Stage(name, run / "export", make, check)


def bundling(out: Path) -> Stage:
    """Half way from the denoiser to the one after reward fine-tuning, with the finished decoder."""
    model = out / "bundle"

    def make() -> None:
        bundle(out / "reward/export", model, out / "finish/export/vae", mean=out / "denoiser/export", watched=4)

    def check() -> str:
        listed = [line.split("  ./") for line in (model / SUMS).read_text().splitlines()]
        if [(name, digest) for digest, name in listed] != list(digests(model)) or len(listed) < 3:
            fail(f"{model / SUMS} is not the list of its weights")
        if (vocabulary := Vocabulary.read(model)) is None or not (model / "README.md").is_file():
            fail(f"{model} has no world.json or no README.md")
        size = sum(file.stat().st_size for file in model.rglob("*") if file.is_file())
        return f"{size / 1e6:.1f} MB, {len(vocabulary.known)} words, {len(vocabulary.about)} kinds of pictures"

    return Stage("bundle", model, make, check)


def expert(out: Path) -> Stage:
    """The expert for scenes, in the bundle."""
    model, name = out / "bundle", "scenes"

    def make() -> None:
        bundle_expert(out / "views/export", model, name, watched=4)

    def check() -> str:
        vocabulary = Vocabulary.read(model)
        if vocabulary is None or "scene" not in vocabulary.about or len(list(digests(model))) != 5:
            fail(f"{model} knows no scenes, or has no weights for them")
        return f"{len(vocabulary.about['scene'])} attributes of scenes"

    return Stage("expert", model / FOLDER / name, make, check)


def evaluation(out: Path) -> Stage:
    """The model card with its sheet and its figures."""
    page, figures, sheet = (out / f"card.{ending}" for ending in ("md", "json", "jpg"))

    def make() -> None:
        where = {"data": out / "data", "classifier": out / "classifier/export", "work": out / "evaluation", "out": page}
        how = {"per-kind": 2, "seeds": 2, "steps": 3, "languages": ",".join(PROMPTS)}
        command("evaluate", out / "bundle", *(f"--{name}={value}" for name, value in {**where, **how}.items()))

    def check() -> str:
        report = json.loads(figures.read_text("utf-8"), parse_constant=lambda name: fail(f"{figures} holds {name}"))
        for table in ("rows", "whole", "attributes"):
            if {row["source"] for row in report[table]} != {"render", *PROMPTS}:
                fail(f"{figures} has not all sources in its {table}")
        if page.read_text("utf-8").count("\n| --- |") != 4 or not has_contrast(sheet):
            fail(f"{page} has not its four tables, or its sheet is of a single colour")
        distances = (f"{row['source']} {row['frechet']:.1f}" for row in report["whole"])
        return f"{sum(row['pictures'] for row in report['rows'])} pictures, Fréchet distance {', '.join(distances)}"

    return Stage("evaluation", page, make, check)


def painting(out: Path) -> Stage:
    """A picture in each language."""
    files = [out / f"{language}.png" for language in PROMPTS]

    def make() -> None:
        for prompt, file in zip(PROMPTS.values(), files, strict=True):
            command("txt2img", prompt, "--model", out / "bundle", "--seed", 0, "--quiet", "-o", file)

    def check() -> str:
        for file in files:
            if not has_contrast(file):
                fail(f"{file} is of a single colour")
        first, second = (Image.open(file) for file in files)
        if first.tobytes() == second.tobytes():
            fail("both prompts give the same picture")
        return f"{', '.join(map(str, files))}, {first.width} px"

    return Stage("painting", files[-1], make, check)


def has_contrast(file: Path) -> bool:
    """Whether anything is to be seen in a picture."""
    return bool((np.asarray(Image.open(file).convert("RGB"), float).std((0, 1)) > 1).any())


def stages(out: Path) -> list[Stage]:
    """In their order; the last trainings go on from the bundle."""
    *trained, auxiliary, views, language = (training(name, out) for name in SMALL)
    data = drawing(out, "data", {style: round(count * SCALE) for style, count in COUNTS.items()})
    scenes = [drawing(out, "views_data", dict.fromkeys(VIEW_LOOKS, VIEWS)), auxiliary, views, expert(out)]
    return [data, *trained, bundling(out), language, *scenes, evaluation(out), painting(out)]


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/smoke"), help="where; an unfinished one goes on")
    out: Path = parser.parse_args(arguments).out
    out.mkdir(parents=True, exist_ok=True)
    table = Table("stage", "seconds", "figures")
    try:
        for stage in stages(out):
            start, there = time.monotonic(), stage.result.exists()
            if not there:
                stage.make()
            figures = stage.check()
            table.add_row(stage.name, "-" if there else f"{time.monotonic() - start:.1f}", figures)
    except SfumatoError as error:
        fail(f"{stage.name}: {error}")
    finally:
        Console().print(table)


if __name__ == "__main__":
    main()
