"""The process that paints, within this one: an order that was cut off goes on from what it saved."""

import io
import time
from pathlib import Path
from typing import Any

from sfumato import Studio, Txt2Img
from sfumato.service import wire
from sfumato.service.worker import Worker

ASKED = Txt2Img.build(prompt="a red fox", width=32, height=32, steps=6, seed=3, count=2, batch=1, sampler="euler_a")


class Reports(io.BytesIO):
    """What a worker reports; it is told to stop at a report."""

    def __init__(self) -> None:
        super().__init__()
        self.worker: Worker | None = None
        self.stop: int | None = None
        self.said: list[dict[str, Any]] = []

    def write(self, data: Any) -> int:
        self.said += filter(None, [wire.read(io.BytesIO(data))])
        if self.worker is not None and len(self.said) == self.stop:
            self.worker.cancelled.add("a")
        return len(data)


def test_an_order_that_was_cut_off_goes_on_to_the_same_bytes(tiny: Path, tmp_path: Path) -> None:
    studio, painted = Studio(tiny, device="cpu", precision="fp32"), dict[str, list[bytes]]()
    asked = ASKED.changed(model=str(tiny)).model_dump(mode="json")
    for name, stop in (("whole", None), ("cut", 10), ("cut", None)):
        reports = Reports()
        reports.worker, reports.stop = Worker(reports, studio), stop
        reports.worker._previewed, reports.worker._cost = time.perf_counter(), 60.0  # of a job before
        folder = tmp_path / name
        order = {"job": "a", "request": asked, "folder": str(folder), "uploads": "", "saved": f"{folder}.saved"}
        reports.worker.paint({**order, "format": "png", "quality": None})
        assert reports.said[-1]["event"] == ("done" if stop is None else "cancelled")
        assert [each.get("index") for each in reports.said if "preview" in each] == [reports.said[0]["index"]]
        painted[name] = [file.read_bytes() for file in sorted(folder.iterdir())]
    assert len(painted["whole"]) == 2
    assert painted["cut"] == painted["whole"]
    found = [each["saved"] for each in reports.said if each["event"] == "progress"]
    assert found == [True] * 9 + [False] * 3  # ten reports were nine steps and a picture
