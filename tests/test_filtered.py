"""Convolutions by minimal filtering in training: the same function and gradients, the same parameters."""

import copy

import pytest
import torch
from torch import nn

from sfumato.nn.filtered import FilteredConv2d, cheapest, train_filtered


@pytest.mark.parametrize("m", [2, 4])
@pytest.mark.parametrize("size", [(4, 4), (8, 12), (7, 5), (1, 3)])
@pytest.mark.parametrize("biased", [True, False])
def test_it_is_the_convolution_and_its_gradients(
    m: int, size: tuple[int, int], biased: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sfumato.nn.filtered.cheapest", lambda shape, outputs: m)
    torch.manual_seed(0)
    conv = nn.Conv2d(20, 12, 3, padding=1, bias=biased)
    x = torch.randn(3, 20, *size).to(memory_format=torch.channels_last).requires_grad_()
    network = nn.Sequential(copy.deepcopy(conv))
    train_filtered(network)
    assert isinstance(network[0], FilteredConv2d)
    gradient = torch.randn(3, 12, *size)
    found, right = network(x), conv(x)
    found += 0  # in place, as blocks do
    assert off(found, right) < 1e-5
    ours = torch.autograd.grad(found, [x, *network.parameters()], gradient)
    theirs = torch.autograd.grad(right, [x, *conv.parameters()], gradient)
    for own, other in zip(ours, theirs, strict=True):
        assert off(own, other) < 1e-5


def off(found: torch.Tensor, right: torch.Tensor) -> float:
    return float((found - right).norm() / right.norm())


def test_a_network_stays_what_it_is() -> None:
    network = nn.Sequential(
        nn.Conv2d(64, 64, 3, padding=1), nn.Conv2d(64, 32, 3, stride=2, padding=1), nn.Conv2d(32, 32, 1)
    )
    before = dict(network.named_parameters())
    train_filtered(network)
    assert [isinstance(layer, FilteredConv2d) for layer in network] == [True, False, False]
    after = dict(network.named_parameters())
    assert before.keys() == after.keys()
    assert all(before[name] is after[name] for name in before)
    twin = copy.deepcopy(network)
    with torch.no_grad():
        before["0.weight"].mul_(2)
    assert not torch.equal(dict(twin.named_parameters())["0.weight"], before["0.weight"])


def test_an_adapted_layer_is_left_alone() -> None:
    network = nn.Sequential(nn.Conv2d(64, 64, 3, padding=1))
    network[0].forward = lambda x: x  # type: ignore[method-assign]
    train_filtered(network)
    assert type(network[0]) is nn.Conv2d


def test_what_it_costs_decides() -> None:
    """Layers on large maps are filtered; not narrow ones, nor those with more filters than places."""
    assert cheapest(torch.Size((16, 64, 16, 16)), 64) == 4
    assert cheapest(torch.Size((1, 320, 64, 64)), 320) == 4
    assert cheapest(torch.Size((16, 256, 4, 4)), 256) == 2
    assert cheapest(torch.Size((1, 1280, 16, 16)), 1280) is None
    assert cheapest(torch.Size((16, 4, 16, 16)), 64) is None
    assert cheapest(torch.Size((1, 64, 2, 2)), 64) is None


def test_other_precisions_take_the_definition() -> None:
    layer = nn.Sequential(nn.Conv2d(64, 64, 3, padding=1))
    right = nn.Conv2d(64, 64, 3, padding=1)
    right.load_state_dict(layer[0].state_dict())
    train_filtered(layer)
    x = torch.randn(2, 64, 16, 16)
    with torch.autocast("cpu", torch.bfloat16):
        found = layer(x)
        assert found.dtype == torch.bfloat16
        assert torch.equal(found, right(x))
    layer.double()
    assert torch.equal(layer(x.double()), right.double()(x.double()))
