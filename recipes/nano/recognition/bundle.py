"""What recognition needs, as it is bundled:

    python -m recipes.nano.recognition.bundle runs/nano/features src/sfumato/data/judge

Of the judge and the features of fresh renders (`features.py`): its weights in a byte each, with a scale for each row;
a temperature for each head (Guo et al. 2017, arXiv:1706.04599), and the words of captions in both languages.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from recipes.nano.data import emoji
from recipes.nano.data.captions import LANGUAGES
from recipes.nano.data.chinese_captions import ALONE as ALONE_ZH
from recipes.nano.data.english_captions import ALONE as ALONE_EN
from recipes.nano.data.english_captions import with_article
from recipes.nano.data.phrasing import plainest
from recipes.nano.data.things import ALONE, APART, FIRST
from recipes.nano.recognition.features import JUDGE, STYLES, Features
from sfumato.checkpoints.classifiers import PART, load_classifier
from sfumato.checkpoints.folder import part_file
from sfumato.checkpoints.tensors import read_tensors
from sfumato.files import write_atomic
from sfumato.models.picture_classifier import PictureClassifier
from sfumato.recognition.judge import WORDS

LARGEST = 127


def stored(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Matrices and kernels as bytes with a scale for each row, see `sfumato.checkpoints.scaled`; vectors as halves."""
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if tensor.ndim < 2:
            found[name] = tensor.half()
            continue
        scale = tensor.float().flatten(1).abs().amax(1).clamp_min(1e-12) / LARGEST
        found[name] = (tensor.float() / scale.reshape(-1, *[1] * (tensor.ndim - 1))).round().to(torch.int8)
        found[f"{name}_scale"] = scale
    return found


def temperatures(judge: PictureClassifier, features: Features, kinds: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """Of each head the one at which its right words are most likely, on renders that have its attribute."""
    answers, found = judge.logits(features.embedded), {}
    for name, words in judge.config.heads:
        rows = [
            k for k, row in enumerate(features.attributes) if name in kinds[row["kind"]] and row.get(name, "") in words
        ]
        if not rows:
            found[name] = 1.0
            continue
        truth = torch.tensor([words.index(features.attributes[k].get(name, "")) for k in rows])
        grid: list[float] = torch.logspace(-0.5, 1, 61).tolist()
        losses = [float(F.cross_entropy(answers[name][rows] / t, truth)) for t in grid]
        found[name] = round(grid[losses.index(min(losses))], 3)
    return found


def words(judge: PictureClassifier, features: Features) -> dict[str, object]:
    """The tables of `sfumato.recognition.captions`: English and Chinese beside each other."""
    english, chinese = LANGUAGES.values()
    classes = judge.config.classes
    kinds: dict[str, dict[str, None]] = {}
    for row in features.attributes:
        kinds.setdefault(row["kind"], {}).update(dict.fromkeys(key for key in row if key in classes))
    things = [key for key in classes if key not in APART and not key.endswith("_color")]
    colours = sorted({word for key in classes if key.endswith("_color") for word in classes[key] if word})
    return {
        "kinds": {kind: [*keys] for kind, keys in kinds.items()},
        "first": [*FIRST],
        "alone": {key: [ALONE_EN.get(key, key), ALONE_ZH[key]] for key in sorted(ALONE)},
        "styles": {style: [each.style(style, plainest) for each in (english, chinese)] for style in STYLES},
        "backgrounds": {
            word: [each.background(word, plainest) for each in (english, chinese)] for word in classes["background"]
        },
        "colours": {
            word: [
                english.background(word, plainest).removesuffix(" background"),
                chinese.background(word, plainest).removesuffix("背景"),
            ]
            for word in colours
        },
        "things": {
            key: {
                word: [each.phrase(key, word, None, plainest) for each in (english, chinese)]
                for word in classes[key]
                if word
            }
            for key in things
        },
        "objects": {each.name: [with_article(each.name), each.name_zh] for each in emoji.load()},
    }


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("features", type=Path)
    parser.add_argument("target", type=Path)
    given = parser.parse_args()
    judge, features = load_classifier(JUDGE), Features.read(given.features)
    table = words(judge, features)
    kinds: Mapping[str, Sequence[str]] = table["kinds"]  # type: ignore[assignment]
    table["temperatures"] = temperatures(judge, features, kinds)
    (given.target / PART).mkdir(parents=True, exist_ok=True)
    write_atomic(given.target / PART / "config.json", (JUDGE / PART / "config.json").read_bytes())
    save_file(stored(read_tensors(part_file(JUDGE / PART))), given.target / PART / "model.safetensors")
    write_atomic(given.target / WORDS, (json.dumps(table, ensure_ascii=False) + "\n").encode())


if __name__ == "__main__":
    main()
