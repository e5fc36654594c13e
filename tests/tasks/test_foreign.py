"""Upscalers of other programs: found, built, in tiles, with their files read as safely as any."""

import os
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from sfumato import Studio, Upscale
from sfumato.cli import main
from sfumato.errors import CheckpointError, RequestError, UnknownNameError
from sfumato.output import read_request
from sfumato.restoration import foreign
from tests.restoration.photographs import crops


@pytest.fixture(scope="module", autouse=True)
def torchvision() -> Iterator[None]:
    """spandrel asks for two functions of torchvision that no upscaler calls; here it may be missing."""
    try:
        import torchvision.transforms.functional  # noqa: F401
    except (ImportError, RuntimeError):
        names = ("torchvision", "torchvision.transforms", "torchvision.transforms.functional")
        modules = [types.ModuleType(name) for name in names]
        for name in ("InterpolationMode", "rotate", "normalize"):
            setattr(modules[2], name, None)
        sys.modules.update(zip(names, modules, strict=True))
        import spandrel  # noqa: F401

        yield
        for name in names:
            del sys.modules[name]
        return
    yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ESRGAN of two blocks that enlarges by 4, as safetensors and as the pickles of its trainers."""
    from spandrel.architectures.ESRGAN import ESRGAN

    torch.manual_seed(0)
    network = ESRGAN(num_filters=8, num_blocks=2).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter *= 1.5
        made = network(torch.rand(1, 3, 24, 24))
    state, gain = network.state_dict(), 0.2 / made.std()
    weight, bias = list(state)[-2:]
    state[weight], state[bias] = gain * state[weight], gain * (state[bias] - made.mean()) + 0.5
    folder = tmp_path_factory.mktemp("upscalers")
    save_file(state, folder / "Tiny_4x.safetensors")
    torch.save({"params_ema": state, "params": {name: 0 * value for name, value in state.items()}}, folder / "ema.pth")
    return folder


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "x.png"
    Image.fromarray((crops(3, 40)[2] * 255).astype(np.uint8)).save(path)
    return path


def test_a_name_enlarges_and_repeats(
    folder: Path, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SFUMATO_UPSCALERS", str(folder))
    out = tmp_path / "out.png"
    assert main(["upscale", str(picture), "--method", "Tiny_4x", "-o", str(out)]) == 0, capsys.readouterr().err
    assert "by Tiny_4x" in capsys.readouterr().err
    assert Image.open(out).size == (160, 160)
    request = read_request(out)
    assert isinstance(request, Upscale)
    assert (request.method, request.scale) == ("Tiny_4x", 4)
    assert main(["replay", str(out)]) == 0
    capsys.readouterr()
    half = Studio().upscale(picture, method="Tiny_4x", scale=2)
    assert half[0].size == (80, 80)
    whole = Image.open(out).convert("RGB").resize((80, 80), Image.Resampling.LANCZOS)
    assert np.abs(np.asarray(half[0], int) - np.asarray(whole, int)).max() <= 3
    with pytest.raises(UnknownNameError, match="lanczos"):
        Studio().upscale(picture, method="lanczoz")


def test_it_is_what_the_network_gives(folder: Path) -> None:
    from spandrel import ModelLoader

    pixels = crops(3, 24)[2]
    theirs = ModelLoader().load_from_file(folder / "Tiny_4x.safetensors").eval()
    x = torch.from_numpy(pixels).permute(2, 0, 1)[None]
    for name in ("Tiny_4x.safetensors", "ema.pth"):
        ours = foreign.load(folder / name).enlarged(pixels)
        with torch.inference_mode():
            assert np.abs(ours - theirs(x)[0].permute(1, 2, 0).numpy()).max() < 1e-5


def test_tiles_are_the_whole(folder: Path) -> None:
    upscaler = foreign.load(folder / "Tiny_4x.safetensors")
    pixels = crops(3, 150)[2]
    whole, tiled = upscaler.enlarged(pixels, tile=200), upscaler.enlarged(pixels, tile=48)
    assert np.abs(whole - tiled).max() <= 1 / 255
    assert whole.std() > 0.05


@pytest.mark.parametrize("mode", ["L", "RGBA", "I;16"])
def test_grey_depth_and_transparency_are_kept(mode: str, folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    Image.new(mode, (6, 5)).save(path)
    made = Studio().upscale(path, method=str(folder / "ema.pth"))[0]
    assert (made.size, made.mode) == ((24, 20), mode)


class Code:
    """What a pickle that is read by Python would run."""

    def __reduce__(self) -> tuple[object, ...]:
        return os.getcwd, ()


def test_what_is_no_upscaler_is_refused(folder: Path, picture: Path, tmp_path: Path) -> None:
    save_file({"weight": torch.zeros(3)}, tmp_path / "odd.safetensors")
    with pytest.raises(CheckpointError, match="no upscaler that spandrel knows"):
        Studio().upscale(picture, method=str(tmp_path / "odd.safetensors"))
    torch.save({"params": Code()}, tmp_path / "code.pth")
    with pytest.raises(CheckpointError, match="refused"):
        Studio().upscale(picture, method=str(tmp_path / "code.pth"))


def test_painting_enlarges_what_it_painted(
    tiny: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sfumato.service.asked import request_of

    monkeypatch.setenv("SFUMATO_UPSCALERS", str(folder))
    studio = Studio(tiny, device="cpu", precision="fp32")
    plain = studio.txt2img("a fox", seed=3, steps=2)
    for upscaler in (None, "Tiny_4x"):
        large = studio.txt2img("a fox", seed=3, steps=2, upscale=4, upscaler=upscaler)
        assert large[0].size == tuple(4 * side for side in plain[0].size)
        [file] = large.save(tmp_path / f"{upscaler}.png")
        request = read_request(file)
        assert request.upscaler == (upscaler or "ours")  # type: ignore[attr-defined]
        assert np.array_equal(np.asarray(studio.run(request)[0]), np.asarray(large[0]))
        texts = Image.open(file).info["parameters"]
        assert "Postprocess upscale by: 4" in texts
    assert "Tiny_4x" in large.provenance.control_hashes
    small = large[0].resize(plain[0].size, Image.Resampling.LANCZOS)
    assert small.size == plain[0].size
    with pytest.raises(RequestError, match="is over 8192 a side"):
        studio.txt2img("a fox", size="4096x64", steps=1, upscale=4)
    with pytest.raises(UnknownNameError):
        request_of({"task": "txt2img", "prompt": "x", "upscale": 2, "upscaler": "/etc/passwd"}, tmp_path)
    assert request_of({"task": "txt2img", "prompt": "x", "upscale": 2, "upscaler": "Tiny_4x"}, tmp_path)
