"""The figures of one machine, each beside its peers, in ``docs/performance.md``: one command, piece by piece.

    python -m benchmarks.page start txt2img sizes      # some pieces
    python -m benchmarks.page                          # all; an hour on two slow cores

Those in bfloat16 are for CPUs that are quick in it, and left out on others unless named.

A piece runs a benchmark of this folder or a command of ours in a process of its own, checks that players compute the
same where there are several, and puts its figures into ``docs/performance.json`` under this machine's name, as
`sfumato doctor` says it, in the place of those of before. The page is then written of all that is there, with a plot of
`sizes` for each machine. Peers take part where they are installed: diffusers, and OpenVINO.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parents[1] / "docs"
FACTS, PAGE = DOCS / "performance.json", DOCS / "performance.md"
PROMPT = "a red apple on a green background"
ROUNDS = 5
Figures = dict[str, Any]


def machine() -> Figures:
    """What `sfumato doctor` says of the machine."""
    from sfumato.runtime.doctor import examine

    report = examine("cpu")
    cpu, torch, versions = report["cpu"], report["torch"], report["versions"]
    gigabytes = round(int(str(report["memory"]["total_bytes"])) / 2**30)
    features = cpu["features"]
    assert isinstance(features, list)
    known = [name for name in features if name.startswith(("avx", "amx", "asimd", "sve"))]
    name = f"{cpu['name']}, {cpu['usable']} cores, {', '.join(known)}"
    return {"name": name, "memory_gib": gigabytes, "threads": torch["threads"], "torch": versions["torch"]}


def timed(*words: str) -> float:
    """Seconds of a fresh process."""
    begun = time.perf_counter()
    subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - begun


def start() -> Figures:
    """A cold command beside the import of torch alone, in turn."""
    with tempfile.TemporaryDirectory() as folder:
        command = ("-m", "sfumato", "txt2img", PROMPT, "--seed", "1", "-o", f"{folder}/")
        rows = [
            [timed("-c", "import torch"), timed(*command, "--steps", "1"), timed(*command)] for _ in range(ROUNDS + 1)
        ]
    torch, first, whole = (statistics.median(column) for column in zip(*rows[1:], strict=True))
    return {
        "import_torch_s": round(torch, 2),
        "one_step_s": round(first, 2),
        "picture_s": round(whole, 2),
        "picture_by_import": round(whole / torch, 2),
    }


def ours(*words: str) -> Figures:
    """The JSON that a command of ours prints."""
    command = [sys.executable, "-m", "sfumato", *words, "--json"]
    return dict(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def txt2img() -> Figures:
    """nano by `sfumato bench txt2img`."""
    found = ours("bench", "txt2img")
    warm, cold = found["warm"], found["cold"]
    return {
        "cold_s": round(statistics.median(cold["seconds"]), 2),
        "step_ms": round(1e3 * warm["step_seconds"], 1),
        "images_per_s": round(warm["images_per_second"], 3),
        "images_per_s_batch_4": round(warm["batch_images_per_second"], 3),
        "peak_mb": round((cold["peak_bytes"] or 0) / 1e6),
    }


def load() -> Figures:
    """2 GB of Stable Diffusion 1.5's form by `sfumato bench load`."""
    found = ours("bench", "load", "--repeat", "1")
    return {
        "ready_s": round(statistics.median(found["ready_seconds"]), 2),
        "peak_by_file": round(found["peak_bytes"] / found["file_bytes"], 2),
    }


def benchmark(name: str, *words: str) -> Figures:
    """The JSON that ends what a benchmark of this folder prints; its exit code says whether players are equal."""
    run = subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *words], capture_output=True, text=True)
    found = dict(json.loads(run.stdout[run.stdout.index("\n{") :]))
    return {**found, "equal": run.returncode == 0}


def memory() -> Figures:
    """The most memory of a picture: Stable Diffusion 1.5 at 512 x 512, SDXL at 1024 x 1024."""
    found = benchmark("memory")
    return {
        "peak_gb": {name: found[name]["peak_gb"] for name in ("sd1", "sdxl")},
        "precision": found["sd1"]["precision"],
    }


def players(name: str, precision: str, *words: str) -> Figures:
    """What a benchmark of several players says of them."""
    found = benchmark(name, "--precision", precision, *words)
    found = {**found, **found.get(precision, {})}
    return {"seconds": found["median_seconds"], "error": found["relative_error"], "equal": found["equal"]}


def unet() -> Figures:
    """A guided step of Stable Diffusion 1.5 at 256 x 256 in float32."""
    return players("unet_step", "fp32", "--pixels", "256", "--rounds", "2", "--warmup", "1")


def decoder() -> Figures:
    """The decoder of Stable Diffusion 1.5 at 256 x 256 in float32."""
    return players("decoder", "fp32", "--pixels", "256", "--rounds", "2")


def unet_bf16() -> Figures:
    """A guided step of Stable Diffusion 1.5 at 512 x 512 in bfloat16, and in 8 bits."""
    return players("unet_step", "bf16", "--rounds", "3", "--warmup", "1")


def decoder_bf16() -> Figures:
    """The decoder of Stable Diffusion 1.5 at 512 x 512 in bfloat16."""
    return players("decoder", "bf16", "--rounds", "2")


def training() -> Figures:
    """Steps of nano's training against a plain loop of diffusers."""
    found = benchmark("train_step", "--steps", "8", "--batch", "16", "--processes", "2")
    return {name: found[name] for name in ("images_per_second", "ratio", "loss_difference", "scatter_between_steps")}


