"""Painting on a busy machine: the same command alone, and two of it at once, by how long OpenMP's threads spin.

    python -m benchmarks.busy --repeat 5

Wall-clock seconds of `sfumato txt2img` with nano from start to exit, the median of the repeats, in which the settings
take turns. "ours" is what the command line chooses, a number a GOMP_SPINCOUNT, and 300000 libgomp's own default, by
which the column "to default" is measured. Two at once that take over `--limit` seconds are stopped and count as that.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from sfumato.runtime.threads import CHOSEN

DEFAULT = "300000"
"""Turns that libgomp spins where no variable says otherwise."""
SPINS = ("ours", DEFAULT, "0", "1000", "2000", "4000")


def seconds(spins: str, at_once: int, pictures: int, limit: float) -> float:
    """From the start of so many equal commands until the last has ended."""
    environment: dict[str, str] = {name: value for name, value in os.environ.items() if name not in CHOSEN}
    if spins != "ours":
        environment["GOMP_SPINCOUNT"] = spins
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        commands = [_paint(Path(folder) / f"{k}-{{index}}.png", pictures, environment) for k in range(at_once)]
        try:
            for command in commands:
                code = command.wait(max(0.0, start + limit - time.perf_counter()))
                if code:
                    raise SystemExit(f"painting ended with exit code {code}")
        except subprocess.TimeoutExpired:
            return limit
        finally:
            for command in commands:
                command.kill()
                command.wait()
        return time.perf_counter() - start


def _paint(output: Path, pictures: int, environment: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "sfumato", "txt2img", "a red apple", "-n", str(pictures), "--seed", "1"]
    return subprocess.Popen([*command, "-o", str(output), "--quiet"], env=environment, stdout=subprocess.DEVNULL)


def table(medians: Mapping[str, Mapping[str, float]]) -> str:
    """A row a setting: seconds, and the two ratios that count."""
    rows = ["| spins | alone | to default | two at once | to one |", "| --- | --- | --- | --- | --- |"]
    default = medians[DEFAULT]["alone"]
    for spins, of in medians.items():
        rows.append(
            f"| {spins} | {of['alone']:.2f} s | {of['alone'] / default:.2f} | {of['two']:.2f} s "
            f"| {of['two'] / of['alone']:.2f} |"
        )
    return "\n".join(rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--repeat", type=int, default=3, help="of every measurement; the median counts")
    parser.add_argument("--pictures", type=int, default=4, help="painted by each command")
    parser.add_argument("--limit", type=float, default=90.0, help="seconds after which two at once are stopped")
    parser.add_argument("--spins", nargs="+", default=SPINS, help='"ours" or numbers; the default is always measured')
    parser.add_argument("--out", type=Path, help="keep the seconds of each repeat as JSON")
    options = parser.parse_args(arguments)
    settings = tuple(dict.fromkeys([*options.spins, DEFAULT]))
    taken: dict[str, dict[str, list[float]]] = {spins: {"alone": [], "two": []} for spins in settings}
    for turn in range(options.repeat):
        for spins in settings if turn % 2 == 0 else reversed(settings):
            for name, at_once in (("alone", 1), ("two", 2)):
                taken[spins][name].append(seconds(spins, at_once, options.pictures, options.limit))
            print(f"{turn + 1} of {options.repeat}: {spins} {taken[spins]['alone'][-1]:.2f} s, "
                  f"two {taken[spins]['two'][-1]:.2f} s", file=sys.stderr)  # fmt: skip
    if options.out:
        options.out.write_text(json.dumps(taken, indent=1) + "\n")
    print(table({spins: {name: statistics.median(of[name]) for name in of} for spins, of in taken.items()}))


if __name__ == "__main__":
    main()
