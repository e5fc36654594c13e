"""Packed weights and Winograd's filters: the same function, the same state dict, nothing where they cannot be had."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sfumato import Studio
from sfumato.errors import RequestError, UnknownNameError
from sfumato.models.circular import make_circular
from sfumato.nn import packed, winograd
from sfumato.nn.packed import (
    PackedConv2d,
    PackedLinear,
    choose_engine,
    filter_bytes,
    pack,
    packed_bytes,
    without_filters,
)
from sfumato.nn.sharing import sharing
from sfumato.runtime.races import Races

GIB = 1 << 30


class Fixed(Races):
    """Races whose winner is the last way, which is not the plain one."""

    def __init__(self) -> None:
        super().__init__(None)
        self.raced: list[str] = []

    def winner(self, race: str, ways: Mapping[str, Callable[[], object]]) -> str:
        self.raced.append(race)
        return list(ways)[-1]


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> Fixed:
    """Everything is large enough, and packed ways win."""
    fixed = Fixed()
    monkeypatch.setattr(packed, "SMALL", 0)
    monkeypatch.setattr(packed, "races", lambda: fixed)
    return fixed


def network() -> nn.Sequential:
    torch.manual_seed(0)
    layers = [
        nn.Conv2d(32, 64, 3, padding=1),
        nn.Conv2d(64, 32, 3, stride=2, padding=1),
        nn.Conv2d(32, 48, 1),
        nn.Conv2d(48, 48, 3, padding=1, groups=4),
        nn.Flatten(2),
        nn.Linear(10 * 8, 40),
        nn.Linear(40, 24, bias=False),
    ]
    return nn.Sequential(*layers).requires_grad_(False).eval()


X = torch.randn(2, 32, 19, 15, generator=torch.Generator().manual_seed(1))


def relative(ours: torch.Tensor, right: torch.Tensor) -> float:
    return float((ours.double() - right.double()).norm() / right.double().norm())


@pytest.mark.parametrize("shape", [(1, 32, 5, 4), (2, 40, 19, 15), (3, 32, 16, 16), (1, 32, 70, 67), (5, 33, 9, 30)])
@pytest.mark.parametrize("bias", [True, False])
def test_winograd_is_the_convolution(shape: tuple[int, ...], bias: bool) -> None:
    """Any size, odd ones too, of whole images and of rows of one in a band; nearly as exact as the direct way."""
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(shape, generator=generator).contiguous(memory_format=torch.channels_last)
    weight = torch.randn(48, shape[1], 3, 3, generator=generator)
    shift = torch.randn(48, generator=generator) if bias else None
    bands = winograd.Bands.of(x.shape, 4)
    ours = winograd.convolve(x, winograd.filters(weight, bands), bands, shift, 48)
    right = F.conv2d(x.double(), weight.double(), None if shift is None else shift.double(), padding=1)
    assert ours.shape == right.shape
    assert relative(ours, right) < 1e-5


def test_a_packed_network_computes_the_same_and_has_the_same_state(eager: Fixed) -> None:
    plain = network()
    state = {name: value.clone() for name, value in plain.state_dict().items()}
    right = plain(X)
    pack([plain], GIB)
    with torch.inference_mode():
        assert relative(plain(X), right) < 1e-5
    kept = packed_bytes(plain)
    assert kept["packed"] > kept["plain"]  # in place of the plain ones, not beside them
    assert kept["filters"] == 36 * 32 * 64 * 4
    for name, value in plain.state_dict().items():
        assert torch.equal(value, state[name]), name
    assert filter_bytes(plain) == kept["filters"]
    without_filters(plain)
    with torch.inference_mode():
        assert relative(plain(X), right) < 1e-5
    assert packed_bytes(plain)["filters"] == filter_bytes(plain) == 0


def test_a_copy_shares_packed_weights_until_one_is_replaced(eager: Fixed) -> None:
    """As adapters do it, on and off to the bit."""
    base = network()
    pack([base], GIB)
    with torch.inference_mode():
        before = base(X)
    twin = sharing(base)
    assert all(a is b for a, b in zip(base.parameters(), twin.parameters(), strict=True))
    for name in ("0", "1", "5"):
        module = twin.get_submodule(name)
        module.weight = nn.Parameter(base.state_dict()[f"{name}.weight"] * 2, requires_grad=False)
    doubled = network()
    for name in ("0", "1", "5"):
        doubled.get_submodule(name).weight.mul_(2)  # type: ignore[operator, union-attr]
    with torch.inference_mode():
        assert relative(twin(X), doubled(X)) < 1e-5
        assert torch.equal(base(X), before)


def test_gradients_are_those_of_the_plain_network(eager: Fixed) -> None:
    plain, ours = network(), network()
    pack([ours], GIB)
    with torch.inference_mode():
        ours(X)  # packs
    gradients = []
    for net in (plain, ours):
        x = X.clone().requires_grad_()
        net(x).square().sum().backward()
        assert x.grad is not None
        gradients.append(x.grad)
    assert torch.equal(*gradients)


def test_packed_convolutions_become_circular(eager: Fixed) -> None:
    plain, ours = network(), network()
    pack([ours], GIB)
    with torch.inference_mode():
        ours(X)
        for net in (plain, ours):
            make_circular(net, "both")
        assert relative(ours(X), plain(X)) < 1e-5


def test_the_memory_of_filters_goes_to_the_smallest_weights_first() -> None:
    wide, narrow = nn.Conv2d(64, 64, 3, padding=1), nn.Conv2d(32, 32, 3, padding=1)
    net = nn.Sequential(wide, narrow)
    pack([net], 36 * 32 * 32 * 4)
    first, second = net
    assert isinstance(first, PackedConv2d)
    assert isinstance(second, PackedConv2d)
    assert (first.filtered, second.filtered) == (False, True)


def test_what_is_raced_knows_nothing_of_the_batch(eager: Fixed) -> None:
    """A picture is the same alone and in any batch, of which the way it is computed is a part."""
    net = network()
    pack([net], GIB)
    with torch.inference_mode():
        net[0](X)
        net[0](X.repeat(3, 1, 1, 1))
    assert len(set(eager.raced)) == 1


def test_small_products_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    fixed = Fixed()
    monkeypatch.setattr(packed, "races", lambda: fixed)
    ours, plain = network(), network()
    pack([ours], GIB)
    with torch.inference_mode():
        assert torch.equal(ours(X), plain(X))
    assert not fixed.raced


def test_operators_that_fail_are_not_used(monkeypatch: pytest.MonkeyPatch, tiny: Path) -> None:
    """Missing, or giving another result: plain, and the packed engine is refused with the reason."""

    def wrong(x: torch.Tensor, *_: object) -> torch.Tensor:
        return x.new_zeros(*x.shape[:-1], 48)

    packed.fault.cache_clear()
    monkeypatch.setattr(packed, "_linear", wrong)
    try:
        assert "linear in float32 is off" in str(packed.fault(torch.float32))
        net = network()
        pack([net], GIB)
        assert not any(isinstance(module, PackedLinear | PackedConv2d) for module in net)
        assert choose_engine(torch.device("cpu"), torch.float32) == "plain"
        with pytest.raises(RequestError, match="packed engine cannot be had here: linear in float32"):
            Studio(tiny, precision="fp32", engine="packed")
    finally:
        packed.fault.cache_clear()


def test_engines_by_name() -> None:
    cpu = torch.device("cpu")
    assert choose_engine(cpu, torch.float32, "auto", weights=10) == "plain"
    assert choose_engine(cpu, torch.float32, "plain") == "plain"
    assert choose_engine(cpu, torch.float32, "packed", weights=10) == "packed"
    assert choose_engine(torch.device("cuda"), torch.float32) == "plain"
    with pytest.raises(RequestError, match="not for cuda"):
        choose_engine(torch.device("cuda"), torch.float32, "packed")
    with pytest.raises(UnknownNameError, match="openvino"):
        choose_engine(cpu, torch.float32, "openvino")  # type: ignore[arg-type]


def test_pictures_of_both_engines_are_the_same_but_for_rounding(eager: Fixed, tiny: Path) -> None:
    """And the engine is written down, with which replay paints again."""
    options = {"width": 64, "height": 64, "steps": 2, "seed": 3}
    plain = Studio(tiny, precision="fp32", engine="plain").txt2img("a red fox", **options)  # type: ignore[arg-type]
    ours = Studio(tiny, precision="fp32", engine="packed").txt2img("a red fox", **options)  # type: ignore[arg-type]
    assert eager.raced
    assert plain.provenance.engine == "plain"
    assert ours.provenance.engine == "packed"
    assert ours.provenance.fields()["Engine"] == "packed"
    assert ours.provenance.differences(plain.provenance) == ("engine packed, now plain",)
    pairs = zip(plain.images[0].tobytes(), ours.images[0].tobytes(), strict=True)
    assert max(abs(a - b) for a, b in pairs) <= 1
