"""What controls are shown, made of pictures by filters without weights: edges, lines, colours, softness.

Each takes an RGB picture and gives one of the same size. Networks trained on what other programs make of a picture
(HED, OpenPose, depth) take such pictures as they are, with `none`.
"""

from collections.abc import Callable, Mapping

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageFilter, ImageOps
from torch import Tensor

from sfumato.choices import Preprocessor

CANNY = (100.0, 200.0)
"""Thresholds of canny: gradients above the second are edges, above the first if they touch one."""
CELL = 64
"""Pixels a side of a cell of the colour grid."""
BLUR = 9.0
"""Deviation of the blur, in pixels, as the web UI's extension has it."""
LINES, SKETCH = 6.0, 1.6
"""Deviations of what is taken away to leave lines, and of the finer of the two whose difference is a sketch."""


def preprocessed(image: Image.Image, how: Preprocessor) -> Image.Image:
    """A picture as a control is shown it."""
    return PREPROCESSORS[how](image)


def canny(image: Image.Image, low: float = CANNY[0], high: float = CANNY[1]) -> Image.Image:
    """White edges, one pixel wide, on black (Canny 1986), pixel for pixel as OpenCV's `Canny` finds them: Sobel's
    gradients of the channel where they are largest, their sum for a magnitude, and no blur before.
    """
    pixels = torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)[None].double()
    padded = F.pad(pixels, (1, 1, 1, 1), mode="replicate")
    smooth, slope = torch.tensor([1.0, 2.0, 1.0]).double(), torch.tensor([-1.0, 0.0, 1.0]).double()
    kernels = torch.outer(smooth, slope), torch.outer(slope, smooth)
    gradients = [_filtered(padded, kernel)[0].numpy() for kernel in kernels]
    magnitudes = np.abs(gradients[0]) + np.abs(gradients[1])
    best = magnitudes.argmax(0)[None]  # of equal ones the first
    dx, dy, magnitude = (np.take_along_axis(each, best, 0)[0] for each in (*gradients, magnitudes))
    kept = (magnitude > low) & _is_ridge(magnitude, dx, dy)
    return _shown(np.where(_touching(kept, kept & (magnitude > high)), 255, 0))


def _filtered(x: Tensor, kernel: Tensor) -> Tensor:
    """Each channel correlated with a kernel, without padding."""
    channels = x.shape[1]
    return F.conv2d(x, kernel.to(x).expand(channels, 1, *kernel.shape), groups=channels)


TAN_22_5 = 13573
"""In units of 2^-15, as OpenCV rounds it."""


def _is_ridge(magnitude: np.ndarray, dx: np.ndarray, dy: np.ndarray) -> np.ndarray:
    """Where the magnitude is largest along the gradient, whose direction is one of four."""
    around = np.pad(magnitude, 1)

    def neighbour(down: int, right: int) -> np.ndarray:
        height, width = magnitude.shape
        return around[1 + down : 1 + down + height, 1 + right : 1 + right + width]

    x, y = np.abs(dx), np.abs(dy) * 2**15
    flat, steep = x * TAN_22_5, x * TAN_22_5 + x * 2**16
    rising = np.where((dx < 0) != (dy < 0), -1, 1)
    across = (magnitude > neighbour(0, -1)) & (magnitude >= neighbour(0, 1))
    down = (magnitude > neighbour(-1, 0)) & (magnitude >= neighbour(1, 0))
    falling = (magnitude > neighbour(-1, -1)) & (magnitude > neighbour(1, 1))
    other = (magnitude > neighbour(-1, 1)) & (magnitude > neighbour(1, -1))
    return np.where(y < flat, across, np.where(y > steep, down, np.where(rising > 0, falling, other)))


