"""A worker that speaks the protocol and paints one colour. The prompt says what it does besides:

crash   dies by SIGKILL after its first step        fail     says that it failed
slow    a step takes 50 ms                          crash once   dies unless a file says that it did
room    there is room for two like that at once; the second is painted when the first is done
"""

import base64
import io
import os
import queue
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from PIL import Image

from sfumato.errors import SfumatoError
from sfumato.metadata.provenance import Provenance
from sfumato.requests import Painting, Upscale
from sfumato.results import Result
from sfumato.service import wire
from sfumato.service.worker import opened

PREVIEW = io.BytesIO()
Image.new("RGB", (4, 4), "red").save(PREVIEW, "JPEG")


class Fake:
    def __init__(self) -> None:
        self.out = os.fdopen(os.dup(1), "wb")
        os.dup2(2, 1)
        self.cancelled: set[str] = set()

    def tell(self, event: str, job: str, **facts: object) -> None:
        wire.write(self.out, {"event": event, "job": job, **facts})

    def paint(self, order: dict[str, Any]) -> None:
        try:
            self._painted(order)
        except SfumatoError as error:
            self.tell("failed", order["job"], reason=str(error))

    def _painted(self, order: dict[str, Any]) -> None:
        job, folder = order["job"], Path(order["folder"])
        request = opened(order["request"], Path(order["uploads"]))
        if isinstance(request, Upscale):
            self._enlarge(job, request, folder, Path(order["uploads"]))
            return
        said = request.prompt
        if "fail" in said:
            self.tell("failed", job, reason="the prompt asks for it")
            return
        exact: Painting = request.changed(
            steps=request.steps or 4,
            sampler=request.sampler or "euler",
            guidance=5.0,
            width=request.width or 16,
            height=request.height or 16,
            batch=1,
        )
        first = exact.first_seed
        assert first is not None
        for i in range(exact.count):
            for step in range(exact.steps or 0):
                if job in self.cancelled:
                    self.tell("cancelled", job)
                    return
                if "slow" in said:
                    time.sleep(0.05)
                facts = {"image": i, "batch": 1, "index": step, "total": exact.steps, "sigma": 1.0}
                facts["room"] = 2 if "room" in said else 1
                self.tell("progress", job, **facts, preview=base64.b64encode(PREVIEW.getvalue()).decode())
                if "crash" in said and not ("once" in said and (folder / "crashed").exists()):
                    folder.mkdir(parents=True, exist_ok=True)
                    (folder / "crashed").touch()
                    os.kill(os.getpid(), signal.SIGKILL)
            colour = ((first + i) % 256, 0, 0)
            image = Image.new("RGB", (exact.width or 0, exact.height or 0), colour)
            result = Result([image], exact, [first + i], {}, Provenance("ab" * 32))
            ending = order["format"].replace("jpeg", "jpg")
            (path,) = result.save(folder / f"{{index:04}}.{ending}", quality=order["quality"])
            file = {"index": i, "seed": first + i, "name": path.name, "width": image.width, "height": image.height}
            self.tell("pictures", job, files=[file])
        self.tell(
            "done",
            job,
            request=exact.model_dump(mode="json"),
            seeds=[first + i for i in range(exact.count)],
            timings={"load": 0.0, "sample": 0.1},
            provenance={"model_hash": "ab" * 32},
            peak=1000,
        )

    def _enlarge(self, job: str, request: Upscale, folder: Path, uploads: Path) -> None:
        image = Image.open(uploads / f"{request.image.sha256}.png").convert("RGB")
        by = request.scale or 2
        larger = image.resize((image.width * by, image.height * by))
        (path,) = Result([larger], request, [0], {}, Provenance("")).save(folder / "{index:04}.png")
        file = {"index": 0, "seed": 0, "name": path.name, "width": larger.width, "height": larger.height}
        self.tell("pictures", job, files=[file])
        facts = {"seeds": [0], "timings": {}, "provenance": {"model_hash": ""}, "peak": 1000}
        self.tell("done", job, request=request.model_dump(mode="json"), **facts)


def main() -> None:
    fake = Fake()
    orders: queue.Queue[dict[str, Any]] = queue.Queue()

    def listen() -> None:
        while (message := wire.read(sys.stdin.buffer)) is not None:
            if message["do"] == "cancel":
                fake.cancelled.add(message["job"])
            else:
                orders.put(message)
        os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    wire.write(fake.out, {"event": "ready"})
    while True:
        fake.paint(orders.get())


if __name__ == "__main__":
    main()
