"""Ways of painting beside each other: ``python -m recipes.one_step.measure --out FOLDER``.

Diffusion, an adversary and students of one step on the faces of `recipes.one_step.faces`; with ``--nano`` nano and its
student on all that nano knows. Each way paints the same held-out captions in two seeds. Of what it paints, the judge of
nano's card says:

attributes  share of what the captions ask for that is seen, but for the names of objects; of the renders themselves, as
            the autoencoder gives them back, it is the most that can be reached
objects     share of the names of objects that is seen
distance    Frechet distance in the judge's features to held-out renders, as many as are painted
diversity   how far two seeds of one caption are apart in the features, in units of the teacher's
nearness    cosine, in the features, to the nearest of the renders to learn from: what is blurred is far from all
seconds     for one picture, warm, from text to pixels, on this machine
"""

import argparse
import json
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from recipes.judged import Features, embedded, seen
from recipes.nano.data.captions import full_caption
from sfumato import Studio
from sfumato.checkpoints.catalogue import bundled_folder
from sfumato.checkpoints.classifiers import load_classifier
from sfumato.evaluation.distances import diversity, frechet, neighbours
from sfumato.evaluation.judge import tensor_of
from sfumato.files import write_atomic
from sfumato.images import PAGE, contact_sheet
from sfumato.lettering import captioned
from sfumato.training.data import Pictures
from sfumato.training.latents import load_autoencoder

JUDGE = Path("recipes/nano/judge")
SEEDS = 2
SHOWN = 12
"""Pictures of each way on the sheet."""
KNOWN = 2000
"""Pictures to learn from that are looked at."""
NAME = "name"
TEACHER = "diffusion"
STUDENTS = ("consistency", "adversarial", "matching")
RUNS = "runs/one-step"
Options = Mapping[str, Any]


def faces(runs: Path) -> dict[str, tuple[str, Options]]:
    """Name -> model and how it paints, of those that are trained; the teacher first."""
    teacher, one = str(runs / TEACHER / "export"), {"steps": 1, "guidance": 1.0}
    found: dict[str, tuple[str, Options]] = {
        TEACHER: (teacher, {"steps": 24, "guidance": 3.0}),
        "diffusion, 4 steps": (teacher, {"steps": 4, "guidance": 3.0}),
        "diffusion, 1 step": (teacher, {"steps": 1, "guidance": 3.0}),
        "gan": (str(runs / "gan" / "export"), one),
    }
    for student in STUDENTS:
        file = runs / student / "export" / f"{student}.safetensors"
        found[student] = (teacher, {**one, "sampler": "lcm", "loras": [str(file)]})
    return {
        name: (model, options)
        for name, (model, options) in found.items()
        if Path(model).is_dir() and all(Path(file).is_file() for file in options.get("loras", ()))
    }


def nano(student: Path | None = None) -> dict[str, tuple[str, Options]]:
    """Those of nano, by its bundled student or by a file."""
    fast: Options = {"fast": True}
    if student is not None:
        fast = {"steps": 1, "guidance": 1.0, "sampler": "lcm", "loras": [str(student)]}
    return {"nano": ("nano", {"as_written": True}), "nano-turbo": ("nano", {"as_written": True, **fast})}


def of_each_kind(pictures: Pictures, count: int) -> Tensor:
    """So many held-out pictures of each kind, where there are as many; things are large, as the lexicon asks for
    them."""
    chosen: dict[str, list[int]] = {}
    for i in pictures.validation.tolist():
        shown = pictures.attributes[i]
        if "name" not in shown or shown.get("size") == "large":
            chosen.setdefault(shown["kind"], []).append(i)
    return torch.tensor([i for found in chosen.values() for i in found[:count]])


