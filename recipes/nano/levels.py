"""What a caption is worth at each noise level: a model's loss on pictures with their captions, with none, and with
another picture's. Where the three agree, training teaches the model nothing about words.

    python -m recipes.nano.levels nano runs/nano/data --kind emoji

Models of other kinds are measured as if they were flows, so that objectives can be compared:

    python -m recipes.nano.levels runs/nano/v/export runs/nano/data --split validation

Whether a model reads one attribute at all: the other picture's caption is then the own one with another word for it.

    python -m recipes.nano.levels nano runs/nano/data --kind planet --key surface --split validation
"""

import argparse
import random
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

import torch
from jaxtyping import Float
from torch import Tensor

from recipes.nano.data.captions import caption, full_caption
from sfumato import Studio
from sfumato.diffusion.schedules import FlowSchedule
from sfumato.model import Model
from sfumato.training.data import Attributes, Pictures, generator_for
from sfumato.training.objectives import network_input

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
        output = model.network(seen, model.sampling.schedule.label(sigma), model.encode_text(told))
        estimate = kind.scaling(sigma).clean(x, output.float())
        errors.append((estimate - part).square().flatten(1).mean(1) / level**2)
    return float(torch.cat(errors).mean())


def as_trained(model: Model) -> list[float]:
    """Eight levels spread as its training drew them; a model of another kind is asked as a plain flow would be."""
    schedule = model.sampling.schedule
    return (
        (schedule if isinstance(schedule, FlowSchedule) else FlowSchedule())
        .shifted((torch.arange(8) + 0.5) / 8)
        .tolist()
    )


def misled(attributes: Attributes, key: str, words: Sequence[str], rng: random.Random) -> str:
    """The picture's full caption, but with another of the words for that attribute."""
    return full_caption({**attributes, key: rng.choice([word for word in words if word != attributes[key]])})


def _split(texts: Sequence[str], size: int) -> list[Sequence[str]]:
    return [texts[k : k + size] for k in range(0, len(texts), size)]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("data", type=Path)
    parser.add_argument("--kind", help="of pictures; all without it")
    parser.add_argument("--split", choices=("train", "validation"), default="train")
    parser.add_argument("--key", help="an attribute that the wrong captions name by another word")
    parser.add_argument("--count", type=int, default=128)
    arguments = parser.parse_args()
    model, pictures = Studio(arguments.model).load(), Pictures(arguments.data)
    indices = {"train": pictures.train, "validation": pictures.validation}[arguments.split].tolist()
    key, rng = arguments.key, random.Random(0)
    chosen = [i for i in indices if arguments.kind in (None, pictures.attributes[i]["kind"])]
    chosen = [i for i in chosen if key is None or pictures.attributes[i].get(key)]
    if len(chosen) < 2:
        parser.error(
            f"fewer than two pictures of kind {arguments.kind} with {key}; see attributes.jsonl for what there is"
        )
    rng.shuffle(chosen)
    chosen = chosen[: arguments.count]
    rows = [pictures.attributes[i] for i in chosen]
    if key is None:
        own = [caption(row, rng) for row in rows]
        wrong = own[1:] + own[:1]
    else:
        words = sorted(
            {str(row[key]) for row in pictures.attributes if row["kind"] == rows[0]["kind"] and row.get(key)}
        )
        own, wrong = [full_caption(row) for row in rows], [misled(row, key, words, rng) for row in rows]
    with torch.no_grad():
        parts = (pictures.pixels(part).to(model.dtype) for part in torch.tensor(chosen).split(32))
        clean = torch.cat([model.autoencoder.encode(part).float() for part in parts])
    title = "another's" if key is None else f"another {key}"
    print(f"| level | own caption | none | {title} | caption takes off | {title} adds |\n{'| --- ' * 6}|")
    for name, levels in [*((str(level), [level]) for level in LEVELS), ("as trained", as_trained(model))]:
        told, untold, misread = (
            fmean(loss(model, clean, texts, level) for level in levels) for texts in (own, [""] * len(own), wrong)
        )
        print(
            f"| {name} | {told:.3f} | {untold:.3f} | {misread:.3f} | {untold - told:.4f} | {misread - told:.4f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