def _touching(weak: np.ndarray, strong: np.ndarray) -> np.ndarray:
    """The weak ones that are connected, over corners too, with a strong one by weak ones."""
    height, width = weak.shape
    found = strong.copy()
    waiting = list(zip(*np.nonzero(strong), strict=True))
    while waiting:
        row, column = waiting.pop()
        for y in range(max(row - 1, 0), min(row + 2, height)):
            for x in range(max(column - 1, 0), min(column + 2, width)):
                if weak[y, x] and not found[y, x]:
                    found[y, x] = True
                    waiting.append((y, x))
    return found


def _grey(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("L"), np.float32)


def _soft(grey: np.ndarray, deviation: float) -> np.ndarray:
    """Blurred by a Gaussian, edges reflected."""
    radius = min(int(3 * deviation + 0.5), *(side - 1 for side in grey.shape))
    if radius < 1:
        return grey
    places = torch.arange(-radius, radius + 1).float()
    kernel = torch.exp(-(places**2) / (2 * deviation**2))
    kernel = kernel / kernel.sum()
    x = F.pad(torch.from_numpy(grey)[None, None], (radius,) * 4, mode="reflect")
    x = F.conv2d(F.conv2d(x, kernel[None, None, None]), kernel[None, None, :, None])
    return x[0, 0].numpy()


def _shown(values: np.ndarray) -> Image.Image:
    return Image.fromarray(np.clip(values, 0, 255).round().astype(np.uint8)).convert("RGB")


def lineart(image: Image.Image) -> Image.Image:
    """Grey lines on black: what is darker than its surroundings in every channel, by the strength of most of it."""
    channels = np.asarray(image.convert("RGB"), np.float32).transpose(2, 0, 1)
    lines = np.clip(np.min([_soft(channel, LINES) - channel for channel in channels], axis=0), 0, 255)
    counted = lines[lines > 8]
    return _shown(lines / max(16.0, float(np.median(counted)) if counted.size else 0.0) * 127)


def scribble(image: Image.Image) -> Image.Image:
    """Thick white strokes on black: where a finer and a coarser blur differ (Winnemoeller et al. 2012)."""
    grey = _grey(image)
    fine, coarse = _soft(grey, SKETCH / 2), _soft(grey, SKETCH * 2)
    strokes = Image.fromarray(np.where(coarse - fine > 4, 255, 0).astype(np.uint8))
    return strokes.filter(ImageFilter.MaxFilter(3)).convert("RGB")


def softedge(image: Image.Image) -> Image.Image:
    """Broad grey edges on black, of gradients at several scales, the strongest white."""
    grey = _grey(image)
    found = np.zeros_like(grey)
    for deviation in (1.0, 2.0, 4.0):
        rows, columns = np.gradient(_soft(grey, deviation)) if min(grey.shape) > 1 else (found, found)
        found = found + np.hypot(rows, columns) * deviation
    most = float(np.quantile(found, 0.995))
    return _shown(found / most * 255) if most > 1 else _shown(np.zeros_like(grey))


def color(image: Image.Image) -> Image.Image:
    """Cells of one colour each."""
    cells = (max(1, image.width // CELL), max(1, image.height // CELL))
    return image.resize(cells, Image.Resampling.BOX).resize(image.size, Image.Resampling.NEAREST)


def tile(image: Image.Image) -> Image.Image:
    """Without its detail, which is to be painted anew: an eighth of the size and back."""
    small = (max(1, image.width // 8), max(1, image.height // 8))
    return image.resize(small, Image.Resampling.BOX).resize(image.size, Image.Resampling.BICUBIC)


def _same(image: Image.Image) -> Image.Image:
    return image


PREPROCESSORS: Mapping[Preprocessor, Callable[[Image.Image], Image.Image]] = {
    "none": _same,
    "canny": canny,
    "lineart": lineart,
    "scribble": scribble,
    "softedge": softedge,
    "color": color,
    "tile": tile,
    "blur": lambda image: image.filter(ImageFilter.GaussianBlur(BLUR)),
    "invert": ImageOps.invert,
    "segmentation": _same,
}
"""`segmentation` is a picture of a palette, which is enlarged without new colours."""
