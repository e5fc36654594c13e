"""Every method of fine-tuning on nano for a few steps: ``python -m recipes.teach.smoke --out runs/smoke-teach``.

What comes of it paints nothing new. Checked is that each run ends, its file fits nano and acts, and its loss is a
number; the first that does not ends with exit code 1.
"""

import argparse
import math
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recipes.teach.pictures import SUBJECT, draw
from sfumato.adapters.report import examine
from sfumato.adapters.trained import METHODS
from sfumato.checkpoints.catalogue import bundled_folder
from sfumato.errors import SfumatoError
from sfumato.training.run import train
from sfumato.training.teach import toml
from sfumato.training.tracking import read_log

STEPS = 2
WORD = {"word": "inkling", "vectors": 2, "initial": "portrait"}


def runs() -> Mapping[str, dict[str, Any]]:
    """What differs in each."""
    adapters: dict[str, dict[str, Any]] = {method: {"adapter": {"method": method, "rank": 2}} for method in METHODS}
    return {
        **adapters,
        "word": {"adapter": False, "word": WORD},
        "pivotal": {"adapter": {"rank": 2}, "word": WORD},
    }


def main() -> int:
    """Run them all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/smoke-teach"))
    given = parser.parse_args()
    photos = given.out / "photos"
    photos.mkdir(parents=True, exist_ok=True)
    for number, (picture, caption) in enumerate(draw(4, size=128)):
        picture.save(photos / f"{number}.png")
        (photos / f"{number}.txt").write_text(caption)
    for name, changes in runs().items():
        begun = time.monotonic()
        loop = {"steps": STEPS, "batch": 1, "warmup": 1, "precision": "fp32", "log_every": 1, "seed": 1}
        values = {
            "task": "adapter",
            "name": name,
            "sources": [{"folder": str(photos.absolute()), "trigger": "inkling", "caption": SUBJECT}],
            "buckets": {"size": 128, "smallest": 64},
            "prompts": ["inkling --s 2 --w 128 --h 128"],
            "draws": 1,
            "validation": 0.25,
            **changes,
            "loop": loop | changes.get("loop", {}),
        }
        file = given.out / f"{name}.toml"
        file.write_text(toml(values))
        try:
            export = train(file, given.out / name)
        except SfumatoError as error:
            print(f"{name}: {error}", file=sys.stderr)
            return 1
        report = examine(export / f"{name}.safetensors", bundled_folder("nano"))
        loss = read_log(given.out / name)[-1]["validation/loss"]
        if not report.good or not any(report.strength.values()) or not math.isfinite(loss):
            print(f"{name}: {report.verdict}; loss {loss}", file=sys.stderr)
            return 1
        print(f"{name}: loss {loss:.3f}, {time.monotonic() - begun:.0f} s, {report.verdict}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