SWEEP = """
import json, os, sys, time, torch
from sfumato import Studio
studio, found = Studio(), []
torch.set_num_threads(int(sys.argv[1]))
for side, batch in json.loads(sys.argv[2]):
    for _ in range(2):
        done = studio.txt2img("a red apple", seed=1, steps=3, width=side, height=side, count=batch, batch=batch)
    found.append(done.timings["sample"] / 3)
print(json.dumps(found))
"""


def sizes() -> Figures:
    """Seconds of a guided step of nano, by size, batch and threads."""

    def swept(threads: int, cases: list[tuple[int, int]]) -> list[float]:
        command = [sys.executable, "-c", SWEEP, str(threads), json.dumps(cases)]
        run = subprocess.run(command, check=True, capture_output=True, text=True)
        return [round(value, 3) for value in json.loads(run.stdout.splitlines()[-1])]

    sides, batches = [128, 192, 256, 384, 512], [1, 2, 4, 8]
    most = machine()["threads"]
    counts = sorted({1, 2, 4, most} & set(range(1, most + 1)))
    return {
        "size": dict(zip(map(str, sides), swept(most, [(side, 1) for side in sides]), strict=True)),
        "batch": dict(zip(map(str, batches), swept(most, [(256, batch) for batch in batches]), strict=True)),
        "threads": {str(count): swept(count, [(256, 1)])[0] for count in counts},
    }


PIECES: dict[str, Callable[[], Figures]] = {
    each.__name__: each
    for each in (start, txt2img, load, memory, sizes, unet, decoder, unet_bf16, decoder_bf16, training)
}


def usual() -> list[str]:
    """The pieces that make sense on this machine."""
    import torch

    from sfumato.runtime.precision import choose

    quick = choose("cpu").dtype is torch.bfloat16
    return [name for name in PIECES if quick or not name.endswith("_bf16")]


# ------------------------------------------------------------------------------------------------------------- page


def written(facts: Figures) -> str:
    """The page."""
    lines = [
        "# Performance, measured",
        "",
        "A part for each machine; written by `python -m benchmarks.page`, which any machine can run. Players of one",
        "table ran in turn in one process, and computed the same within the error that stands beside them. Seconds of",
        "a machine that others use too differ from day to day; ratios hold.",
        "[How threads, sockets and GPUs are to be used](decisions/0041-many-cores-and-gpus.md).",
    ]
    for name, about in facts.items():
        lines += ["", f"## {name}", ""]
        lines += [f"{about['memory_gib']} GiB, torch {about['torch']}, {about['threads']} threads."]
        for piece, make in PIECES.items():
            if piece in about:
                lines += ["", f"**{(make.__doc__ or '').rstrip('.')}** ({about[piece]['date']})", ""]
                lines += table({key: value for key, value in about[piece].items() if key != "date"})
        if "sizes" in about:
            lines += ["", f"![Seconds of a step by size, batch and threads]({plotted(name, about['sizes'])})"]
    return "\n".join([*lines, ""])


def table(figures: Figures) -> list[str]:
    """Figures as a table: flat ones in one row, those of players in a row each."""
    nested = {key: value for key, value in figures.items() if isinstance(value, dict)}
    flat = {key: value for key, value in figures.items() if key not in nested}
    lines = []
    if nested:
        columns = list(dict.fromkeys(name for value in nested.values() for name in value))
        lines += [f"| | {' | '.join(columns)} |", f"| --- |{' --- |' * len(columns)}"]
        for key, value in nested.items():
            cells = (_cell(value[name]) if name in value else "" for name in columns)
            lines.append(f"| {key.replace('_', ' ')} | {' | '.join(cells)} |")
    if flat and nested:
        lines.append("")
        lines.append(", ".join(f"{key.replace('_', ' ')}: {_cell(value)}" for key, value in flat.items()) + ".")
    elif flat:
        lines += [f"| {' | '.join(key.replace('_', ' ') for key in flat)} |", f"|{' --- |' * len(flat)}"]
        lines.append(f"| {' | '.join(map(_cell, flat.values()))} |")
    return lines


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def plotted(name: str, figures: Figures) -> str:
    """The plot's path beside the page."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    path = DOCS / "pictures" / f"performance-{''.join(c if c.isalnum() else '-' for c in name.lower())[:40]}.png"
    figure, axes = pyplot.subplots(1, 3, figsize=(9, 2.6), layout="constrained")
    for axis, (what, values) in zip(axes, figures.items(), strict=False):
        axis.plot([int(key) for key in values], list(values.values()), "o-", color="black", markersize=4)
        axis.set(xlabel={"size": "pixels a side"}.get(what, what), ylim=(0, 1.1 * max(values.values())), xlim=(0, None))
    axes[0].set(ylabel="seconds of a step")
    figure.savefig(path, dpi=80)
    pyplot.close(figure)
    return f"pictures/{path.name}"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pieces", nargs="*", metavar="PIECE", help=", ".join(PIECES))
    parser.add_argument("--write", action="store_true", help="measure nothing, write the page anew")
    arguments = parser.parse_args()
    if unknown := set(arguments.pieces) - set(PIECES):
        parser.error(f"no piece {min(unknown)!r}; there are {', '.join(PIECES)}")
    facts: Figures = json.loads(FACTS.read_text("utf-8")) if FACTS.exists() else {}
    if not arguments.write:
        here = machine()
        about = facts.setdefault(here.pop("name"), {})
        about.update(here)
        for piece in arguments.pieces or usual():
            about[piece] = {**PIECES[piece](), "date": time.strftime("%Y-%m-%d")}
            print(piece, json.dumps(about[piece]), flush=True)
            FACTS.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    PAGE.write_text(written(facts), encoding="utf-8")


if __name__ == "__main__":
    main()
