"""Blur and JPEG mended, measured against known ones: `python -m benchmarks.enhance -o docs/enhance.md`.

scikit-image's and scikit-learn's photographs, cut to squares, blurred by SciPy's Gaussian, with Gaussian noise.
Wiener's filter is scikit-image's that tunes itself (Orieux, Giovannelli and Rodet 2010), and is told the blur.
"""

import argparse
import io
from pathlib import Path

import numpy as np
from jaxtyping import Float
from PIL import Image
from scipy.ndimage import gaussian_filter
from skimage.restoration import unsupervised_wiener
from tests.restoration.photographs import COLOUR, GREY, photograph

from sfumato.comparison import side_by_side
from sfumato.restoration import blur, network
from sfumato.restoration.classical import CLASSICAL
from sfumato.restoration.jpeg import unblocked
from sfumato.restoration.measures import compared
from sfumato.restoration.noise import LEVELS, Noise, patch_level
from sfumato.tasks.raster import eight_bit

Pixels = Float[np.ndarray, "h w *c"]
BLURS = ((1.6, 2.55), (2.5, 7.65))
"""Width in pixels, and noise of 255 levels."""
QUALITIES = (10, 30)


def wiener(seen: Pixels, width: float) -> Pixels:
    """Wiener's filter, plane by plane."""
    side = np.arange(-round(4 * width), round(4 * width) + 1)
    kernel = np.exp(-(side[:, None] ** 2 + side**2) / (2 * width**2))
    kernel /= kernel.sum()
    planes = np.atleast_3d(seen)
    found = [unsupervised_wiener(planes[..., c], kernel, clip=False, rng=0)[0] for c in range(planes.shape[2])]
    return np.asarray(np.stack(found, 2).reshape(seen.shape), np.float32)


def priors() -> dict[str, blur.Prior]:
    """Denoisers by name, as `sfumato enhance` takes them."""

    def half(name: str) -> blur.Prior:
        return lambda x, level: CLASSICAL[name](x, level / 2)  # type: ignore[index]

    found = {"nlm": half("nlm"), "tv": half("tv")}
    if (folder := network.folder_of("denoise")) is not None:
        model = network.load(folder)
        found["ours"] = lambda x, level: network.applied(model, x, Noise(level * LEVELS))
    return found


def measured(side: int, each: int) -> tuple[list[str], dict[str, Image.Image]]:
    """The rows of the page, and a picture before and after."""
    names = (*COLOUR[:each], *GREY[:each])
    cuts = []
    for name in names:
        whole = photograph(name)
        top, left = ((length - side) // 2 for length in whole.shape[:2])
        cuts.append(np.ascontiguousarray(whole[top : top + side, left : left + side]))
    rows, views = [], {}
    for width, level in BLURS:
        sums: dict[str, list[dict[str, float]]] = {}
        widths = []
        for k, clean in enumerate(cuts):
            soft = gaussian_filter(clean, (width, width, 0)[: clean.ndim], mode="reflect")
            seen = Noise(level).added(soft, k)
            noise = max(patch_level(seen), 0.5 / LEVELS)
            widths.append(blur.width(seen, noise))
            made = {"as given": seen, "Wiener": wiener(seen, width)}
            made |= {name: blur.deblurred(seen, width, noise, prior) for name, prior in priors().items()}
            for name, pixels in made.items():
                sums.setdefault(name, []).append(compared(clean, pixels.clip(0, 1)))
            if (width, level) == BLURS[0] and k == 2:
                views = {name: eight_bit(pixels) for name, pixels in {"clean": clean, **made}.items()}
        for name, found in sums.items():
            rows.append(_row(f"blur {width} px, noise {level}", name, found))
        rows.append(
            f"| blur {width} px, noise {level} | (width as estimated, median) | {np.median(widths):.2f} px | | |"
        )
    for quality in QUALITIES:
        sums = {}
        for clean in cuts:
            buffer = io.BytesIO()
            eight_bit(clean).save(buffer, "JPEG", quality=quality)
            seen = np.asarray(Image.open(buffer), np.float32) / 255
            for name, pixels in (("as given", seen), ("--jpeg", unblocked(seen, buffer.getvalue(), "x.jpg"))):
                sums.setdefault(name, []).append(compared(clean, pixels))
        rows += [_row(f"JPEG of quality {quality}", name, found) for name, found in sums.items()]
    return rows, views


def _row(what: str, name: str, found: list[dict[str, float]]) -> str:
    p, s, g = (np.mean([each[key] for each in found]) for key in ("psnr", "ssim", "gmsd"))
    return f"| {what} | {name} | {p:.2f} | {s:.4f} | {g:.4f} |"


def page(rows: list[str], side: int, each: int) -> str:
    """The page."""
    return "\n".join(
        [
            "# Enhancement, measured",
            "",
            f"Written by `python -m benchmarks.enhance`: {each} photographs in colour, {each} in grey, of scikit-image",
            f"and scikit-learn, {side} x {side} px of their middle. Wiener's filter tunes itself (Orieux et al. 2010);",
            "nlm, tv and ours are the priors of `sfumato enhance --deblur`, by half-quadratic splitting. All are told",
            "the width of the blur; the noise is estimated. GMSD is a perceptual distance (Xue et al. 2014): lower",
            "looks nearer.",
            "",
            "![blurred, and deblurred](pictures/deblurred.webp)",
            "",
            "| picture | method | PSNR, dB | SSIM | GMSD |",
            "| --- | --- | ---: | ---: | ---: |",
            *rows,
            "",
        ]
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--side", type=int, default=192)
    parser.add_argument("--each", type=int, default=4)
    options = parser.parse_args()
    found, shown = measured(options.side, options.each)
    options.out.write_text(page(found, options.side, options.each), encoding="utf-8")
    side_by_side(shown).save(options.out.parent / "pictures" / "deblurred.webp", quality=85)
