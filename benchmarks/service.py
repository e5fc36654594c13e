"""What the service costs: how soon it is there, whether it answers while it paints, and what it adds to a picture.

    python -m benchmarks.service --repeat 5

Everything is on this machine: `sfumato serve` on loopback, and a studio of this process, which paint the same requests
in turn. "ready" is from the start of the process to its first answer, "accepts" to its first job; "overhead" the
service's median over the studio's, from asking to the picture's bytes; "preview" from asking to the first preview,
beside the studio's to that of the same step. This process is as nice as the worker. Exit code 1 where a goal is missed.
"""

import argparse
import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from sfumato import Client, Studio, Txt2Img
from sfumato.errors import SfumatoError
from sfumato.results import Progress
from sfumato.service.worker import NICE

GOALS = {"ready_seconds": 1.0, "health_p99_ms": 50.0, "overhead": 1.05, "preview": 1.5}
"""At most."""


@contextlib.contextmanager
def served(folder: Path) -> Iterator[tuple[Client, float, float]]:
    """A service, and the seconds until it answered, and until it had taken a job."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "sfumato", "serve", "--port", str(port), "--data", str(folder)]
    begun = time.perf_counter()
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    client = Client(f"http://127.0.0.1:{port}")
    try:
        while True:
            with contextlib.suppress(SfumatoError):
                client.call("GET", "/api/v1/health")
                break
            if process.poll() is not None:
                raise SystemExit("the service ended")
            time.sleep(0.005)
        ready = time.perf_counter() - begun
        client.cancel(client.submit(Txt2Img.build(prompt="a red apple", seed=1))["id"])
        yield client, ready, time.perf_counter() - begun
    finally:
        process.terminate()
        process.wait(30)


def health(client: Client, over: threading.Event, taken: list[float]) -> None:
    """Ask /health on and on, and note the seconds of each."""
    while not over.is_set():
        begun = time.perf_counter()
        client.call("GET", "/api/v1/health")
        taken.append(time.perf_counter() - begun)
        over.wait(0.02)


def first_preview(client: Client, request: Txt2Img) -> tuple[float, int]:
    """Seconds until there was a preview, and of which step it was."""
    begun, step = time.perf_counter(), 1
    id = client.submit(request)["id"]
    seen: float | None = None
    for kind, data in client.events(id):
        if kind == "progress" and seen is None:
            step = data["step"]
        if kind == "preview" and seen is None:
            seen = time.perf_counter() - begun
    assert seen is not None
    return seen, step


def previewed(studio: Studio, request: Txt2Img, step: int) -> float:
    """Seconds of a studio until it shows that step, as the command line does."""
    begun, taken = time.perf_counter(), 0.0
    for event in studio.events(request):
        if isinstance(event, Progress) and event.index + 1 == step:
            event.preview()
            taken = time.perf_counter() - begun
    return taken


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--repeat", type=int, default=5, help="of each measurement; medians count")
    parser.add_argument("--steps", type=int, default=20, help="of each picture")
    parser.add_argument("--out", type=Path, help="keep the figures as JSON")
    options = parser.parse_args(arguments)
    request = Txt2Img.build(prompt="a red apple", steps=options.steps, seed=1)
    studio, ready, accepts = Studio(), list[float](), list[float]()
    ours, theirs, previews, taken, over = list[float](), list[float](), list[float](), list[float](), threading.Event()
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(options.repeat):
            with served(Path(folder) / str(turn)) as (_, first, second):
                ready.append(first)
                accepts.append(second)
        with served(Path(folder) / "painting") as (client, _, _):
            os.nice(NICE)
            studio.run(request)
            client.run(request)  # now both have the model
            for turn in range(options.repeat):
                changed = request.changed(seed=2 + turn)
                sides = [(studio.run, ours), (client.run, theirs)]
                for run, noted in sides if turn % 2 else reversed(sides):
                    begun = time.perf_counter()
                    run(changed)
                    noted.append(time.perf_counter() - begun)
                seconds, step = first_preview(client, changed)
                previews.append(seconds / previewed(studio, changed, step))
            asking = threading.Thread(target=health, args=(client, over, taken))
            asking.start()
            for turn in range(options.repeat):
                client.run(request.changed(seed=100 + turn))
            over.set()
            asking.join()
    figures = {
        "ready_seconds": statistics.median(ready),
        "accepts_seconds": statistics.median(accepts),
        "health_p99_ms": 1000 * statistics.quantiles(taken, n=100, method="inclusive")[98],
        "overhead": statistics.median(theirs) / statistics.median(ours),
        "preview": statistics.median(previews),
    }
    found = {**{name: round(value, 3) for name, value in figures.items()}, "load": round(os.getloadavg()[0], 1)}
    print(json.dumps(found, indent=1))
    if options.out:
        options.out.write_text(json.dumps(found, indent=1) + "\n")
    missed = [name for name, most in GOALS.items() if figures[name] > most]
    if missed:
        print(f"missed: {', '.join(missed)}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
