"""Denoisers side by side on photographs that nothing was trained on: `python -m benchmarks.restore -o docs/restore.md`.

scikit-image's and scikit-learn's photographs, cut to squares, with Gaussian noise that is neither clipped nor rounded.
Every denoiser is told the level. BM3D is measured where its package is installed; its licence is for non-commercial
use, so that it is no extra of ours.
"""

import argparse
import importlib.util
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import Float
from tests.restoration.photographs import COLOUR, GREY, photograph

from sfumato.restoration import network
from sfumato.restoration.classical import CLASSICAL
from sfumato.restoration.measures import psnr, ssim
from sfumato.restoration.noise import LEVELS, Noise, patch_level

Pixels = Float[np.ndarray, "h w *c"]
SIGMAS = (15, 25, 50)


def methods(weights: Path | None) -> dict[str, Callable[[Pixels, float], Pixels]]:
    """All that are there, by name, taking a picture and the level of its noise in units of the pixels."""
    found: dict[str, Callable[[Pixels, float], Pixels]] = {str(name): method for name, method in CLASSICAL.items()}
    if importlib.util.find_spec("bm3d") is not None:
        from bm3d import bm3d, bm3d_rgb

        found["BM3D"] = lambda x, sigma: np.asarray((bm3d_rgb if x.ndim == 3 else bm3d)(x, sigma), np.float32)
    folder = weights or network.folder_of("denoise")
    if folder is not None:
        model = network.load(folder)
        found["ours"] = lambda x, sigma: network.applied(model, x, Noise(sigma * LEVELS))
        found["ours, ensemble"] = lambda x, sigma: network.ensembled(model, x, Noise(sigma * LEVELS))
    return found


def measured(side: int, each: int, weights: Path | None) -> list[list[str]]:
    """The rows of the table."""
    rows = []
    for kind, names in (("colour", COLOUR[:each]), ("grey", GREY[:each])):
        for sigma in SIGMAS:
            sums: dict[str, list[tuple[float, float, float]]] = {}
            levels = []
            for k, name in enumerate(names):
                whole = photograph(name)
                top, left = (max(0, (length - side) // 2) for length in whole.shape[:2])
                clean = np.ascontiguousarray(whole[top : top + side, left : left + side])
                noisy = Noise(sigma).added(clean, k)
                levels.append(LEVELS * patch_level(noisy))
                for method, function in methods(weights).items():
                    since = time.perf_counter()
                    found = function(noisy, sigma / LEVELS).clip(0, 1)
                    seconds = time.perf_counter() - since
                    sums.setdefault(method, []).append((psnr(clean, found), ssim(clean, found), seconds))
                print(kind, sigma, name, file=sys.stderr, flush=True)
            for method, values in sums.items():
                p, s, t = np.mean(values, 0)
                rows.append([kind, str(sigma), method, f"{p:.2f}", f"{s:.4f}", f"{t:.2f}"])
            rows.append([kind, str(sigma), "(sigma as estimated, median)", f"{np.median(levels):.1f}", "", ""])
    return rows


def page(rows: list[list[str]], side: int, each: int) -> str:
    """The page."""
    lines = [
        "# Restoration, measured",
        "",
        f"Written by `python -m benchmarks.restore`: {each} photographs in colour, {each} in grey, of scikit-image and",
        f"scikit-learn, {side} x {side} px of their middle, on one thread of a shared 2-core machine. Gaussian noise,",
        "neither clipped nor rounded; every method is told the level. Published on grey Set12, sigma 25: BM3D 29.97,",
        "DnCNN 30.44, DRUNet 30.94 dB. BM3D's package is for non-commercial use and no part of sfumato.",
        "",
        "| pictures | sigma | method | PSNR, dB | SSIM | seconds |",
        "| --- | ---: | --- | ---: | ---: | ---: |",
        *(f"| {' | '.join(row)} |" for row in rows),
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--side", type=int, default=192)
    parser.add_argument("--each", type=int, default=4)
    parser.add_argument("--weights", type=Path, help="export of a run, in place of what is bundled")
    options = parser.parse_args()
    found = measured(options.side, options.each, options.weights)
    options.out.write_text(page(found, options.side, options.each), encoding="utf-8")
