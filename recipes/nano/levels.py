"""What a caption is worth at each noise level: a model's loss on pictures with their captions, with none, and with
another picture's. Where the three agree, training teaches the model nothing about words.

    python -m recipes.nano.levels nano runs/nano/data --kind emoji

Models of other kinds are measured as if they were flows, so that objectives can be compared:

    python -m recipes.nano.levels runs/nano/v/export runs/nano/data --split validation
"""

import argparse
import random
import tomllib
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

import torch
from jaxtyping import Float
from torch import Tensor

from recipes.nano.data.captions import caption
from sfumato import Studio
from sfumato.diffusion.schedules import FlowSchedule
from sfumato.families import Model
from sfumato.training.data import Pictures, generator_for
from sfumato.training.objectives import network_input

SHIFT: float = tomllib.loads(Path(__file__).with_name("denoiser.toml").read_text("utf-8"))["shift"]
EVEN = tuple(FlowSchedule(SHIFT).shifted((torch.arange(8) + 0.5) / 8).tolist())
"""Levels drawn as the recipe draws them."""
LEVELS = (0.2, 0.4, 0.6, 0.75, 0.85, 0.92, 0.97, 0.995)


@torch.no_grad()
def loss(model: Model, clean: Float[Tensor, "n c h w"], texts: Sequence[str], level: float) -> float:
    """The mean squared error of the velocity at one level of a flow in (0, 1), of the same noise each time.

    A model of another kind sees the same mixture of picture and noise on its own path; the velocity is its clean
    estimate's.
    """
    kind, noise = model.sampling.parameterisation, torch.randn(clean.shape, generator=generator_for(1))
    errors = []
    for part, drawn, told in zip(clean.split(32), noise.split(32), _split(texts, 32), strict=True):
        sigma = kind.path.level(torch.full((len(part),), level / (1 - level)))
        x = kind.path.mix(part, drawn, sigma)
        seen = network_input(kind, x, sigma).to(model.dtype, memory_format=torch.channels_last)
        output = model.network(seen, model.sampling.schedule.label(sigma), model.encode(told))
        estimate = kind.scaling(sigma).clean(x, output.float())
        errors.append((estimate - part).square().flatten(1).mean(1) / level**2)
    return float(torch.cat(errors).mean())


def _split(texts: Sequence[str], size: int) -> list[Sequence[str]]:
    return [texts[k : k + size] for k in range(0, len(texts), size)]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("data", type=Path)
    parser.add_argument("--kind", help="of pictures; all without it")
    parser.add_argument("--split", choices=("train", "validation"), default="train")
    parser.add_argument("--count", type=int, default=128)
    arguments = parser.parse_args()
    model, pictures = Studio(arguments.model).load(), Pictures(arguments.data)
    indices = {"train": pictures.train, "validation": pictures.validation}[arguments.split].tolist()
    chosen = [i for i in indices if arguments.kind in (None, pictures.attributes[i]["kind"])]
    random.Random(0).shuffle(chosen)
    chosen = chosen[: arguments.count]
    words = random.Random(0)
    own = [caption(pictures.attributes[i], words) for i in chosen]
    with torch.no_grad():
        parts = (pictures.pixels(part).to(model.dtype) for part in torch.tensor(chosen).split(32))
        clean = torch.cat([model.autoencoder.encode(part).float() for part in parts])
    print(f"| level | own caption | none | another's | caption takes off |\n{'| --- ' * 5}|")
    captions = (own, [""] * len(own), own[1:] + own[:1])
    for name, levels in [*((str(level), (level,)) for level in LEVELS), ("as trained", EVEN)]:
        told, untold, wrong = (fmean(loss(model, clean, texts, level) for level in levels) for texts in captions)
        print(f"| {name} | {told:.3f} | {untold:.3f} | {wrong:.3f} | {untold - told:.4f} |", flush=True)


if __name__ == "__main__":
    main()
