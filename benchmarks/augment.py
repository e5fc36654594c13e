"""Whether painted pictures help a small classifier: `python -m benchmarks.augment -o docs/augment.md`.

Objects of nano's domain, rendered; 5, 10 or 20 pictures a class to learn from, each set part of the next, and others,
never trained on, to test with. Four ways to make more of them: none; classical, that is flips, shifts, sizes, colours
and RandAugment's operations (Cubuk et al. 2020, arXiv:1909.13719), drawn anew each time a picture is seen; generative,
that is what `sfumato.augmentation` paints of the smallest set; and both. Each is trained with three seeds for as many
steps. What is done stands in `--work`, so that the command goes on where it was stopped.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from itertools import pairwise, product
from pathlib import Path
from random import Random
from textwrap import fill

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageEnhance, ImageOps
from recipes.nano.data import emoji
from recipes.nano.data.render import Job
from torch import Tensor, nn

from benchmarks.classify import interval, rendered
from sfumato import Studio
from sfumato.augmentation.augment import augment
from sfumato.augmentation.classes import read_classes
from sfumato.augmentation.plan import Plan
from sfumato.decoding import pictures_in

SIDE = 64
COUNTS = (5, 10, 20)
WAYS = ("none", "classical", "generative", "both")
SEEDS = (0, 1, 2)
STEPS, BATCH = 120, 24
CHOICE = 3
"""Draws the classes among all objects."""


def classes(count: int) -> dict[str, int]:
    """Objects that both looks have, by name."""
    everything = emoji.load()
    places = Random(CHOICE).sample([k for k, each in enumerate(everything) if len(each.bodies) == 2], count)
    return {everything[place].name: place for place in places}


def prepare(work: Path, count: int, tests: int) -> None:
    """Render what is learned from (`train/CLASS`) and what is tested with (`test/CLASS`), where it is not there."""
    for (name, place), (part, seed, number) in product(
        classes(count).items(), (("train", 0, COUNTS[-1]), ("test", 1, tests))
    ):
        folder = work / part / name
        folder.mkdir(parents=True, exist_ok=True)
        for k in range(len(pictures_in(folder)), number):
            look = list(emoji.PICTURES)[k % 2]
            Image.fromarray(rendered(Job(look, place), 10 * seed + k // 12, k % 12)).save(folder / f"{k:03d}.png")


def paint(work: Path, per_class: int, steps: int) -> None:
    """Make the smallest set larger, into `painted`."""
    small = work / "small"
    for folder in sorted((work / "train").iterdir()):
        target = small / folder.name
        target.mkdir(parents=True, exist_ok=True)
        for file in pictures_in(folder)[: COUNTS[0]]:
            (target / file.name).write_bytes(file.read_bytes())
    plan = Plan(COUNTS[0] + per_class, method="mix", strength=0.6, options={"steps": steps})
    for attempt in augment(Studio("nano", device="cpu", precision="fp32"), read_classes(small), work / "painted", plan):
        print(attempt.label, attempt.number, attempt.reason or "kept", flush=True)


def loaded(files: Sequence[Path]) -> list[Image.Image]:
    """Small RGB pictures."""
    return [Image.open(file).convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX) for file in files]


OPERATIONS: Sequence[Callable[[Image.Image, float], Image.Image]] = (
    lambda x, a: x.rotate(30 * a, fillcolor=(128, 128, 128)),
    lambda x, a: x.transform(x.size, Image.Transform.AFFINE, (1, 0.3 * a, 0, 0, 1, 0), fillcolor=(128, 128, 128)),
    lambda x, a: ImageEnhance.Color(x).enhance(1 + 0.9 * a),
    lambda x, a: ImageEnhance.Contrast(x).enhance(1 + 0.6 * a),
    lambda x, a: ImageEnhance.Brightness(x).enhance(1 + 0.5 * a),
    lambda x, a: ImageOps.posterize(x, 8 - round(4 * abs(a))),
    lambda x, a: ImageOps.solarize(x, 256 - round(100 * abs(a))),
    lambda x, a: ImageOps.autocontrast(x),
)


def classical(image: Image.Image, rng: Random) -> Image.Image:
    """Flipped, cut, and two of RandAugment's operations."""
    if rng.random() < 0.5:
        image = ImageOps.mirror(image)
    side = round(SIDE * rng.uniform(0.75, 1))
    x, y = rng.randint(0, SIDE - side), rng.randint(0, SIDE - side)
    image = image.crop((x, y, x + side, y + side)).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    for operation in rng.sample(OPERATIONS, 2):
        image = operation(image, rng.uniform(-1, 1))
    return image


def tensor(images: Sequence[Image.Image]) -> Tensor:
    """(n, 3, h, w) in [-1, 1]."""
    stacked = np.stack([np.asarray(image, np.float32) for image in images])
    return torch.from_numpy(stacked).permute(0, 3, 1, 2) / 127.5 - 1


def network(count: int) -> nn.Module:
    """Four convolutions and a linear layer: 140,000 weights."""
    widths, layers = (3, 24, 48, 96, 96), []
    for a, b in pairwise(widths):
        layers += [nn.Conv2d(a, b, 3, stride=2, padding=1), nn.BatchNorm2d(b), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(96, count))


