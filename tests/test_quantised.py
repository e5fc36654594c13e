"""Products of 8-bit numbers: near what they stand for, alike alone and in a batch, refused where a CPU lacks them."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sfumato.diffusion.conditioning import Conditioning
from sfumato.errors import RequestError
from sfumato.models.circular import make_circular
from sfumato.models.unet import UNet, UNetConfig
from sfumato.nn import quantised
from sfumato.nn.packed import pack
from sfumato.nn.quantised import QuantisedConv2d, QuantisedLinear, fault, quantise, rounded, seen, whole_weight
from sfumato.nn.sharing import sharing
from sfumato.nn.stored import cast_in_use
from sfumato.studio import Studio

DTYPES = [torch.float32, torch.bfloat16]
able = pytest.mark.skipif(fault() is not None, reason=str(fault()))
"""What multiplies needs a CPU that can; all else is tried on any."""


def off(found: torch.Tensor, right: torch.Tensor) -> float:
    return float((found.float() - right.float()).norm() / right.float().norm())


def test_weights_are_rounded_to_the_nearest_of_255_numbers_in_each_channel() -> None:
    weight = torch.randn(6, 5, 3, 3) * torch.tensor([1e-30, 1e-3, 1.0, 5.0, 1e4, 0.0]).view(6, 1, 1, 1)
    numbers, step = rounded(weight)
    assert numbers.dtype == torch.int8
    assert int(numbers[:5].flatten(1).abs().amax(1).min()) == 127
    assert bool((numbers[5] == 0).all())
    again = numbers.float() * step.view(6, 1, 1, 1)
    assert bool(((again - weight).abs() <= 0.5001 * step.view(6, 1, 1, 1)).all())


@pytest.mark.parametrize(("low", "high"), [(-1.0, 1.0), (0.5, 3.0), (-4.0, -2.0), (0.0, 0.0)])
def test_activations_use_the_whole_range_and_0_is_one_of_them(low: float, high: float) -> None:
    x = torch.rand(1, 7, 9) * (high - low) + low
    before = x.clone()
    found = seen(x)
    assert found is not None
    numbers, step, zero = found
    assert numbers.dtype == torch.uint8
    assert 0 <= zero <= 255
    assert torch.equal(x, before)
    assert float(((numbers.float() - zero) * step - x).abs().max()) <= 0.51 * step


def test_what_is_not_finite_is_not_rounded_away() -> None:
    for value in (float("nan"), float("inf"), -float("inf")):
        x = torch.randn(1, 256, 512)
        x[0, 3, 4] = value
        assert seen(x) is None
        with torch.inference_mode():
            assert not bool(QuantisedLinear(nn.Linear(512, 256))(x).isfinite().all())


@able
@torch.inference_mode()
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("size", "stride", "padding"), [(3, 1, 1), (3, 2, 1), (1, 1, 0)])
def test_a_convolution_is_near_its_own(dtype: torch.dtype, size: int, stride: int, padding: int) -> None:
    conv = nn.Conv2d(96, 160, size, stride, padding).to(dtype)
    x = (torch.randn(2, 96, 40, 36) + 0.7).to(dtype)
    ours, theirs = QuantisedConv2d(conv), F.conv2d(x, conv.weight, conv.bias, stride, padding)
    found = ours(x)
    assert found.dtype == dtype
    assert ours.weight.dtype == torch.int8
    assert 1e-4 < off(found, theirs) < 0.02


@able
@torch.inference_mode()
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_picture_is_the_same_alone_and_in_a_batch(dtype: torch.dtype) -> None:
    linear, conv = QuantisedLinear(nn.Linear(128, 320).to(dtype)), QuantisedConv2d(nn.Conv2d(64, 96, 3, 1, 1).to(dtype))
    rows, maps = torch.randn(3, 600, 128).to(dtype), torch.randn(3, 64, 20, 24).to(dtype)
    rows[1] *= 50
    for layer, x in ((linear, rows), (conv, maps)):
        both = layer(x)
        for i in range(3):
            assert torch.equal(both[i : i + 1], layer(x[i : i + 1]))


@able
@torch.inference_mode()
def test_state_dicts_show_the_weight_that_is_computed_with() -> None:
    network = nn.Sequential(nn.Linear(256, 256), nn.Linear(256, 256))
    plain = {name: value.clone() for name, value in network.state_dict().items()}
    quantise(network)
    assert all(torch.equal(value, plain[name]) for name, value in network.state_dict().items())
    x = torch.randn(1, 400, 256)
    once = network(x)
    shown = network.state_dict()
    assert 0 < off(shown["0.weight"], plain["0.weight"]) < 0.01
    quantise(again := nn.Sequential(nn.Linear(256, 256), nn.Linear(256, 256)))
    again.load_state_dict(shown)
    assert torch.equal(again(x), once)  # what is shown is rounded to itself


@able
@torch.inference_mode()
def test_a_copy_with_another_weight_leaves_the_original_as_it_was() -> None:
    layer = QuantisedLinear(nn.Linear(256, 128))
    x = torch.randn(1, 400, 256)
    once = layer(x)
    twin = sharing(layer)
    assert twin.weight is layer.weight
    twin.weight = nn.Parameter(-2 * whole_weight(layer), requires_grad=False)
    bias = layer.bias.detach()
    assert off(twin(x) - bias, -2 * (once - bias)) < 1e-5
    assert torch.equal(layer(x), once)


@able
@torch.inference_mode()
def test_weights_as_their_file_has_them_are_rounded_alike() -> None:
    """Those that are mapped from a float16 file, and those that were cast to bfloat16 first."""
    stored, cast = (
        nn.Sequential(nn.Linear(256, 256, bias=False), nn.Conv2d(64, 64, 3, 1, 1, bias=False)).half() for _ in range(2)
    )
    cast.load_state_dict(stored.state_dict())
    cast_in_use(stored, torch.bfloat16)
    for network in (stored, cast.bfloat16()):
        quantise(network)
    for layer, other, shape in zip(stored, cast, [(2, 400, 256), (2, 64, 24, 24)], strict=True):
        x = torch.randn(shape).bfloat16()
        assert torch.equal(layer(x), other(x))
        assert layer.weight.dtype == torch.int8


@able
def test_gradients_go_by_the_kept_weight() -> None:
    layer = QuantisedLinear(nn.Linear(256, 128).requires_grad_(False))
    x = torch.randn(1, 400, 256)
    with torch.inference_mode():
        layer(x)
    x = x.clone().requires_grad_()
    layer(x).sum().backward()
    assert x.grad is not None
    assert torch.allclose(x.grad[0, 0], whole_weight(layer).sum(0), atol=1e-4)


@able
@torch.inference_mode()
def test_a_u_net_in_8_bits_is_near_its_own_and_labels_stay_exact() -> None:
    torch.manual_seed(0)
    config = UNetConfig(block_out_channels=(64, 128), attention_head_dim=8, cross_attention_dim=96, layers_per_block=1,
                        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
                        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"))  # fmt: skip
    network = UNet(config).eval()
    own = copy.deepcopy(network)
    quantise(network)
    pack([network], 0)
    given = torch.randn(2, 4, 32, 32), torch.tensor([500.0, 500.0]), Conditioning(torch.randn(2, 77, 96))
    assert 0 < off(network(*given), own(*given)) < 0.05
    used = {name for name, module in network.named_modules() if getattr(module, "_kept", None) is not None}
    assert len(used) > 10
    assert not any("time" in name for name in used)
    assert not {"conv_in", "conv_out"} & used


@able
@torch.inference_mode()
def test_circular_convolutions_take_the_weight_that_was_kept() -> None:
    network, bias = nn.Sequential(nn.Conv2d(64, 64, 3, 1, 1)), torch.randn(64)
    network.load_state_dict({"0.bias": bias}, strict=False)
    quantise(network)
    x = torch.randn(1, 64, 24, 24)
    network(x)
    kept = network.state_dict()["0.weight"]
    make_circular(network, "both")
    right = F.conv2d(F.pad(x, (1, 1, 1, 1), mode="circular"), kept, bias)
    assert off(network(x), right) < 1e-5


@able
def test_nano_in_8_bits_paints_nearly_the_same_and_says_so() -> None:
    pictures = {}
    for precision in ("fp32", "int8"):
        studio = Studio(precision=precision)
        result = studio.txt2img("a red apple, white background", seed=1, steps=4, width=512, height=512)
        pictures[precision] = np.asarray(result.images[0], dtype=float)
        assert result.provenance.precision == precision
    assert 0 < float(np.abs(pictures["fp32"] - pictures["int8"]).mean()) < 4


def test_a_cpu_without_such_products_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    fault.cache_clear()
    monkeypatch.setattr(quantised, "cpu_flags", lambda: frozenset({"avx2"}))
    with pytest.raises(RequestError, match=r"int8 cannot be had here: this CPU has no VNNI or AMX.*use bf16"):
        Studio(precision="int8")
    fault.cache_clear()


def test_operators_that_are_gone_are_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    fault.cache_clear()
    monkeypatch.setattr(quantised, "cpu_flags", lambda: frozenset({"avx512_vnni"}))
    monkeypatch.setattr(quantised, "_trial", lambda _: 1 / 0)
    assert "division by zero" in str(fault())
    fault.cache_clear()
