"""How well autoencoders restore held-out pictures: figures, and a sheet of crops for the eye.

    python -m recipes.nano.compare_autoencoders runs/nano/grow/export/vae runs/nano/finish/export/vae \\
        --data runs/nano/data --classifier runs/nano/classifier/export --sheet decoders.png

Prints a JSON object a folder: means over the same pictures of PSNR in dB, SSIM and, with a classifier, perceptual
distance. Each row of the sheet is the middle of a picture: the original, then each folder's in the order given.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from sfumato.checkpoints.classifiers import load_classifier
from sfumato.images import contact_sheet, to_pil
from sfumato.models.autoencoder_fold import AutoencoderFold
from sfumato.models.picture_classifier import PictureClassifier
from sfumato.training.autoencoder import compare
from sfumato.training.data import Pictures, generator_for
from sfumato.training.latents import load_autoencoder


def held_out(pictures: Pictures, count: int, seed: int) -> Float[Tensor, "n 3 h w"]:
    """`count` held-out pictures (all if there are fewer), drawn by the seed; pixels in [-1, 1]."""
    indices = pictures.validation
    return pictures.pixels(indices[torch.randperm(len(indices), generator=generator_for(seed))[:count]])


@torch.no_grad()
def restore(model: AutoencoderFold, pixels: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
    """Encoded and decoded, clamped to [-1, 1]."""
    return torch.cat([model.decode(model.encode(part)).clamp(-1, 1) for part in pixels.split(8)])


@torch.no_grad()
def figures(pixels: Tensor, restored: Tensor, classifier: PictureClassifier | None) -> dict[str, float]:
    """The means of `compare` over the pictures."""
    parts = [compare(p, r, classifier) for p, r in zip(pixels.split(8), restored.split(8), strict=True)]
    return {name: round(float(torch.cat([part[name] for part in parts]).mean()), 4) for name in parts[0]}


def sheet(pixels: Tensor, candidates: Sequence[Tensor], rows: int, crop: int, zoom: int) -> Image.Image:
    """A row a picture: the middle `crop` pixels of the original and of each candidate, `zoom` times as large."""
    top, left = (pixels.shape[2] - crop) // 2, (pixels.shape[3] - crop) // 2
    cut = [
        to_pil(each[row, :, top : top + crop, left : left + crop])
        for row in range(min(rows, len(pixels)))
        for each in (pixels, *candidates)
    ]
    large = [image.resize((image.width * zoom, image.height * zoom), Image.Resampling.NEAREST) for image in cut]
    return contact_sheet(large, columns=1 + len(candidates))


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+", help="`vae` folders")
    parser.add_argument("--data", type=Path, default=Path("runs/nano/data"))
    parser.add_argument("--classifier", type=Path, help="a classifier's export, for the perceptual distance")
    parser.add_argument("--count", type=int, default=256, help="pictures for the figures")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sheet", type=Path, help="write the crops to this PNG")
    parser.add_argument("--rows", type=int, default=6)
    parser.add_argument("--crop", type=int, default=96, help="pixels a side")
    parser.add_argument("--zoom", type=int, default=2)
    given = parser.parse_args(arguments)
    pixels = held_out(Pictures(given.data), given.count, given.seed)
    classifier = None if given.classifier is None else load_classifier(given.classifier)
    candidates = [restore(load_autoencoder(folder), pixels) for folder in given.folders]
    for folder, restored in zip(given.folders, candidates, strict=True):
        print(json.dumps({"folder": str(folder), **figures(pixels, restored, classifier)}))
    if given.sheet is not None:
        sheet(pixels, candidates, given.rows, given.crop, given.zoom).save(given.sheet, optimize=True)


if __name__ == "__main__":
    main()