def trained(work: Path, way: str, count: int, seed: int) -> tuple[int, int]:
    """How many of the test pictures a classifier gets right that learned so, and how many there are."""
    torch.manual_seed(seed)
    rng = Random(f"{way} {count} {seed}")
    names = sorted(folder.name for folder in (work / "train").iterdir())
    pictures: list[tuple[Image.Image, int]] = []
    for label, name in enumerate(names):
        files = pictures_in(work / "train" / name)[:count]
        if way in ("generative", "both"):
            files = files + [each for each in pictures_in(work / "painted" / name) if each.name.startswith("painted-")]
        pictures += [(image, label) for image in loaded(files)]
    model = network(len(names))
    optimizer = torch.optim.AdamW(model.parameters(), 2e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=STEPS)
    for _ in range(STEPS):
        chosen = [pictures[rng.randrange(len(pictures))] for _ in range(BATCH)]
        seen = [classical(image, rng) if way in ("classical", "both") else image for image, _ in chosen]
        loss = F.cross_entropy(model(tensor(seen)), torch.tensor([label for _, label in chosen]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    model.eval()
    right = total = 0
    with torch.inference_mode():
        for label, name in enumerate(names):
            found = model(tensor(loaded(pictures_in(work / "test" / name)))).argmax(1)
            right, total = right + int((found == label).sum()), total + len(found)
    return right, total


def measure(work: Path) -> None:
    """Train what is not in `results.jsonl` yet."""
    file = work / "results.jsonl"
    done = {tuple(row[:3]) for row in _rows(file)}
    for count, way, seed in product(COUNTS, WAYS, SEEDS):
        if (way, count, seed) in done:
            continue
        right, total = trained(work, way, count, seed)
        with file.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps([way, count, seed, right, total]) + "\n")
        print(way, count, seed, f"{right / total:.3f}", flush=True)


def _rows(file: Path) -> list[list[str | int]]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()] if file.is_file() else []


def page(work: Path) -> str:
    """The page."""
    rows = _rows(work / "results.jsonl")
    facts = json.loads((work / "painted" / "augment.json").read_text("utf-8"))["classes"]
    painted = sum(each["painted"] for each in facts.values())
    left: dict[str, int] = {}
    for each in facts.values():
        for reason, number in each["left_out"].items():
            left[reason] = left.get(reason, 0) + number
    tests = rows[0][4]
    mean: dict[tuple[str, int], float] = {}
    table = []
    for way in WAYS:
        cells = [way]
        for count in COUNTS:
            right = [int(row[3]) for row in rows if row[:2] == [way, count]]
            if not right:
                cells.append("not measured")
                continue
            mean[way, count] = sum(right) / len(right) / int(tests)
            shares = ", ".join(f"{100 * each / int(tests):.1f}" for each in right)
            cells.append(f"{interval(round(sum(right) / len(right)), int(tests))}; {shares}")
        table.append(f"| {' | '.join(cells)} |")
    gains = []
    for count in COUNTS:
        if all((way, count) in mean for way in WAYS):
            alone = 100 * (mean["generative", count] - mean["none", count])
            beside = 100 * (mean["both", count] - mean["classical", count])
            gains.append(f"{count} a class: {alone:+.1f} points alone, {beside:+.1f} beside classical expansion")
    reasons = ", ".join(f"{number} ({why})" for why, number in left.items()) or "none"
    about = (
        f"Written by `python -m benchmarks.augment`: {len(facts)} objects of nano's domain ({', '.join(facts)}), a "
        f"classifier of 140,000 weights at {SIDE} px, {STEPS} steps of {BATCH} pictures, tested with {tests} renders "
        f"that it was not trained on. {painted} pictures were painted of the {COUNTS[0]} of each class, the same for "
        f"all sizes; left out: {reasons}. Accuracy in %: the mean of three seeds with the interval of 95 % of as many "
        "test pictures (Wilson), then each seed."
    )
    found = (
        f"What painted pictures add: {'; '.join(gains)}. nano was trained on these objects, so that it knows more than "
        "the classifier is shown: of a world that the painter does not know, less can be hoped for."
    )
    return f"""# Do painted pictures help a classifier?

{fill(about, 120)}

| expansion | {" | ".join(f"{count} a class" for count in COUNTS)} |
| --- |{" --- |" * len(COUNTS)}
{chr(10).join(table)}

{fill(found, 120)}
"""


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("runs/augment"))
    parser.add_argument("--classes", type=int, default=5)
    parser.add_argument("--tests", type=int, default=24, help="pictures of each class to test with")
    parser.add_argument("--painted", type=int, default=8, help="pictures of each class to paint")
    parser.add_argument("--steps", type=int, default=6, help="of each painting")
    options = parser.parse_args()
    prepare(options.work, options.classes, options.tests)
    paint(options.work, options.painted, options.steps)
    measure(options.work)
    options.out.write_text(page(options.work), encoding="utf-8")
