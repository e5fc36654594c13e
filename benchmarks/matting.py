"""How well subjects are cut out of flat backgrounds: `python -m benchmarks.matting`, from the repository root.

Portraits and characters are rendered without a background, so that their alpha is known, and laid on the colours that
nano's data has; then `sfumato.sprites.cut_out` cuts them out. A row a style: intersection over union at half opacity,
and the mean absolute error of alpha, of all pixels and of those that are partly transparent. Two styles cast shadows,
which are half transparent and stay opaque.
"""

import argparse
from collections import defaultdict
from random import Random

import numpy as np
from PIL import Image, ImageColor
from recipes.nano.data import characters, portraits
from recipes.nano.data.render import Renderer

from sfumato.sprites import cut_out


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=4, help="of each style")
    parser.add_argument("--seed", type=int, default=5)
    options = parser.parse_args()
    rng = Random(options.seed)
    found = defaultdict[str, list[tuple[float, float, float]]](list)
    with Renderer(256) as render:
        for source, styles in ((portraits, portraits.PORTRAIT_STYLES), (characters, characters.CHARACTER_STYLES)):
            for style in (style for style in styles for _ in range(options.count)):
                portrait = source.draw(style, rng)
                ground = ImageColor.getrgb(portrait.options["backgroundColor"][0])
                portrait.options["backgroundColor"] = ["#00000000"]
                rgba = render(portraits.svg(portrait))
                if rgba is None:
                    continue
                alpha = rgba[..., 3] / 255
                laid = (rgba[..., :3] + np.array(ground[:3]) * (1 - alpha[..., None])).clip(0, 255)
                mine = np.asarray(cut_out(Image.fromarray(laid.round().astype(np.uint8))))[..., 3] / 255
                both, either = (alpha > 0.5) & (mine > 0.5), (alpha > 0.5) | (mine > 0.5)
                error, soft = np.abs(mine - alpha), (alpha > 0.02) & (alpha < 0.98)
                found[style].append((float(both.sum() / either.sum()), float(error.mean()), float(error[soft].mean())))
    found["all"] = [row for rows in list(found.values()) for row in rows]
    for style, scores in found.items():
        overlap, error, soft = np.mean(scores, axis=0)
        print(f"{style:12} IoU {overlap:.3f}  alpha error {error:.4f}, of soft pixels {soft:.3f}  ({len(scores)})")


if __name__ == "__main__":
    main()
