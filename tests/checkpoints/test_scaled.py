"""Weights of one byte with scales: read as the numbers that they stand for, wherever weights are read."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from sfumato import Studio
from sfumato.checkpoints.inspect import inspect
from sfumato.checkpoints.tensor_file import open_tensors
from sfumato.checkpoints.tensors import read_tensors
from sfumato.cli import main
from sfumato.errors import CheckpointError
from sfumato.training.checkpoint import take_over

UNET = "unet/diffusion_pytorch_model.safetensors"
State = dict[str, Tensor]


def scaled(state: State, dtype: torch.dtype, suffix: str, rows: bool = False) -> State:
    """All matrices and kernels in one byte."""
    largest = 127.0 if dtype == torch.int8 else torch.finfo(dtype).max
    found: State = {}
    for name, weight in state.items():
        if weight.ndim < 2 or not name.endswith(".weight"):
            found[name] = weight
            continue
        wide = weight.float()
        step = (wide.flatten(1).abs().amax(1) if rows else wide.abs().amax()).clamp_min(1e-6) / largest
        steps = step.reshape(-1, *[1] * (weight.ndim - 1)) if rows else step
        found[name] = ((wide / steps).round() if dtype == torch.int8 else wide / steps).to(dtype)
        found[f"{name.removesuffix('weight')}{suffix}"] = step[:, None] if rows else step
    return found


@pytest.mark.parametrize(
    ("dtype", "suffix", "rows", "off"),
    [
        (torch.float8_e4m3fn, "scale_weight", False, 1 / 16),
        (torch.float8_e4m3fn, "weight_scale", True, 1 / 16),
        (torch.float8_e5m2, "weight_scale", False, 1 / 8),
        (torch.int8, "weight_scale", False, 0),
        (torch.int8, "weight_scale", True, 0),
    ],
)
def test_a_checkpoint_paints_as_its_weights_do(
    single: Path, tmp_path: Path, dtype: torch.dtype, suffix: str, rows: bool, off: float
) -> None:
    state = load_file(single)
    with safe_open(single, framework="pt") as opened:
        metadata = opened.metadata()
    stored = scaled(state, dtype, suffix, rows)
    stored["model.diffusion_model.scaled_fp8"] = torch.zeros(0, dtype=torch.float8_e4m3fn)
    layer = next(name for name in stored if name.endswith(suffix)).rpartition(".")[0]
    stored[f"{layer}.input_scale"] = torch.tensor(1.0)
    stored[f"{layer}.comfy_quant"] = torch.tensor(list(b'{"format": "float8_e4m3fn"}'), dtype=torch.uint8)
    small = tmp_path / "small.safetensors"
    save_file(stored, small, metadata=metadata)

    read = read_tensors(small)
    assert {name: x.shape for name, x in read.items()} == {name: x.shape for name, x in state.items()}
    assert open_tensors(small).shapes == open_tensors(single).shapes
    for name, tensor in state.items():
        given, wide = stored[name], tensor.float()
        if given.dtype != dtype:
            assert torch.equal(read[name], tensor)
            continue
        step = stored[f"{name.removesuffix('weight')}{suffix}"].reshape(-1, *[1] * (tensor.ndim - 1))
        error = (read[name].float() - wide).abs()
        assert bool((error <= step * 0.51 + wide.abs() * (off + 1 / 256)).all())
    report = inspect(small)
    assert report.good
    assert report.parameters == inspect(single).parameters
    save_file({name: read[name].float() for name in state}, tmp_path / "whole.safetensors", metadata=metadata)
    paintings = [
        Studio(path, device="cpu", precision="fp32").txt2img("a fox", seed=1, steps=2, width=32, height=32)[0]
        for path in (small, tmp_path / "whole.safetensors")
    ]
    assert paintings[0].tobytes() == paintings[1].tobytes()


def test_a_folder_is_read_and_trained_on(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "small"
    shutil.copytree(folder, target)
    stored = scaled(load_file(target / UNET), torch.int8, "weight_scale")
    save_file(stored, target / UNET, metadata={"format": "pt"})
    network = Studio(target, device="cpu", precision="fp32").load().network
    weight = network.state_dict()["conv_in.weight"]
    assert torch.equal(weight, (stored["conv_in.weight"].float() * stored["conv_in.weight_scale"]).bfloat16().float())
    fresh = Studio(folder, device="cpu", precision="fp32").load().network
    take_over(fresh, target / "unet")
    assert torch.equal(fresh.state_dict()["conv_in.weight"], weight)


def blocks(state: State) -> dict[str, str]:
    state["a.weight_scale"] = torch.ones(4, 2)
    return {}


def two_scales(state: State) -> dict[str, str]:
    state["a.weight_scale_2"] = torch.tensor(1.0)
    return {}


def packed(state: State) -> dict[str, str]:
    state["a.weight"] = torch.zeros(4, 4, dtype=torch.uint8)
    return {}


def both_names(state: State) -> dict[str, str]:
    state["a.scale_weight"] = torch.tensor(1.0)
    return {}


def rotated(state: State) -> dict[str, str]:
    state["a.comfy_quant"] = torch.tensor(list(b'{"format": "int8_tensorwise", "convrot": true}'), dtype=torch.uint8)
    return {}


def unreadable(state: State) -> dict[str, str]:
    state["a.comfy_quant"] = torch.tensor([255, 1], dtype=torch.uint8)
    return {}


def listed(state: State) -> dict[str, str]:
    return {"_quantization_metadata": json.dumps({"layers": {"a": {"format": "nvfp4"}}})}


def of_bitsandbytes(state: State) -> dict[str, str]:
    state.pop("a.weight_scale")
    state["a.weight.absmax"] = torch.ones(2)
    return {}


@pytest.mark.parametrize(
    "change", [of_bitsandbytes, blocks, two_scales, packed, both_names, rotated, unreadable, listed]
)
def test_forms_that_a_scale_does_not_undo_are_refused(
    change: Callable[[State], dict[str, str]], tmp_path: Path
) -> None:
    state: State = {"a.weight": torch.ones(4, 4, dtype=torch.int8), "a.weight_scale": torch.tensor(0.5)}
    path = tmp_path / "a.safetensors"
    save_file(state, path, metadata={"_quantization_metadata": "broken"})
    assert torch.equal(read_tensors(path)["a.weight"], torch.full((4, 4), 0.5).bfloat16())
    save_file(state, path, metadata=change(state))
    with pytest.raises(CheckpointError, match=r"'a.weight' is stored in a form that is not known here; give the model"):
        read_tensors(path)


def test_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state: State = {"a.weight": torch.ones(4, 4, dtype=torch.int8), "a.weight_scale": torch.ones(4, 2)}
    path = tmp_path / "a.safetensors"
    save_file(state, path)
    assert main(["txt2img", "a fox", "--model", str(path), "--quiet", "-o", str(tmp_path / "a.png")]) == 2
    assert re.search("is stored in a form that is not known here", " ".join(capsys.readouterr().err.split()))


def test_other_tensors_of_such_names_are_left_alone(tmp_path: Path) -> None:
    state = {"weight_scale": torch.ones(2), "a.input_scale": torch.ones(2), "b.weight_scale": torch.ones(1)}
    save_file(state, tmp_path / "a.safetensors")
    assert read_tensors(tmp_path / "a.safetensors").keys() == state.keys()
