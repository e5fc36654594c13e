"""How well --budget keeps its word: ten settings of nano, each a fresh command, what was asked and what was taken.

    python -m benchmarks.budget --out budget.json

The first command of a machine has nothing remembered and times its own first steps. Its word is kept when the pictures
are there within the budget and a tenth; what cannot be done must be refused, and the budget that is named instead must
then be kept. Exit code 1 when one of these fails.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

PROMPT = "a red apple on a green background"
SETTINGS: tuple[tuple[float, tuple[str, ...]], ...] = (
    (2.0, ()),
    (1.0, ()),
    (0.8, ()),
    (0.6, ()),
    (0.75, ("--steps", "24")),
    (1.5, ("-n", "2")),
    (2.2, ("-n", "3", "--batch", "3")),
    (1.2, ("--sampler", "heun")),
    (0.9, ("--guidance", "1")),
    (1.5, ("--hires", "1.5")),
)
"""Shares of the time that a plain command takes here, and options beside them."""
SLACK = 1.1


def command(*options: str) -> tuple[float, str, int, dict[str, Any] | None]:
    """Seconds, stderr, exit code and the printed report of ``sfumato txt2img``."""
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        words = [sys.executable, "-m", "sfumato", "txt2img", PROMPT, "--seed", "1", "--json", "-o", f"{folder}/"]
        run = subprocess.run([*words, *options], capture_output=True, text=True)
        seconds = time.perf_counter() - begun
        report = json.loads(run.stdout.splitlines()[0]) if run.returncode == 0 else None
    return seconds, run.stderr, run.returncode, report


def kept(budget: float, options: tuple[str, ...]) -> dict[str, Any]:
    """One setting, and where it is refused the one that is named instead; which must not be refused again."""
    seconds, said, code, report = command("--budget", f"{budget:.1f}s", *options)
    row: dict[str, Any] = {"budget": round(budget, 1), "options": " ".join(options)}
    if code == 2 and (named := re.search(r"--budget (\d+)s", said)):
        return {**row, "refused_after": round(seconds, 1), "instead": kept(float(named[1]), options)}
    plan = next((line for line in said.splitlines() if "budget" in line), said.strip()[-200:])
    steps = {} if report is None else {name: report["request"][name] for name in ("steps", "deep_cache")}
    return {**row, "taken": round(seconds, 1), "share": round(seconds / budget, 3), "plan": plan, **steps}


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--settings", type=int, nargs="*", default=range(len(SETTINGS)), help="only these, by number")
    arguments = parser.parse_args()
    plain = min(command()[0] for _ in range(2))
    print(f"a plain command takes {plain:.1f} s", flush=True)
    rows = []
    for share, options in (SETTINGS[number] for number in arguments.settings):
        rows.append(kept(share * plain, options))
        print(json.dumps(rows[-1]), flush=True)
    last = [row.get("instead", row) for row in rows]
    good = [row.get("share", 9.0) <= SLACK for row in last]
    facts = {"plain_seconds": round(plain, 2), "kept": sum(good), "settings": len(rows), "rows": rows}
    if arguments.out is not None:
        arguments.out.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    print(f"{sum(good)} of {len(rows)} kept")
    return 0 if all(good) else 1


if __name__ == "__main__":
    raise SystemExit(main())
