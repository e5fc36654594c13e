"""How well `portrait --character` keeps a person: `python -m benchmarks.characters`, from the repository root.

Each character is painted as it is and in other clothes, moods and places. What the judge sees of them: the mean cosine
of its features within a character and across characters, how often the nearest other picture is of the same character,
which attributes that were not to change it still sees, and how often it sees those that were asked for.
"""

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np

from sfumato import Studio
from sfumato.checkpoints.catalogue import bundled_folder
from sfumato.images import PAGE, contact_sheet
from sfumato.prompts.builder import character
from sfumato.prompts.vocabulary import Vocabulary
from sfumato.recognition.judge import bundled

CHANGES: tuple[dict[str, str], ...] = (
    {},
    {"mouth": "laugh", "clothing": "hoodie", "clothing_color": "red"},
    {"eyes": "angry eyes", "background": "navy blue"},
    {"mouth": "frown", "background": "yellow"},
    {"clothing": "turtleneck", "clothing_color": "black", "eyes": "winking eye"},
)
"""What is asked of a character, `portrait`'s ``--with``."""


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--characters", type=int, default=6)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--sheet", type=Path, help="write what is painted, a row each")
    options = parser.parse_args()
    vocabulary = Vocabulary.read(bundled_folder("nano"))
    assert vocabulary is not None
    studio, names = Studio(device="cpu", precision="fp32"), [f"person {k}" for k in range(options.characters)]
    pictures, asked, own = [], [], []
    for name in names:
        traits, _ = character(vocabulary, "portrait", name)
        for change in CHANGES:
            words = [f"{key}={value}" for key, value in change.items()]
            pictures.append(studio.portrait(traits=words, character=name, steps=options.steps)[0])
            asked.append(change)
            own.append({key: value for key, value in traits.items() if key not in change})
            print(name, change, flush=True)
    who = np.repeat(np.arange(len(names)), len(CHANGES))
    features = bundled().embed(pictures).double().numpy()
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    cosines, same = features @ features.T, who[:, None] == who
    others = ~np.eye(len(who), dtype=bool)
    nearest = np.where(others, cosines, -2).argmax(1)
    print(f"cosine within a character {cosines[same & others].mean():.3f}, across {cosines[~same].mean():.3f}")
    print(f"nearest other picture is of the same character: {(who[nearest] == who).mean():.0%} of {len(who)}")
    kept, seen = defaultdict[str, list[bool]](list), defaultdict[str, list[bool]](list)
    for found, wanted, fixed in zip(bundled().recognise(pictures), asked, own, strict=True):
        for told, counted in ((fixed, kept), (wanted, seen)):
            for key, value in told.items():
                if key in found.answers:
                    counted[key].append(found.answers[key].word == value)
    for title, counted in (("kept", kept), ("asked for and seen", seen)):
        every = [hit for hits in counted.values() for hit in hits]
        print(f"{title}: {np.mean(every):.0%} of {len(every)}")
        for key, hits in sorted(counted.items(), key=lambda each: -np.mean(each[1])):
            print(f"  {key} {np.mean(hits):.0%} of {len(hits)}")
    if options.sheet is not None:
        small = [each.resize((128, 128)) for each in pictures]
        contact_sheet(small, len(CHANGES)).save(options.sheet, **PAGE)


if __name__ == "__main__":
    main()
