"""Editing by instruction and painting by depth: what is refused, what is written down."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

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
    options: dict[str, Any] = {"steps": 2, "seed": 1, "guidance": guidance}
    pictures = [
        np.asarray(studio.edit(photo, "make it red", image_guidance=scale, **options)[0], np.int64)
        for scale in (1.0, 4.0)
    ]
    assert np.abs(pictures[0] - pictures[1]).max() > 4


def test_what_cannot_be_done_is_said_in_one_line(tiny: Path, photo: Image.Image, tmp_path: Path) -> None:
    by_words, by_depth = wide(8, tiny, tmp_path / "eight"), wide(5, tiny, tmp_path / "five")
    with pytest.raises(RequestError, match="eight follows instructions, and needs no description"):
        by_words.edit(photo, "red", before="blue", steps=1)
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


@pytest.fixture(scope="module")
def studio(tiny: Path) -> Studio:
    return Studio(tiny, device="cpu", precision="fp32")


def test_a_description_changes_a_part_and_the_rest_stays(studio: Studio, photo: Image.Image) -> None:
    options = {"before": "a green house", "steps": 4, "guidance": 5.0}
    made = studio.edit(photo, "a red fox", count=2, batch=2, seed=1, **options)  # type: ignore[arg-type]
    changed = np.abs(np.asarray(made[0], int) - np.asarray(photo, int)).max(-1)
    assert 0.02 < (changed > 0).mean() < 0.98
    assert made.measures["elsewhere"][0] < changed.mean()
    assert made.measures["changed"][0] == (changed >= 8).mean()
    alone = studio.edit(photo, "a red fox", seed=2, **options)  # type: ignore[arg-type]
    assert np.abs(np.asarray(alone[0], int) - np.asarray(made[1], int)).max() <= 1
    whole = studio.edit(photo, "a red fox", everywhere=True, seed=1, **options)  # type: ignore[arg-type]
    assert whole.measures["elsewhere"][0] > made.measures["elsewhere"][0]


def test_an_edit_is_written_down_and_done_again(studio: Studio, photo: Image.Image, tmp_path: Path) -> None:
    photo.save(tmp_path / "in.png")
    made = studio.edit(tmp_path / "in.png", "a red fox", before="a green house", steps=2, seed=1)
    fields = describe(made.request, made.provenance).fields
    said = (fields["Prompt before"], fields["Sampler"], fields["Denoising strength"])
    assert said == ("a green house", "Euler", "0.9")
    assert "Image CFG scale" not in fields
    [file] = made.save(tmp_path / "a.png")
    assert studio.run(read_request(file))[0].tobytes() == made[0].tobytes()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"before": "a red fox "}, "say the same"),
        ({"image_guidance": 2.0}, "not guided by the picture"),
        ({"sampler": "euler_a"}, "adds noise of its own"),
        ({"tile": 128}, "without tile"),
    ],
)
def test_what_a_description_does_not_take_is_said(
    options: dict[str, object], said: str, studio: Studio, photo: Image.Image
) -> None:
    with pytest.raises(RequestError, match=said):
        studio.edit(photo, "a red fox", **options)  # type: ignore[arg-type]


def test_an_instruction_for_a_model_that_takes_none_is_told(
    studio: Studio, photo: Image.Image, caplog: pytest.LogCaptureFixture
) -> None:
    studio.edit(photo, "make it red", steps=1)
    assert "tiny takes no instructions: PROMPT is read as a description of the whole picture" in caplog.text
