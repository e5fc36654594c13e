"""Adapters that we train, as diffusers loads them: the same picture from either file."""

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import load_file

from sfumato import Studio
from sfumato.adapters.trained import Adapters, Form, MethodName, attach
from sfumato.adapters.written import DIFFUSERS, Trained, write_adapter
from sfumato.model import Model
from tests.parity.measure import assert_same_picture
from tests.parity.sd3 import make_sd3
from tests.parity.test_adapters import PROMPT, SETTINGS, Pair, painted_by
from tests.parity.test_sdxl import make_base

pytestmark = pytest.mark.parity


def written(model: Model, method: MethodName, folder: Path, targets: tuple[str, ...] | None = None) -> list[Path]:
    """A trained adapter's files, of numbers that show."""
    attached, adapters = attach(model, Form(method=method, rank=4, alpha=8.0, targets=targets))
    assert isinstance(adapters, Adapters)
    generator = torch.Generator().manual_seed(3)
    for parameter in adapters.parameters():
        parameter.data += 0.2 * torch.randn(parameter.shape, generator=generator)
    own = [Trained(name, parts, attached.scales[name]) for name, parts in adapters.pieces().items()]
    return write_adapter(folder, "ink", own, model, {}, dtype=torch.float32)


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("lora", "locon")]


@pytest.mark.parametrize("method", [*SLOW, "dora"])
def test_of_the_first_form(method: MethodName, sd1: Pair, tmp_path: Path) -> None:
    studio = Studio(sd1[1], device="cpu", precision="fp32")
    ours, theirs = written(studio.load(), method, tmp_path)
    assert theirs.name == DIFFUSERS
    painted = studio.txt2img(PROMPT, loras=[str(ours)], **SETTINGS)[0]
    plain = studio.txt2img(PROMPT, **SETTINGS)[0]
    assert painted.tobytes() != plain.tobytes()
    for file in (theirs,) if method == "dora" else (theirs, ours):
        pipeline: Any = StableDiffusionPipeline.from_pretrained(sd1[1], safety_checker=None)
        pipeline.load_lora_weights(file.parent, weight_name=file.name)
        assert_same_picture(painted, painted_by(pipeline))


def test_of_sdxl(tmp_path: Path) -> None:
    """kohya's names follow LDM's blocks."""
    pipeline, path = make_base(tmp_path)
    studio = Studio(path, device="cpu", precision="fp32")
    ours, _ = written(studio.load(), "lora", tmp_path)
    names = load_file(ours)
    assert all("_blocks_" in name for name in names)
    assert any(name.startswith("lora_unet_input_blocks_") for name in names)
    painted = studio.txt2img(PROMPT, loras=[str(ours)], **SETTINGS)[0]
    pipeline.load_lora_weights(tmp_path, weight_name=DIFFUSERS)
    assert_same_picture(painted, painted_by(pipeline))


def test_of_the_third_form(tmp_path: Path) -> None:
    """q, k and v are one in kohya's file."""
    pipeline: Any = make_sd3(tmp_path, with_t5=False)
    studio = Studio(tmp_path / "model", device="cpu", precision="fp32")
    ours, _ = written(studio.load(), "lora", tmp_path)
    assert "lora_unet_joint_blocks_0_x_block_attn_qkv.lora_down.weight" in load_file(ours)
    painted = studio.txt2img(PROMPT, loras=[str(ours)], **SETTINGS)[0]
    plain = studio.txt2img(PROMPT, **SETTINGS)[0]
    assert painted.tobytes() != plain.tobytes()
    pipeline.load_lora_weights(tmp_path, weight_name=DIFFUSERS)
    assert_same_picture(painted, painted_by(pipeline))
