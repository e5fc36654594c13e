"""How well a nano model follows its prompts, on held-out renders; no trained judge, so nothing to calibrate.

    python -m recipes.nano.evaluate runs/nano/denoiser/export --data runs/nano/data

Each held-out render's full caption is painted, and the picture is compared with renders:

- *retrieval*: is the render that the caption describes the nearest (mean absolute difference at 64 px) among it and
  15 others of the same style drawn at random? Chance is 1 in 16. Objects are compared on their own background alike.
- *background*: the median colour of the upper corners against the render's, as CIE76 colour difference; the share
  below 15.
"""

import argparse
import json
import random
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from recipes.nano.data.captions import full_caption
from sfumato import Studio
from sfumato.images import contact_sheet, to_pil
from sfumato.training.data import Pictures

CANDIDATES = 16
SMALL = 64


def small(image: Image.Image) -> np.ndarray:
    """Pixels at 64 px, float."""
    return np.asarray(image.convert("RGB").resize((SMALL, SMALL), Image.Resampling.BOX), dtype=np.float32)


def background(image: Image.Image) -> np.ndarray:
    """CIE L*a*b* of the median of the upper corners (an eighth of the side each)."""
    array = np.asarray(image.convert("RGB"), dtype=np.float64) / 255
    side = array.shape[0] // 8
    corners = np.concatenate([array[:side, :side].reshape(-1, 3), array[:side, -side:].reshape(-1, 3)])
    return lab(np.median(corners, axis=0))


def lab(rgb: np.ndarray) -> np.ndarray:
    """sRGB in [0, 1] to CIE L*a*b* under D65 (IEC 61966-2-1; CIE 15)."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    matrix = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
    xyz = np.array(matrix) @ linear / np.array([0.95047, 1.0, 1.08883])
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def evaluate(studio: Studio, pictures: Pictures, per_style: int, seed: int) -> dict[str, dict[str, float]]:
    """Retrieval and background shares by style, over `per_style` held-out renders each."""
    rng = random.Random(seed)
    held_out: dict[str, list[int]] = defaultdict(list)
    for index in pictures.validation.tolist():
        held_out[pictures.attributes[index]["style"]].append(index)
    results = {}
    for style, indices in sorted(held_out.items()):
        found, coloured = [], []
        for number, index in enumerate(rng.sample(indices, min(per_style, len(indices)))):
            attributes = pictures.attributes[index]
            painted = studio.txt2img(full_caption(attributes), seed=number)[0]
            others = [i for i in indices if full_caption(pictures.attributes[i]) != full_caption(attributes)]
            if attributes["kind"] == "emoji":  # another thing, else a look of the same one would count as wrong
                others = [i for i in others if pictures.attributes[i]["name"] != attributes["name"]]
            candidates = [index, *rng.sample(others, CANDIDATES - 1)]
            renders = [to_pil(pixels) for pixels in pictures.pixels(torch.tensor(candidates))]
            distances = [float(np.abs(small(painted) - small(render)).mean()) for render in renders]
            found.append(int(np.argmin(distances)) == 0)
            coloured.append(float(np.linalg.norm(background(painted) - background(renders[0]))) < 15)
        results[style] = {
            "pictures": len(found),
            "retrieval": sum(found) / len(found),
            "background": sum(coloured) / len(coloured),
        }
    return results


def sheet(studio: Studio, pictures: Pictures, columns: int, seed: int) -> Image.Image:
    """Held-out renders (odd rows) over what the model paints of their captions (even rows); not chosen."""
    rng = random.Random(seed)
    chosen = rng.sample(pictures.validation.tolist(), columns * 3)
    rows: list[Image.Image] = []
    for start in range(0, len(chosen), columns):
        part = chosen[start : start + columns]
        rows += [to_pil(pixels) for pixels in pictures.pixels(torch.tensor(part))]
        rows += [studio.txt2img(full_caption(pictures.attributes[i]), seed=k)[0] for k, i in enumerate(part)]
    return contact_sheet(rows, columns)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a model's name or folder")
    parser.add_argument("--data", type=Path, default=Path("runs/nano/data"))
    parser.add_argument("--per-style", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sheet", type=Path, help="also write renders over paintings to this PNG")
    arguments = parser.parse_args()
    studio, pictures = Studio(arguments.model), Pictures(arguments.data)
    print(json.dumps(evaluate(studio, pictures, arguments.per_style, arguments.seed), indent=1))
    if arguments.sheet:
        sheet(studio, pictures, 8, arguments.seed).save(arguments.sheet)


if __name__ == "__main__":
    main()
