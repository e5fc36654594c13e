"""The process that paints: it owns a `Studio`, takes orders on stdin and reports on stdout, see `wire`.

    {"do": "paint", "job", "request", "folder", "uploads", "saved", "format", "quality"}
    {"do": "cancel", "job"}                         may come at any time, also before its "paint"

    {"event": "ready"}                              once
    {"event": "progress", "job", "image", "batch", "index", "total", "sigma", "saved", "room", "preview"?}
    {"event": "pictures", "job", "files": [{"index", "seed", "name", "width", "height"}]}
    {"event": "done", "job", "request", "seeds", "timings", "provenance", "peak"}
    {"event": "cancelled", "job"} or {"event": "failed", "job", "reason"}

Several orders are carried out at the same time, and share their networks' batches, see `sfumato.diffusion.batching`;
`room` says for how many like that there is room at once. Whoever orders sees to it that they belong together.

It ends when stdin does: no worker outlives its service. It is `nice`, and opens no connection.
"""

import base64
import io
import math
import os
import sys
import time
import traceback
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from sfumato.errors import SfumatoError
from sfumato.requests import REQUESTS, Request
from sfumato.runtime.threads import wait_briefly
from sfumato.service import wire

if TYPE_CHECKING:
    from PIL.Image import Image

    from sfumato.diffusion.batching import SharedBatches
    from sfumato.diffusion.saved import Saved
    from sfumato.results import Progress, Result
    from sfumato.studio import Studio

NICE = 5
"""The page of somebody who waits comes before the picture."""
PREVIEW_SIDE = 512
PREVIEW_SHARE = 50
"""A preview is made no sooner than this many times its own cost after the last: 2 % of the time. The first of a job is
always made: it shows that it has begun."""


MOST_AT_ONCE = 4
"""Orders."""


class Worker:
    """Carries out orders, each in a thread, of which one runs at a time.

    Args:
        out: where reports go.
        studio: paints.
        batches: where its descents meet.
    """

    def __init__(self, out: BinaryIO, studio: "Studio", batches: "SharedBatches") -> None:
        self.out = out
        self.studio = studio
        self.batches = batches
        self.cancelled: set[str] = set()
        self._previewed: dict[str, float] = {}
        self._cost = 0.0
        self._threads = ThreadPoolExecutor(MOST_AT_ONCE)

    def take(self, order: wire.Message) -> Future[None]:
        """Carry out a request in a thread."""
        self.batches.join()
        return self._threads.submit(self._among_others, order)

    def _among_others(self, order: wire.Message) -> None:
        with self.batches.taking_part():
            self.paint(order)

    def tell(self, event: str, job: str, **facts: object) -> None:
        """Report."""
        wire.write(self.out, {"event": event, "job": job, **facts})

    def paint(self, order: wire.Message) -> None:
        """Carry out a request. Whatever goes wrong is reported, and the worker goes on."""
        job = order["job"]
        try:
            finished = self._painted(order)
        except SfumatoError as error:
            self.tell("failed", job, reason=str(error))
        except MemoryError:
            self.tell("failed", job, reason=_NO_MEMORY)
        except Exception as error:
            if "OutOfMemory" in type(error).__name__ or "allocate memory" in str(error):
                self.tell("failed", job, reason=_NO_MEMORY)
                return
            traceback.print_tb(error.__traceback__)  # without the message, which may hold a prompt
            self.tell("failed", job, reason=f"a defect of sfumato: {type(error).__name__}: {str(error)[:500]}")
        else:
            if not finished:
                self.tell("cancelled", job)
        finally:
            self.cancelled.discard(job)
            self._previewed.pop(job, None)

    def _painted(self, order: wire.Message) -> bool:
        """Whether it was painted to its end."""
        from sfumato.diffusion.saved import Saved

        if order["job"] in self.cancelled:
            return False
        saved = Saved(Path(order["saved"]))
        try:
            return self._carried_out(order, saved)
        finally:
            saved.close()

    def _carried_out(self, order: wire.Message, saved: "Saved") -> bool:
        from sfumato.results import Progress, Result

        job, folder = order["job"], Path(order["folder"])
        request = opened(order["request"], Path(order["uploads"]))
        batches: list[Result] = []
        for event in self.studio.events(request, saved):
            if isinstance(event, Progress):
                self._report(job, event, saved.found)
            else:
                batches.append(event)
                if event.images:
                    inside = str(folder).replace("{", "{{").replace("}", "}}")
                    paths = event.save(f"{inside}/{{index:04}}{_ENDINGS[order['format']]}", quality=order["quality"])
                    self.tell("pictures", job, files=_files(event, paths))
            if job in self.cancelled:
                return False
        result = Result.joined(batches)
        self.tell(
            "done",
            job,
            request=result.request.model_dump(mode="json"),
            seeds=list(result.seeds),
            timings=dict(result.timings),
            provenance=asdict(result.provenance),
            peak=_peak(),
            report=None if result.report is None else result.report.facts(),
        )
        return True

    def _report(self, job: str, progress: "Progress", saved: bool) -> None:
        facts: dict[str, Any] = {"saved": saved, "room": min(self.batches.room, MOST_AT_ONCE)}
        begun = time.perf_counter()
        if begun - self._previewed.get(job, -math.inf) >= PREVIEW_SHARE * self._cost:
            pictures = (progress.glimpse or progress.preview)()
            if pictures:  # some tasks have nothing to show on the way
                facts["preview"] = _small(pictures[0])
            self._previewed[job] = time.perf_counter()
            self._cost = self._previewed[job] - begun
        names = ("image", "batch", "index", "total", "sigma")
        self.tell("progress", job, **{name: getattr(progress, name) for name in names}, **facts)


