"""Diffusion, an adversary and one-step students beside each other: ``python -m recipes.one_step.measure --out FOLDER``.

Each way paints the same held-out captions in two seeds. Of what it paints, the judge of nano's card says:

attributes  share of what the captions ask for that is seen; of the renders themselves, as the autoencoder gives them
            back, it is the most that can be reached
distance    Frechet distance in the judge's features to held-out renders, as many as are painted
diversity   how far two seeds of one caption are apart in the features, in units of the teacher's
nearness    cosine, in the features, to the nearest of the renders to learn from: blurred faces are far from all
seconds     for one picture, warm, from text to pixels, on this machine
"""

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from recipes.judged import embedded, seen
from recipes.nano.data.captions import full_caption
from sfumato import Studio
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
SHOWN = 6
KNOWN = 2000
TEACHER = "diffusion"
STUDENTS = ("consistency", "adversarial", "matching")
RUNS = "runs/one-step"
Options = Mapping[str, Any]


def ways(runs: Path) -> dict[str, tuple[str, Options]]:
    """Name -> model and how it paints, of those that are trained."""
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


def given_back(renders: Sequence[Image.Image], autoencoder: Path) -> list[Image.Image]:
    """Renders as the autoencoder gives them back."""
    model = load_autoencoder(autoencoder)
    with torch.inference_mode():
        decoded = torch.cat([model.decode(model.encode(tensor_of([np.asarray(i)]))) for i in renders])
    return [Image.fromarray(((p.permute(1, 2, 0).clamp(-1, 1) + 1) * 127.5).round().byte().numpy()) for p in decoded]


def measure(
    runs: Path, out: Path, count: int, judged: Path = Path("recipes/nano/judge")
) -> dict[str, dict[str, float]]:
    """Write `table.json` and `sheet.jpg`; returns the table.

    Args:
        count: captions, each in two seeds.
    """
    judge, pictures = load_classifier(JUDGE), Pictures.for_training(runs / "data")

    def renders(indices: Tensor) -> list[Image.Image]:
        return [Image.fromarray(np.asarray(pictures.array[i])) for i in indices.tolist()]

    chosen = pictures.validation[:count]
    asked = [pictures.attributes[i] for i in chosen.tolist()]
    captions = [full_caption(attributes) for attributes in asked]
    held_out = embedded(judge, renders(pictures.validation[: SEEDS * count]))
    known = embedded(judge, renders(pictures.train[:KNOWN]))
    back = given_back(renders(chosen), runs / TEACHER / "export" / "vae")
    table = {"renders": {"attributes": seen(judge, embedded(judge, back), asked)}}
    shown: list[Image.Image] = []
    names: list[str] = []
    for name, (model, options) in ways(runs).items():
        studio = Studio(model)
        requests = [(caption, seed) for caption in captions for seed in range(SEEDS)]
        studio.txt2img(captions[0], seed=0, **options)
        begun = time.perf_counter()
        images = [studio.txt2img(caption, seed=seed, **options).images[0] for caption, seed in requests]
        seconds = (time.perf_counter() - begun) / len(images)
        features = embedded(judge, images)
        table[name] = {
            "attributes": seen(judge, features, [each for each in asked for _ in range(SEEDS)]),
            "distance": frechet(held_out, features),
            "diversity": diversity(features.unflatten(0, (len(captions), SEEDS))),
            "nearness": float(neighbours(features, known, 1).cosine.mean()),
            "seconds": seconds,
        }
        shown += images[: SEEDS * SHOWN]
        names += [name] * len(images[: SEEDS * SHOWN])
    unit = table[TEACHER]["diversity"]
    for row in table.values():
        if "diversity" in row:
            row["diversity"] /= unit
    out.mkdir(parents=True, exist_ok=True)
    contact_sheet(captioned(shown, names), SEEDS * min(SHOWN, count)).save(out / "sheet.jpg", **PAGE)
    write_atomic(out / "table.json", json.dumps(table, indent=1).encode())
    return table


def main() -> None:
    """Print the table as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path(RUNS))
    parser.add_argument("--out", type=Path, required=True, help="the folder of `table.json` and `sheet.jpg`")
    parser.add_argument("--count", type=int, default=96, help="captions, each in two seeds")
    given = parser.parse_args()
    print(json.dumps(measure(given.runs, given.out, given.count), indent=1))


if __name__ == "__main__":
    main()
