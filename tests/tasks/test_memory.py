"""Memory: what a painting is held to, what is refused, and what is let go when it has done its work."""

import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

from sfumato import Img2Img, RequestError, Studio, Txt2Img
from sfumato.adapters.applied import Applied
from sfumato.checkpoints.tensors import release
from sfumato.requests import Painting
from sfumato.tasks import memory
from sfumato.tasks.memory import fitted, peak, weights

INK = {"down": (4, 4, 3, 3), "up": (16, 4, 1, 1)}
"""Shapes of a LoRA of the tiny network's first convolution."""


def test_the_same_picture_in_less_memory(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    studio = Studio(tiny, precision="fp32")
    plain = studio.txt2img("a red fox", seed=1, steps=2)
    gone: list[Tensor] = []
    monkeypatch.setattr(memory, "release", lambda tensor: (gone.append(tensor), release(tensor))[1])
    held = studio.txt2img("a red fox", seed=1, steps=2, ram="4G")
    assert held.images[0].tobytes() == plain.images[0].tobytes()
    assert held.request == plain.request
    model = studio.load()
    texts, network = model.texts["text_encoder"].encoder, model.network
    count = len(list(texts.parameters())) + len(list(network.parameters()))
    assert len(gone) >= count


def test_what_does_not_fit_is_refused_with_what_does(tiny: Path) -> None:
    studio = Studio(tiny, precision="fp32")
    with pytest.raises(
        RequestError, match=r"ram 100M is too little: tiny takes about 0\.5 GB for this; give --ram 0\.5G"
    ):
        studio.txt2img("a red fox", steps=2, ram="100M")


def test_a_large_picture_is_sampled_in_tiles(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "decoding", lambda *_: ("whole", 0))  # of which a tiny network's steps are a small part
    model = Studio(tiny, precision="fp32").load()
    large = Txt2Img(prompt="", width=2048, height=2048)
    tiled = large.changed(tile=64, tile_overlap=16)
    assert weights(model.network) > 0
    between = (peak(model, large) + peak(model, tiled)) // 2
    held, planned = fitted(Applied(model, model), large.changed(ram=f"{between // 10**6}M"))
    assert planned == tiled
    assert held.model.ram is not None


@pytest.fixture
def halves(tiny: Path, tmp_path: Path) -> Path:
    """The tiny model, in float16 as models are published."""
    folder = shutil.copytree(tiny, tmp_path / "halves")
    for file in folder.rglob("*.safetensors"):
        save_file({name: value.half() for name, value in load_file(file).items()}, file)
    return folder


@pytest.mark.parametrize(
    "asked",
    [
        Txt2Img(prompt="a red fox", seed=1, steps=2),
        Txt2Img(prompt="a red fox <lora:ink:1>", seed=1, steps=2, tileable="both"),
        Img2Img.model_validate({"prompt": "a fox", "image": Image.new("RGB", (64, 64), "red"), "seed": 1, "steps": 4}),
    ],
)
def test_weights_that_are_cast_in_use_paint_the_same(
    halves: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: Painting
) -> None:
    ink = {f"lora_unet_conv_in.lora_{part}.weight": torch.full(shape, 0.1) for part, shape in INK.items()}
    save_file(ink, tmp_path / "ink.safetensors")
    monkeypatch.setenv("SFUMATO_LORAS", str(tmp_path))
    asked = asked.changed(model=str(halves))
    once = Studio(precision="fp32").run(asked)
    monkeypatch.setattr(memory, "ROOM", 1e9)
    studio = Studio(precision="fp32")
    in_use = studio.run(asked.changed(ram="4G"))
    assert in_use.images[0].tobytes() == once.images[0].tobytes()
    network = studio.load(halves, ram="4G").network
    assert {value.dtype for value in network.parameters()} == {torch.float16, torch.float32}
    assert memory.mapped(network) > 0.9 * memory.weights(network)
