"""The process that paints, within this one: an order that was cut off goes on from what it saved."""

import io
from pathlib import Path
from typing import Any

from sfumato import Studio, Txt2Img
from sfumato.diffusion.batching import SharedBatches
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


def carry_out(worker: Worker, *orders: dict[str, Any]) -> None:
    """Side by side."""
    done = [worker.take(order) for order in orders]
    for each in done:
        each.result()


def test_an_order_that_was_cut_off_goes_on_to_the_same_bytes(tiny: Path, tmp_path: Path) -> None:
    studio, painted = Studio(tiny, device="cpu", precision="fp32"), dict[str, list[bytes]]()
    asked = ASKED.changed(model=str(tiny)).model_dump(mode="json")
    for name, stop in (("whole", None), ("cut", 10), ("cut", None)):
        reports = Reports()
        reports.worker, reports.stop = Worker(reports, studio, SharedBatches()), stop
        reports.worker._cost = 60.0  # as of a job before
        folder = tmp_path / name
        order = {"job": "a", "request": asked, "folder": str(folder), "uploads": "", "saved": f"{folder}.saved"}
        carry_out(reports.worker, {**order, "format": "png", "quality": None})
        assert reports.said[-1]["event"] == ("done" if stop is None else "cancelled")
        assert [each.get("index") for each in reports.said if "preview" in each] == [reports.said[0]["index"]]
        painted[name] = [file.read_bytes() for file in sorted(folder.iterdir())]
    assert len(painted["whole"]) == 2
    assert painted["cut"] == painted["whole"]
    found = [each["saved"] for each in reports.said if each["event"] == "progress"]
    assert found == [True] * 9 + [False] * 3  # ten reports were nine steps and a picture


def test_orders_share_batches_and_their_pictures_are_those_of_one_alone(tiny: Path, tmp_path: Path) -> None:
    batches = SharedBatches()
    studio, reports = Studio(tiny, device="cpu", precision="fp32", call=batches), Reports()
    worker = Worker(reports, studio, batches)
    others: list[dict[str, Any]] = [
        {"sampler": "euler", "steps": 5},
        {"prompt": "a blue cat", "negative": "a dog"},
        {"guidance": 1.0},
    ]
    orders: list[dict[str, Any]] = []
    for seed, other in enumerate(others):
        asked = ASKED.changed(**{"model": str(tiny), "seed": seed, **other}).model_dump(mode="json")
        orders.append({"request": asked, "uploads": "", "format": "png", "quality": None})
    painted: dict[str, list[bytes]] = {}
    for way in ("alone", "beside"):
        named: list[dict[str, Any]] = [
            {
                **order,
                "job": f"{way}{i}",
                "folder": str(tmp_path / f"{way}{i}"),
                "saved": str(tmp_path / f"{way}{i}.saved"),
            }
            for i, order in enumerate(orders)
        ]
        if way == "beside":
            assert batches.shared == 0
            carry_out(worker, *named)
        else:
            for order in named:
                carry_out(worker, order)
        for order in named:
            painted.setdefault(way, []).extend(file.read_bytes() for file in sorted(Path(order["folder"]).iterdir()))
    assert len(painted["alone"]) == 6
    assert painted["beside"] == painted["alone"]
    assert batches.shared == 18  # the two guided ones, ten steps of both, but for the first, which is tried both ways
    assert [each["event"] for each in reports.said].count("done") == 6
    assert {each["room"] for each in reports.said if each["event"] == "progress"} == {4}
