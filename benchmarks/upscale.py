"""Enlarging by 4 on pictures that nothing was trained on: `python -m benchmarks.upscale -o docs/upscale.md`.

Photographs of scikit-image and scikit-learn, made small by bicubic resampling; drawings of nano's domain that are held
out, rendered at both sizes; and the same through nano's autoencoder, since that is how nano's own pictures look.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from recipes.nano.data import emoji
from recipes.nano.data.render import COUNTS, Drawing, drawings, jobs, shown
from recipes.restore.data import DRAWN, painted
from tests.restoration.photographs import COLOUR, GREY, photograph

from sfumato import Studio
from sfumato.models.restorer import Restorer
from sfumato.restoration import network
from sfumato.restoration.measures import compared, psnr
from sfumato.restoration.noise import Noise
from sfumato.tasks.enlarging import NETWORKS, RESAMPLINGS, resized

Pixels = Float[np.ndarray, "h w *c"]
SCALE = 4
EVERY = 977
"""Among so many drawings one is taken, so that all styles are."""


def photographs(count: int, side: int) -> Iterator[tuple[Pixels, Pixels]]:
    """Small, and as they were: squares of the middle."""
    for name in (*COLOUR, *GREY)[:count]:
        whole = photograph(name)
        top, left = ((length - side) // 2 for length in whole.shape[:2])
        clean = np.ascontiguousarray(whole[top : top + side, left : left + side])
        small = resized(clean, (side // SCALE, side // SCALE), Image.Resampling.BICUBIC)
        yield (small.clip(0, 1) * 255).round() / 255, clean


def held_out() -> Iterator[Drawing]:
    """Drawings of the validation split, of all styles in turn."""
    every = jobs(COUNTS, 1)
    for place in range(0, EVERY * len(every), EVERY):
        for drawing in drawings(every[place % len(every)], 1, 0):
            if drawing.attributes["split"] == "validation":
                yield drawing


def renders(count: int, side: int) -> Iterator[tuple[Pixels, Pixels]]:
    """Rendered at both sizes; those that are set on a background, by whole pixels, are made small by the mean."""
    for drawing in islice(held_out(), count):
        large = at(drawing, side)
        small = at(drawing, side // SCALE) if drawing.placement is None else mean(large)
        yield small, large


def paintings(count: int) -> Iterator[tuple[Pixels, Pixels]]:
    """Made small, and through nano's autoencoder, latents being as much off as in training."""
    coder, rng = Studio("nano", device="cpu", precision="fp32").load(), torch.Generator().manual_seed(0)
    for drawing in islice(held_out(), count):
        large = at(drawing, DRAWN)
        yield painted(coder, (large * 255).round().astype(np.uint8), rng).astype(np.float32) / 255, large


def mean(large: Pixels) -> Pixels:
    """Of each `SCALE` x `SCALE` pixels, in 8 bits."""
    h, w, c = large.shape
    small = large.reshape(h // SCALE, SCALE, w // SCALE, SCALE, c).mean((1, 3))
    return np.asarray((small * 255).round() / 255, np.float32)


def at(drawing: Drawing, side: int) -> Pixels:
    """A drawing of so many pixels a side."""
    found = shown(drawing, emoji.rasterise_rgba(drawing.svg, side), side)
    assert found is not None
    return np.asarray(found, np.float32) / 255


def methods(weights: Path | None) -> Mapping[str, Callable[[Pixels], Pixels]]:
    """All that are there, by name."""
    found: dict[str, Callable[[Pixels], Pixels]] = {name: partial(_resampled, how) for name, how in RESAMPLINGS.items()}
    folders = {name: network.folder_of(sort) for name, sort in NETWORKS.items()} | (
        {"given": weights} if weights else {}
    )
    for name, folder in folders.items():
        if folder is not None:
            found[name] = partial(_by_network, network.load(folder))
    return found


def _by_network(model: Restorer, small: Pixels) -> Pixels:
    return network.applied(model, small, Noise(0.0))


def _resampled(how: Image.Resampling, small: Pixels) -> Pixels:
    return resized(small, (small.shape[1] * SCALE, small.shape[0] * SCALE), how)


def measured(side: int, each: int, weights: Path | None) -> list[list[str]]:
    """The rows of the table."""
    rows = []
    kinds = {"photographs": photographs(each, side), "renders": renders(each, 2 * side), "paintings": paintings(each)}
    for kind, pairs in kinds.items():
        sums: dict[str, list[list[float]]] = {}
        for small, clean in pairs:
            for name, function in methods(weights).items():
                since = time.perf_counter()
                made = np.clip(function(small), 0, 1)
                seconds = time.perf_counter() - since
                again = resized(made, (small.shape[1], small.shape[0]), Image.Resampling.BICUBIC)
                figures = compared(clean, made)
                sums.setdefault(name, []).append([*figures.values(), min(psnr(small, again), 99.0), seconds])
            print(kind, {name: round(values[-1][0], 2) for name, values in sums.items()}, file=sys.stderr, flush=True)
        for name, values in sums.items():
            p, s, g, c, t = np.mean(values, 0)
            rows.append([kind, name, f"{p:.2f}", f"{s:.4f}", f"{g:.4f}", f"{c:.1f}", f"{t:.2f}"])
    return rows


def page(rows: list[list[str]], side: int, each: int) -> str:
    """The page."""
    lines = [
        "# Enlarging by 4, measured",
        "",
        f"Written by `python -m benchmarks.upscale`: {each} photographs of scikit-image and scikit-learn, {side} px of",
        f"their middle, made small by bicubic resampling; {each} held-out drawings of nano's domain, rendered at",
        f"{2 * side // SCALE} and {2 * side} px; and these as nano would paint them, at {DRAWN // SCALE} px through",
        f"its autoencoder, against renders at {DRAWN} px. GMSD is a perceptual distance, the lower the nearer;",
        "consistency the PSNR of the result, made small again, to what was given. Seconds of one thread of a shared",
        "2-core machine.",
        "",
        "| pictures | method | PSNR, dB | SSIM | GMSD | consistency, dB | seconds |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
        *(f"| {' | '.join(row)} |" for row in rows),
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--side", type=int, default=256, help="of photographs, in pixels")
    parser.add_argument("--each", type=int, default=8)
    parser.add_argument("--weights", type=Path, help="export of a run, beside what is bundled")
    options = parser.parse_args()
    found = measured(options.side, options.each, options.weights)
    options.out.write_text(page(found, options.side, options.each), encoding="utf-8")
