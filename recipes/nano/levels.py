"""What a caption is worth at each noise level: a model's loss on pictures with their captions, with none, and with
another picture's. Where the three agree, training teaches the model nothing about words.

    python -m recipes.nano.levels nano runs/nano/data --kind emoji
"""

import argparse
import random
from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from recipes.nano.data.captions import caption
from sfumato import Studio
from sfumato.families import Model
from sfumato.training.data import Pictures, generator_for
from sfumato.training.objectives import denoising_error, network_input

LEVELS = (0.2, 0.4, 0.6, 0.75, 0.85, 0.92, 0.97, 0.995)


@torch.no_grad()
def loss(model: Model, clean: Float[Tensor, "n c h w"], texts: Sequence[str], sigma: float) -> float:
    """The mean error at one level of a flow in (0, 1), of the same noise each time."""
    kind, noise = model.sampling.parameterisation, torch.randn(clean.shape, generator=generator_for(1))
    errors = []
    for part, drawn, told in zip(clean.split(32), noise.split(32), _split(texts, 32), strict=True):
        levels = torch.full((len(part),), sigma)
        x = kind.path.mix(part, drawn, levels)
        seen = network_input(kind, x, levels).to(model.dtype, memory_format=torch.channels_last)
        output = model.network(seen, model.sampling.schedule.label(levels), model.encode(told))
        errors.append(denoising_error(output, kind, part, x, levels))
    return float(torch.cat(errors).mean())


def _split(texts: Sequence[str], size: int) -> list[Sequence[str]]:
    return [texts[k : k + size] for k in range(0, len(texts), size)]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("data", type=Path)
    parser.add_argument("--kind", default="emoji", help="of pictures")
    parser.add_argument("--count", type=int, default=128)
    arguments = parser.parse_args()
    model, pictures = Studio(arguments.model).load(), Pictures(arguments.data)
    chosen = [i for i in pictures.train.tolist() if pictures.attributes[i]["kind"] == arguments.kind]
    random.Random(0).shuffle(chosen)
    chosen = chosen[: arguments.count]
    words = random.Random(0)
    own = [caption(pictures.attributes[i], words) for i in chosen]
    with torch.no_grad():
        parts = (pictures.pixels(part).to(model.dtype) for part in torch.tensor(chosen).split(32))
        clean = torch.cat([model.autoencoder.encode(part).float() for part in parts])
    print(f"| level | own caption | none | another's | caption takes off |\n{'| --- ' * 5}|")
    for sigma in LEVELS:
        told, untold, wrong = (loss(model, clean, texts, sigma) for texts in (own, [""] * len(own), own[1:] + own[:1]))
        print(f"| {sigma} | {told:.3f} | {untold:.3f} | {wrong:.3f} | {untold - told:.4f} |", flush=True)


if __name__ == "__main__":
    main()
