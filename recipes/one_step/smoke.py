"""All ways of the recipe for a few steps: ``python -m recipes.one_step.smoke --out runs/smoke-one_step``.

Each is the recipe's TOML but for its sizes. What comes of it paints nothing to look at; checked is that each run ends
and that the table has it.
"""

import argparse
import json
import math
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recipes.nano.smoke import merged
from recipes.one_step import faces, measure
from sfumato.errors import SfumatoError
from sfumato.training.data import Pictures
from sfumato.training.run import train
from sfumato.training.teach import toml

RECIPE = Path(__file__).parent
LOOP = {
    **{"steps": 2, "batch": 2, "accumulate": 1, "processes": 1, "warmup": 1, "decay": 0},
    **{"log_every": 1, "validate_every": 2, "sheet_every": 2, "save_every": 2},
}
SHORT: Mapping[str, Any] = {"prompts": ["minimal portrait, black hair"], "loop": LOOP}
NETWORK = {"network": {"channels": [32, 32], "heads": [1, 1]}}
SMALL: Mapping[str, Mapping[str, Any]] = {
    "diffusion": {**SHORT, **NETWORK},
    "gan": {**SHORT, **NETWORK, "adversarial": {"channels": [16, 16]}},
    "consistency": SHORT,
    "adversarial": {**SHORT, "adversarial": {"channels": [8]}},
    "matching": SHORT,
}
"""What is smaller than in the recipe's TOML of that name."""


def main() -> int:
    """Run them all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/smoke-one_step"))
    out: Path = parser.parse_args().out
    faces.make(out, count=60, photos=2)
    for name, changes in SMALL.items():
        settings = tomllib.loads((RECIPE / f"{name}.toml").read_text("utf-8").replace(measure.RUNS, out.as_posix()))
        file = out / f"{name}.toml"
        file.write_text(toml(merged(settings, changes)), "utf-8")
        try:
            train(file, out / name)
        except SfumatoError as error:
            print(f"{name}: {error}", file=sys.stderr)
            return 1
    pictures = Pictures.for_training(out / "data")
    vae = out / measure.TEACHER / "export" / "vae"
    table = measure.measure(measure.faces(out), pictures, pictures.validation[:1], vae, out / "table")
    print(json.dumps(table, indent=1))
    whole = all(map(math.isfinite, (value for row in table.values() for value in row.values())))
    return 0 if whole and {*SMALL} < {*table} else 1


if __name__ == "__main__":
    sys.exit(main())
