"""What approximations cost and lose: time and distance of nano's pictures, each beside the exact one of its seed.

    python -m benchmarks.fast --prompts 2 --seeds 2

The loss is the mean difference of pixels from the exact picture, as a share of the mean difference between exact
pictures of two seeds: 0 is the same picture, 1 another one. Time is that of sampling; the order turns from seed to
seed.
"""

import argparse
import json
import statistics
from itertools import combinations
from typing import Any

import numpy as np
from PIL import Image

from sfumato import Studio

PROMPTS = ("a red apple on a green background", "a yellow bird, white background", "a cat with a blue hat")
EXACT = "exact"
WAYS: dict[str, dict[str, Any]] = {
    EXACT: {},
    "deep cache 2": {"deep_cache": 2},
    "deep cache 3": {"deep_cache": 3},
    "two thirds of the steps": {"steps": 16},
    "two thirds, deep cache 2": {"steps": 16, "deep_cache": 2},
    "fast": {"fast": True},
}


def distance(one: Image.Image, other: Image.Image) -> float:
    """The mean difference of pixels, in levels."""
    return float(np.abs(np.asarray(one, np.float64) - np.asarray(other, np.float64)).mean())


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--prompts", type=int, default=2, help=f"up to {len(PROMPTS)}")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--precision", default="auto")
    arguments = parser.parse_args()
    studio = Studio(arguments.model, precision=arguments.precision)
    studio.txt2img(PROMPTS[0], steps=1)
    seconds: dict[str, list[float]] = {name: [] for name in WAYS}
    losses: dict[str, list[float]] = {name: [] for name in WAYS if name != EXACT}
    apart: list[float] = []
    for turn, prompt in enumerate(PROMPTS[: arguments.prompts]):
        pictures: dict[str, list[Image.Image]] = {name: [] for name in WAYS}
        for seed in range(1, arguments.seeds + 1):
            for name, options in list(WAYS.items())[:: 1 if (turn + seed) % 2 else -1]:
                result = studio.txt2img(prompt, seed=seed, **options)
                seconds[name].append(result.timings["sample"])
                pictures[name].append(result.images[0])
        apart += [distance(one, other) for one, other in combinations(pictures[EXACT], 2)]
        for name in losses:
            losses[name] += [distance(a, b) for a, b in zip(pictures[EXACT], pictures[name], strict=True)]
    between = statistics.mean(apart)
    ratios = {name: [a / b for a, b in zip(seconds[EXACT], times, strict=True)] for name, times in seconds.items()}
    figures = {
        name: {
            "times_as_fast": round(statistics.median(ratios[name]), 2),
            "loss": round(statistics.mean(losses[name]) / between, 3),
        }
        for name in losses
    }
    print(json.dumps({"model": arguments.model, "levels_between_seeds": round(between, 1), "ways": figures}, indent=2))


if __name__ == "__main__":
    main()
