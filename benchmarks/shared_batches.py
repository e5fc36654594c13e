"""Pictures painted at the same time, which share batches, against the same painted one after the other, in turn.

    python -m benchmarks.shared_batches --rounds 5

nano, 256 x 256, 12 steps. The exit code is 1 where a picture is another one than that painted alone.
"""

import argparse
import hashlib
import json
import statistics
import time
from concurrent.futures import ThreadPoolExecutor

import torch

from sfumato import Result, Studio, Txt2Img
from sfumato.diffusion.batching import SharedBatches

PROMPTS = ("a red apple", "a smiling woman with red hair", "a cat, blue background", "一辆公交车")


def digest(studio: Studio, request: Txt2Img) -> str:
    """Of the picture's bytes."""
    results = [event for event in studio.events(request) if isinstance(event, Result)]
    return hashlib.sha256(results[0].images[0].tobytes()).hexdigest()


def main() -> int:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    batches = SharedBatches()
    plain, sharing = Studio(precision="fp32"), Studio(precision="fp32", call=batches)
    requests = [Txt2Img.build(prompt=prompt, seed=seed, steps=12) for seed, prompt in enumerate(PROMPTS)]
    wanted = [digest(plain, request) for request in requests]
    sharing.load()
    equal = True
    seconds: dict[str, list[float]] = {"1": []}

    def beside(request: Txt2Img) -> str:
        with batches.taking_part():
            return digest(sharing, request)

    with ThreadPoolExecutor(len(requests)) as threads:
        for turn in range(rounds + 1):
            for count in range(1, len(requests) + 1):
                chosen, begun = requests[:count], time.perf_counter()
                if count == 1:
                    found = [digest(plain, request) for request in requests]
                    each = (time.perf_counter() - begun) / len(requests)
                    equal &= found == wanted
                else:
                    for _ in chosen:
                        batches.join()
                    found = list(threads.map(beside, chosen))
                    each = (time.perf_counter() - begun) / count
                    equal &= found == wanted[:count]
                if turn:  # the first tries each form both ways
                    seconds.setdefault(str(count), []).append(each)
    median = {count: statistics.median(each) for count, each in seconds.items()}
    told = {
        "threads": torch.get_num_threads(),
        "equal": equal,
        "seconds_alone": round(median["1"], 3),
        "share_of_it": {count: round(each / median["1"], 3) for count, each in median.items()},
    }
    print(json.dumps(told))
    return 0 if equal and batches.shared else 1


if __name__ == "__main__":
    raise SystemExit(main())
