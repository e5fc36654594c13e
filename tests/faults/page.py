"""Runs the trials many times, and writes what was seen into ``docs/reliability.md``.

    python -m tests.faults.page [--share 0.1] [--only kills floods] [--resume]

Figures are kept beside the page as JSON, so that trials may be run again alone. The exit code is 1 where a promise was
broken; the page then keeps what was seen before. A run that was cut off goes on with ``--resume``.
"""

import argparse
import json
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.faults.trials import TRIALS

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
SEEN = PAGE.with_suffix(".json")
DONE = Path(__file__).parents[2] / "runs" / "faults.txt"
"""Names of the trials that this run has behind it, a line each."""
Seen = Mapping[str, str]

HEAD = """# Reliability

What the service promises, and what was seen when it was tried. Written by `make faults`, which runs whole services on
loopback; where the picture does not matter, a worker of a few lines paints. The fast tests try the same a few times.

| What | Promise | Seen |
| --- | --- | --- |
"""


def seen() -> dict[str, str]:
    """Of each trial that ran, in their order."""
    return json.loads(SEEN.read_text()) if SEEN.is_file() else {}


def page(figures: Seen) -> str:
    """The page."""
    rows = [f"| {each.what} | {each.promise} | {figures[each.name]} |" for each in TRIALS if each.name in figures]
    return HEAD + "\n".join(rows) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--share", type=float, default=1.0, help="of the times that each is tried")
    parser.add_argument("--only", nargs="+", choices=[each.name for each in TRIALS], help="these alone")
    parser.add_argument("--resume", action="store_true", help="leave out what the run that was cut off has done")
    options = parser.parse_args(arguments)
    if not options.resume:
        DONE.unlink(missing_ok=True)
    done, broken = DONE.read_text().split() if DONE.is_file() else [], 0
    DONE.parent.mkdir(exist_ok=True)
    for trial in TRIALS:
        if (options.only and trial.name not in options.only) or trial.name in done:
            continue
        begun = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            try:
                said = trial.run(Path(folder), max(1, round(trial.many * options.share)))
            except Exception:
                traceback.print_exc()
                broken += 1
                continue
        print(f"{trial.name}: {said} ({time.monotonic() - begun:.0f} s)", file=sys.stderr)
        now = seen() | {trial.name: said}
        SEEN.write_text(json.dumps({each.name: now[each.name] for each in TRIALS if each.name in now}, indent=1) + "\n")
        PAGE.write_text(page(now))
        with DONE.open("a") as file:
            print(trial.name, file=file)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
