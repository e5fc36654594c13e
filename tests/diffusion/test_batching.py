"""Descents in threads share evaluations where the bytes are the same; what fails fails for the one that asked."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor, nn

from sfumato.diffusion.batching import SharedBatches
from sfumato.diffusion.conditioning import Conditioning

COND = Conditioning(torch.zeros(1, 2, 3))


class Counting(nn.Module):
    """Adds the label; `by_rows` adds the number of rows as well. Refuses NaN."""

    def __init__(self, by_rows: bool = False) -> None:
        super().__init__()
        self.by_rows, self.rows = by_rows, list[int]()

    def forward(self, x: Tensor, label: Tensor, cond: Conditioning) -> Tensor:
        assert len(x) == len(label) == len(cond)
        if x.isnan().any():
            raise ValueError("it is no number")
        self.rows.append(len(x))
        return x + label[:, None, None, None] + (len(x) if self.by_rows else 0)


def descended(batches: SharedBatches, network: nn.Module, starts: Sequence[float], steps: int = 3) -> list[Tensor]:
    def descent(start: float) -> Tensor:
        with batches.taking_part():
            x = torch.full((1, 1, 4, 4), start)
            for step in range(steps):
                x = batches(network, x, torch.full((1,), 10.0**step), COND)
            return x

    for _ in starts:
        batches.join()
    with ThreadPoolExecutor(len(starts)) as threads:
        return [future.result() for future in [threads.submit(descent, start) for start in starts]]


def test_one_evaluation_serves_all() -> None:
    batches, network = SharedBatches(), Counting()
    found = descended(batches, network, [0.0, 1.0, 2.0])
    assert [float(x.mean()) for x in found] == [111.0, 112.0, 113.0]
    assert network.rows == [3, 1, 1, 1, 3, 3]  # the first is tried both ways
    assert (batches.shared, batches.room) == (6, 512)


def test_other_bytes_are_not_taken() -> None:
    batches, network = SharedBatches(), Counting(by_rows=True)
    found = descended(batches, network, [0.0, 1.0])
    assert [float(x.mean()) for x in found] == [114.0, 115.0]
    assert (network.rows, batches.shared, batches.room) == ([2, 1, 1, 1, 1, 1, 1], 0, 1)


def test_no_more_rows_than_there_is_room_for() -> None:
    batches, network = SharedBatches(most=2 * 16), Counting()
    descended(batches, network, [0.0, 1.0, 2.0], steps=2)
    assert network.rows == [2, 1, 1, 1, 2, 1]


def test_what_one_asks_for_fails_for_it_alone() -> None:
    batches, network = SharedBatches(), Counting()
    with pytest.raises(ValueError, match="no number"):
        descended(batches, network, [float("nan"), 1.0])
    assert network.rows == [1] * 3  # of the other, to its end


def test_one_that_leaves_is_not_waited_for() -> None:
    batches, network = SharedBatches(), Counting()

    def descent(steps: int) -> float:
        with batches.taking_part():
            x = torch.zeros(1, 1, 4, 4)
            for _ in range(steps):
                x = batches(network, x, torch.ones(1), COND)
            return float(x.mean())

    for _ in range(2):
        batches.join()
    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(descent, [5, 1])) == [5.0, 1.0]