def given_back(renders: Sequence[Image.Image], autoencoder: Path) -> list[Image.Image]:
    """Renders as the autoencoder gives them back."""
    model = load_autoencoder(autoencoder)
    with torch.inference_mode():
        decoded = torch.cat([model.decode(model.encode(tensor_of([np.asarray(i)]))) for i in renders])
    return [Image.fromarray(((p.permute(1, 2, 0).clamp(-1, 1) + 1) * 127.5).round().byte().numpy()) for p in decoded]


def measure(
    ways: Mapping[str, tuple[str, Options]], pictures: Pictures, chosen: Tensor, autoencoder: Path, out: Path
) -> dict[str, dict[str, float]]:
    """Write `table.json` and `sheet.jpg`; returns the table.

    Args:
        ways: the teacher first.
        chosen: the pictures whose captions are painted.
    """
    judge = load_classifier(JUDGE)
    heads = judge.config.classes.keys() - {NAME}

    def renders(indices: Tensor) -> list[Image.Image]:
        return [Image.fromarray(np.asarray(pictures.array[i])) for i in indices.tolist()]

    def figures(features: Features, asked: Sequence[Mapping[str, str]]) -> dict[str, float]:
        found = {"attributes": seen(judge, features, asked, heads), "objects": seen(judge, features, asked, {NAME})}
        return {name: value for name, value in found.items() if not math.isnan(value)}

    asked = [pictures.attributes[i] for i in chosen.tolist()]
    captions = [full_caption(attributes) for attributes in asked]
    held_out = embedded(judge, renders(pictures.validation[: SEEDS * len(chosen)]))
    known = embedded(judge, renders(pictures.train[:KNOWN]))
    back = embedded(judge, given_back(renders(chosen), autoencoder))
    table = {"renders": figures(back, asked) | {"nearness": float(neighbours(back, known, 1).cosine.mean())}}
    shown: list[Image.Image] = []
    names: list[str] = []
    unit = 1.0
    for name, (model, options) in ways.items():
        studio = Studio(model)
        requests = [(caption, seed) for caption in captions for seed in range(SEEDS)]
        studio.txt2img(captions[0], seed=0, **options)
        begun = time.perf_counter()
        images = [studio.txt2img(caption, seed=seed, **options).images[0] for caption, seed in requests]
        seconds = (time.perf_counter() - begun) / len(images)
        features = embedded(judge, images)
        apart = diversity(features.unflatten(0, (len(captions), SEEDS)))
        unit = apart if len(table) == 1 else unit
        table[name] = {
            **figures(features, [each for each in asked for _ in range(SEEDS)]),
            "distance": frechet(held_out, features),
            "diversity": apart / unit,
            "nearness": float(neighbours(features, known, 1).cosine.mean()),
            "seconds": seconds,
        }
        first = images[:: max(1, len(images) // SHOWN)][:SHOWN]
        shown += first
        names += [name] * len(first)
        print(name, {key: round(value, 3) for key, value in table[name].items()}, flush=True)
    out.mkdir(parents=True, exist_ok=True)
    contact_sheet(captioned(shown, names), len(shown) // len(ways)).save(out / "sheet.jpg", **PAGE)
    write_atomic(out / "table.json", json.dumps(table, indent=1).encode())
    return table


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the folder of `table.json` and `sheet.jpg`")
    parser.add_argument("--runs", type=Path, help="the folder of what was trained, and `data`")
    parser.add_argument("--count", type=int, default=96, help="captions; with --nano, of each kind of picture")
    parser.add_argument("--nano", action="store_true", help="nano and its student")
    parser.add_argument("--student", type=Path, help="in place of the bundled one")
    given = parser.parse_args()
    runs = given.runs or Path("runs/turbo" if given.nano else RUNS)
    pictures = Pictures.for_training(runs / "data")
    if given.nano:
        chosen = of_each_kind(pictures, given.count)
        measure(nano(given.student), pictures, chosen, bundled_folder("nano") / "vae", given.out)
    else:
        chosen = pictures.validation[: given.count]
        measure(faces(runs), pictures, chosen, runs / TEACHER / "export" / "vae", given.out)


if __name__ == "__main__":
    main()
