"""The recipe with tiny sizes, in seconds, to see that it holds together: `python -m recipes.restore.smoke --out OUT`.

Simulated radiographs alone, so that nothing is fetched; the trainer, its export, and the network applied.
"""

import argparse
import sys
import tomllib
from pathlib import Path

import numpy as np

from recipes.restore.data import radiograph, radiographs, write
from sfumato.restoration import network
from sfumato.restoration.measures import psnr
from sfumato.restoration.noise import Noise
from sfumato.training.loop import LoopConfig, fit
from sfumato.training.restorer import RestorerRun, restorer_task

RECIPE = Path(__file__).parent
LOOP = {
    "steps": 60,
    "batch": 4,
    "accumulate": 1,
    "processes": 1,
    "precision": "fp32",
    "warmup": 6,
    "decay": 30,
    "log_every": 20,
    "validate_every": 60,
    "sheet_every": 60,
    "save_every": 60,
    "ema": 0.9,
}


def smoke(out: Path) -> list[str]:
    """What is not as it should be, a line each."""
    write(radiographs(20), out / "data")
    faults = []
    contest = {"adversarial": {"weight": 0.05, "lead": 2, "channels": (8, 8)}}
    for name, small, loop_of in (
        ("denoiser", {"crop": 48}, {"learning_rate": 3e-3}),  # in so few steps
        ("upscale4", {"crop": 96, **contest}, {}),
    ):
        settings = tomllib.loads((RECIPE / f"{name}.toml").read_text(encoding="utf-8"))
        loop = LoopConfig(**{**settings.pop("loop"), **LOOP, **loop_of, "opponent": {"start": 50}})
        settings |= {**small, "data": out / "data", "channels": (16, 16, 16), "blocks": 1, "validation": 2}
        run = RestorerRun(**settings, loop=loop)
        fit(restorer_task(run, out), loop, out / name, identity={})
        model = network.load(out / name / "export")
        clean = radiograph(7, 64)
        noisy = Noise(25).added(clean, 0)
        made = network.applied(model, noisy if name == "denoiser" else clean[::4, ::4].copy(), Noise(25), tile=32)
        if made.shape != clean.shape or not np.isfinite(made).all():
            faults.append(f"{name}: {made.shape} of {clean.shape}")
        elif name == "denoiser" and psnr(clean, made) < psnr(clean, noisy) + 1:
            faults.append(f"{name}: {psnr(clean, made):.1f} dB, and the noisy picture has {psnr(clean, noisy):.1f}")
    return faults


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    found = smoke(parser.parse_args().out)
    print("\n".join(found) or "the recipe of the restorers holds together")
    sys.exit(1 if found else 0)
