"""Regions: where their masks are, what each denoiser looks at, and that agreement is left alone."""

import pytest
import torch
from torch import Tensor

from sfumato.diffusion.regions import Part, masks, ramp, regional, window

SIGMA = torch.tensor(1.0)


def flat(value: float, seen: list[tuple[int, int]] | None = None) -> object:
    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        if seen is not None:
            seen.append((x.shape[-2], x.shape[-1]))
        return torch.full_like(x, value)

    return denoise


def test_parts_that_meet_sum_to_one() -> None:
    left, right = ramp(32, 0, 13, 4), ramp(32, 13, 32, 4)
    torch.testing.assert_close(left + right, torch.ones(32))
    assert [*left[:11].tolist(), *right[15:].tolist()] == [1] * 28
    assert float(left[12]) == pytest.approx(0.625)


def test_what_overlaps_is_shared() -> None:
    found = masks([(0, 0, 16, 12), (0, 8, 16, 20)], (16, 32), 2.0)
    assert float(found.sum(0).max()) == 1
    torch.testing.assert_close(found[:, 8, 10], torch.tensor([0.5, 0.5]))
    assert float(found[:, :, 28].max()) == 0


@pytest.mark.parametrize(
    ("begin", "end", "expected"),
    [(0, 8, (0, 32)), (10, 20, (0, 32)), (40, 44, (26, 58)), (60, 64, (32, 64)), (3, 45.5, (2, 46))],
)
def test_a_window_is_the_part_and_what_was_trained_on(begin: float, end: float, expected: tuple[int, int]) -> None:
    found = window(64, begin, end, 32, 2)
    assert (found.start, found.stop) == expected
    assert found.start <= begin < end <= found.stop
    assert found.start % 2 == found.stop % 2 == 0


def test_each_denoiser_paints_its_box() -> None:
    seen: list[tuple[int, int]] = []
    found = regional(flat(0.0), [Part(flat(1.0, seen), (0, 0, 32, 20))], (32, 32), feather=4.0)  # type: ignore[arg-type]
    x = torch.zeros(2, 3, 32, 64)
    d = found(x, SIGMA)
    assert seen == [(32, 32)]
    assert (float(d[..., :17].min()), float(d[..., 23:].max())) == (1, 0)
    assert torch.equal(d[0], d[1])


def test_nobody_asks_for_what_is_covered() -> None:
    def never(x: Tensor, sigma: Tensor) -> Tensor:
        raise AssertionError

    halves = [Part(flat(2.0), (0, 0, 32, 32)), Part(flat(2.0), (0, 32, 32, 64))]  # type: ignore[arg-type]
    d = regional(never, halves, (16, 16), feather=6.0)(torch.zeros(1, 3, 32, 64), SIGMA)
    torch.testing.assert_close(d, torch.full_like(d, 2.0))