_ENDINGS = {"png": ".png", "jpeg": ".jpg", "webp": ".webp", "avif": ".avif"}
_NO_MEMORY = "out of memory; ask for a smaller size, a smaller batch or a smaller model"


def opened(options: dict[str, Any], uploads: Path) -> Request:
    """The request that a service sent, with the bytes of its pictures, which it names by their digests."""
    return REQUESTS[options["task"]].build(**{name: _opened(value, uploads) for name, value in options.items()})


def _opened(value: object, uploads: Path) -> object:
    if isinstance(value, dict) and value.keys() == {"path", "sha256"}:
        return (uploads / f"{value['sha256']}.png").read_bytes()
    if isinstance(value, dict):
        return {name: _opened(inner, uploads) for name, inner in value.items()}
    return [_opened(inner, uploads) for inner in value] if isinstance(value, list) else value


def _files(batch: "Result", paths: list[Path]) -> list[dict[str, object]]:
    return [
        {"index": batch.first + i, "seed": seed, "name": path.name, "width": image.width, "height": image.height}
        for i, (seed, path, image) in enumerate(zip(batch.seeds, paths, batch.images, strict=True))
    ]


def _small(image: "Image") -> str:
    """A JPEG in Base64."""
    small = image.convert("RGB")
    small.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=80)
    return base64.b64encode(buffer.getvalue()).decode()


def _peak() -> int:
    """Bytes of memory that this process had at most."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _stay_inside(event: str, arguments: tuple[object, ...]) -> None:
    if event in ("socket.connect", "socket.getaddrinfo"):
        raise RuntimeError("the worker opens no connection")


def main(device: str = "auto", precision: str = "auto") -> None:
    """Work until stdin ends."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints is no report
    wait_briefly()
    if hasattr(os, "nice"):
        os.nice(NICE)
    sys.addaudithook(_stay_inside)
    from sfumato.diffusion.batching import SharedBatches
    from sfumato.studio import Studio

    batches = SharedBatches()
    worker = Worker(out, Studio(device=device, precision=precision, call=batches), batches)  # type: ignore[arg-type]
    wire.write(out, {"event": "ready"})
    while (message := wire.read(sys.stdin.buffer)) is not None:
        if message["do"] == "cancel":
            worker.cancelled.add(message["job"])
        else:
            worker.take(message)
    os._exit(0)  # nobody is there to paint for


if __name__ == "__main__":
    main(*sys.argv[1:])
