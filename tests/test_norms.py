"""Our group normalisation is torch's, forwards and backwards, on small maps as well."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sfumato.nn.norms import SMALL_MAP, GroupNorm

SHAPES = [(2, 64, 16, 16), (3, 12, 4, 6), (1, 8, 1, 1), (2, 32, 32, 32)]


def both(
    shape: tuple[int, ...], dtype: torch.dtype, groups: int = 4
) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """Output and three gradients: in float64, by torch and by ours in `dtype`."""
    torch.manual_seed(0)
    norm = GroupNorm(groups, shape[1], eps=1e-6)
    torch.nn.init.uniform_(norm.weight, 0.5, 2)
    torch.nn.init.normal_(norm.bias)
    x = (
        (torch.randn(shape) * 3 + torch.randn(1, shape[1], 1, 1))
        .to(dtype)
        .contiguous(memory_format=torch.channels_last)
    )
    dy = torch.randn(shape).to(dtype).contiguous(memory_format=torch.channels_last)

    def run(of: torch.dtype, *, ours: bool) -> list[Tensor]:
        leaf = x.to(of).requires_grad_()
        weight, bias = (
            p.detach().to(of if of == torch.float64 else p.dtype).requires_grad_() for p in norm.parameters()
        )
        if ours:
            y = torch.func.functional_call(norm, {"weight": weight, "bias": bias}, (leaf,))
        else:
            y = F.group_norm(leaf, groups, weight, bias, 1e-6)
        return [y, *torch.autograd.grad(y, (leaf, weight, bias), dy.to(of))]

    return run(torch.float64, ours=False), run(dtype, ours=False), run(dtype, ours=True)


def distance(a: Tensor, b: Tensor) -> float:
    """Relative."""
    return float((a.detach().double() - b.detach()).norm() / b.detach().norm())


@pytest.mark.parametrize("shape", SHAPES)
def test_the_same_function_and_gradients_in_float32(shape: tuple[int, ...]) -> None:
    for truth, _, ours in zip(*both(shape, torch.float32), strict=True):
        if shape[2:] != (1, 1) or truth.norm() > 1e-3:
            assert distance(ours, truth) < 1e-5


@pytest.mark.parametrize("shape", SHAPES[:2])
def test_bfloat16_is_rounded_about_as_torch_rounds_it(shape: tuple[int, ...]) -> None:
    for truth, torchs, ours in zip(*both(shape, torch.bfloat16), strict=True):
        assert ours.dtype == torchs.dtype
        assert ours.shape == torchs.shape
        assert distance(ours, truth) < 2 * distance(torchs, truth) + 2e-3


def test_small_maps_stay_channels_last_and_others_are_torchs() -> None:
    norm = GroupNorm(2, 4)
    with torch.inference_mode():
        x = torch.randn(2, 4, 8, 8)
        small = norm(x.contiguous(memory_format=torch.channels_last))
        assert small.is_contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(small, norm(x))
        side = int(SMALL_MAP**0.5)
        large = torch.randn(1, 4, side, side).contiguous(memory_format=torch.channels_last)
        assert torch.equal(norm(large), F.group_norm(large, 2))


def test_a_constant_map_has_no_deviation_to_divide_by() -> None:
    x = torch.full((1, 4, 4, 4), 1000.0).contiguous(memory_format=torch.channels_last)
    assert float(GroupNorm(2, 4)(x).detach().abs().max()) < 1.0
