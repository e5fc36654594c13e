"""The heads by which pictures and texts meet:

    python -m recipes.nano.recognition.heads runs/nano/features src/sfumato/data/judge

Trained on the features of fresh renders (`features.py`) and captions of each, by their cosines in a batch; every
tenth render is held out, and of these it is told how often a caption finds its picture among the first ten.
"""

import argparse
import json
from pathlib import Path
from random import Random

import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from recipes.nano.data.captions import LANGUAGES, caption, full_caption
from recipes.nano.recognition.features import Features
from sfumato import Studio
from sfumato.files import sha256
from sfumato.recognition.embedding import DIGEST, HEADS, Heads, text_encoder_file, text_features

CAPTIONS = 1
EVERY = 2
"""Of renders that are no emoji, which are few in kind, every second one is taken."""
HELD_OUT = 10
BATCH = 256
STEPS = 1500
RATE = 2e-3
NOISE = 0.1
"""Of the picture's features in training, in their deviations."""


def chosen(features: Features) -> Features:
    """The renders that are trained and tested on."""
    rows = [k for k, row in enumerate(features.attributes) if "name" in row or k % EVERY == 0]
    return Features(features.embedded[rows], [features.attributes[k] for k in rows])


def captions_of(features: Features) -> list[list[str]]:
    """Of each render: drawn ones, and last the whole ones in English and Chinese."""
    rng = Random(0)
    return [
        [*(caption(row, rng) for _ in range(CAPTIONS)), *(full_caption(row, language) for language in LANGUAGES)]
        for row in features.attributes
    ]


def encoded(texts: list[list[str]], folder: Path) -> Tensor:
    """What the bundled model's text encoder makes of them, (n, captions, d), kept in `folder`."""
    key = sha256(text_encoder_file())[:12]
    file = folder / f"captions-{key}.pt"
    if not file.is_file():
        model = Studio("nano", device="cpu", precision="fp32").load()
        flat = [text for row in texts for text in row]
        with torch.inference_mode():
            parts = [text_features(model, flat[k : k + 64]) for k in range(0, len(flat), 64)]
        torch.save(torch.cat(parts).unflatten(0, (len(texts), -1)).half(), file)
    return torch.load(file, weights_only=True).float()


def train(pictures: Tensor, texts: Tensor) -> Heads:
    """Heads whose cosines tell each picture's caption in a batch from the others', and the other way round."""
    torch.manual_seed(0)
    heads = Heads(pictures.shape[1], texts.shape[2])
    scale = torch.nn.Parameter(torch.tensor(2.6))
    optimizer = torch.optim.AdamW([*heads.parameters(), scale], RATE, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, STEPS)
    deviation = pictures.std(0)
    for _ in range(STEPS):
        rows = torch.randperm(len(pictures))[:BATCH]
        seen = pictures[rows] + NOISE * deviation * torch.randn(BATCH, pictures.shape[1])
        said = texts[rows, torch.randint(texts.shape[1], (BATCH,))]
        logits = scale.clamp(max=4.6).exp() * heads.of_pictures(seen) @ heads.of_texts(said).T
        truth = torch.arange(BATCH)
        loss = (F.cross_entropy(logits, truth) + F.cross_entropy(logits.T, truth)) / 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return heads.eval().requires_grad_(False)


def recall(queries: Tensor, found: Tensor, first: int) -> float:
    """How often row i of `found` is among the `first` nearest to row i of `queries`."""
    cosines = queries @ found.T
    return float(((cosines > cosines.diagonal()[:, None]).sum(1) < first).float().mean())


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("features", type=Path)
    parser.add_argument("target", type=Path)
    given = parser.parse_args()
    features = chosen(Features.read(given.features))
    texts = encoded(captions_of(features), given.features)
    held_out = torch.arange(len(texts)) % HELD_OUT == 0
    heads = train(features.embedded[~held_out], texts[~held_out])
    pictures = heads.of_pictures(features.embedded[held_out])
    figures: dict[str, object] = {"held_out": len(pictures), "train": int((~held_out).sum())}
    for place, language in enumerate(LANGUAGES, CAPTIONS):
        said = heads.of_texts(texts[held_out, place])
        figures[language] = {
            f"{name}@{first}": round(recall(*pair, first), 3)
            for name, pair in {"text to picture": (said, pictures), "picture to text": (pictures, said)}.items()
            for first in (1, 10)
        }
    digest = torch.tensor(list(bytes.fromhex(sha256(text_encoder_file()))), dtype=torch.uint8)
    save_file({**{k: v.half() for k, v in heads.state_dict().items()}, DIGEST: digest}, given.target / HEADS)
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
