"""Editing by instruction and painting by depth: what is refused, what is written down."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sfumato import Studio
from sfumato.checkpoints.save import save_part
from sfumato.errors import RequestError
from sfumato.metadata.describe import describe
from sfumato.models.unet import UNet
from sfumato.output import read_request


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    return Image.linear_gradient("L").resize((61, 64)).convert("RGB")


def wide(channels: int, tiny: Path, folder: Path) -> Studio:
    """The tiny model, with a network that takes so many channels."""
    network = Studio(tiny, device="cpu", precision="fp32").load().network
    assert isinstance(network, UNet)
    shutil.copytree(tiny, folder, ignore=shutil.ignore_patterns("unet"))
    torch.manual_seed(2)
    config = replace(network.config, in_channels=channels)
    save_part(folder, "unet", UNet(config), config, torch.float32)
    return Studio(folder, device="cpu", precision="fp32")


def test_edit_says_what_it_did_and_does_it_again(tiny: Path, photo: Image.Image, tmp_path: Path) -> None:
    studio = wide(8, tiny, tmp_path / "model")
    once = studio.edit(photo, "make it red", steps=2, seed=1, guidance=3.0)
    assert once[0].size == (61, 64)
    fields = describe(once.request, once.provenance).fields
    assert (fields["Image CFG scale"], fields["Denoising strength"]) == ("1.5", "1")
    [file] = once.save(tmp_path / "a.png")
    request = read_request(file)
    photo.save(tmp_path / "in.png")
    named = request.changed(image=tmp_path / "in.png")
    assert studio.run(named)[0].tobytes() == once[0].tobytes()


@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_each_guidance_counts(guidance: float, tiny: Path, photo: Image.Image, tmp_path: Path) -> None:
    """Even with that of the words off."""
    studio = wide(8, tiny, tmp_path / "model")
    options = {"steps": 2, "seed": 1, "guidance": guidance}
    pictures = [
        np.asarray(studio.edit(photo, "make it red", image_guidance=scale, **options)[0], int) for scale in (1.0, 4.0)
    ]
    assert np.abs(pictures[0] - pictures[1]).max() > 4


def test_what_cannot_be_done_is_said_in_one_line(tiny: Path, photo: Image.Image, tmp_path: Path) -> None:
    by_words, by_depth = wide(8, tiny, tmp_path / "eight"), wide(5, tiny, tmp_path / "five")
    with pytest.raises(RequestError, match="AND out, or give image_guidance 1"):
        by_words.edit(photo, "red AND blue", steps=1, guidance=3.0)
    with pytest.raises(RequestError, match="eight takes no depth map"):
        by_words.depth2img(photo, "a fox", depth=photo)
    with pytest.raises(RequestError, match="give --depth FILE, white the nearest"):
        by_depth.depth2img(photo, "a fox")
    with pytest.raises(RequestError, match="is of one depth"):
        by_depth.depth2img(photo, "a fox", depth=Image.new("L", (64, 64), 77))
    with pytest.raises(RequestError, match=r"txt2img needs a model that takes a prompt alone; .* own, depth2img"):
        by_depth.txt2img("a fox")


def test_a_depth_map_of_any_size_serves(tiny: Path, photo: Image.Image, tmp_path: Path) -> None:
    studio = wide(5, tiny, tmp_path / "model")
    near = Image.radial_gradient("L")
    made = studio.depth2img(photo, "a fox", depth=near, steps=2, seed=1)
    assert made[0].size == photo.size
    assert describe(made.request).fields["Depth map hash"] == made.request.depth.sha256[:10]  # type: ignore[attr-defined]
    other = studio.depth2img(photo, "a fox", depth=near.rotate(90).crop((0, 0, 99, 180)), steps=2, seed=1)
    assert np.abs(np.asarray(made[0], int) - np.asarray(other[0], int)).max() > 4
