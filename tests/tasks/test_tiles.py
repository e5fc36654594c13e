"""Large pictures by tiles: no seam, the memory of a tile, and an autoencoder that does what it does on the whole."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from sfumato import Studio
from sfumato.diffusion.tiles import borders, starts, tiled, window
from sfumato.errors import RequestError
from sfumato.images import tile_seam
from sfumato.models import bands, tiles
from sfumato.models.autoencoder_fold import AutoencoderFold, AutoencoderFoldConfig
from sfumato.models.autoencoder_kl import AutoencoderKL, AutoencoderKLConfig
from sfumato.models.autoencoder_tiny import AutoencoderTiny, AutoencoderTinyConfig

SIGMA = torch.tensor(2.0)


@pytest.fixture(scope="module")
def studio(tiny: Path) -> Studio:
    return Studio(tiny, device="cpu", precision="fp32")


def drawn(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("height", "width"), [(8, 8), (9, 31), (40, 17), (5, 64)])
def test_a_pointwise_denoiser_is_left_as_it_is(height: int, width: int) -> None:
    seen = []

    def pointwise(x: Tensor, sigma: Tensor) -> Tensor:
        seen.append(tuple(x.shape[-2:]))
        return torch.tanh(x) / (1 + sigma)

    x = drawn(2, 4, height, width)
    found = tiled(pointwise, (8, 8), 3)(x, SIGMA)
    assert torch.allclose(found, torch.tanh(x) / 3, atol=1e-6)
    assert max(seen) <= (8, 8)  # nothing larger than a tile is ever given to the network


def test_tiles_cover_everything_and_overlap() -> None:
    for length, tile, overlap, step in [
        (64, 16, 4, 1),
        (17, 16, 4, 1),
        (100, 16, 8, 2),
        (16, 16, 4, 1),
        (10, 16, 4, 1),
    ]:
        places = starts(length, tile, overlap, step=step)
        assert places[0] == 0
        assert places[-1] == max(length - tile, 0)
        assert all(place % step == 0 for place in places)
        assert all(0 < b - a <= tile - overlap + step - 1 for a, b in pairwise(places))


def test_weights_fall_smoothly_and_stay_above_zero() -> None:
    weight = window(16, 5)
    assert weight.min() > 0
    assert weight[7] == 1
    assert torch.equal(weight, weight.flip(0))
    assert weight.diff().abs().max() < 0.3


def autoencoders() -> list[nn.Module]:
    torch.manual_seed(0)
    kl = AutoencoderKL(AutoencoderKLConfig(block_out_channels=(8, 16, 16, 16), layers_per_block=1, norm_num_groups=8))
    fold = AutoencoderFold(AutoencoderFoldConfig(latent_channels=4, channels=(8, 16, 16)))
    tiny = AutoencoderTiny(
        AutoencoderTinyConfig(encoder_block_out_channels=(8,) * 4, decoder_block_out_channels=(8,) * 4)
    )
    return [module.eval() for module in (kl, fold, tiny)]


@pytest.mark.parametrize("kind", [0, 1, 2])
@torch.inference_mode()
def test_the_autoencoder_does_what_it_does_on_the_whole(kind: int) -> None:
    network = autoencoders()[kind]
    factor = cast("int", network.factor)
    latents = drawn(1, 4, 28, 20)
    whole = network.decode(latents)  # type: ignore[operator]
    half = torch.cat([latents[..., :10] * 0.2, latents[..., 10:] * 2], -1)  # tiles whose own statistics differ much
    for z, expected in ((latents, whole), (half, network.decode(half))):  # type: ignore[operator]
        assert (tiles.decode(network, z, 16) - expected).abs().max() <= 2 / 255 / 2
    pixels = drawn(1, 3, 28 * factor, 20 * factor).clamp(-1, 1)
    pixels[..., : 10 * factor] *= 0.1
    assert torch.allclose(tiles.encode(network, pixels, 16), network.encode(pixels), atol=2e-3)  # type: ignore[operator]


@torch.inference_mode()
def test_a_tile_alone_would_differ() -> None:
    """What sharing the norms' statistics is for."""
    kl = cast("AutoencoderKL", autoencoders()[0])
    z = torch.cat([drawn(1, 4, 30, 15) * 0.2, drawn(1, 4, 30, 15) * 2], -1)
    assert (kl.decode(z)[..., :40] - kl.decode(z[..., :15])[..., :40]).abs().max() > 0.05


def test_painting_by_tiles_of_the_whole_is_painting(studio: Studio) -> None:
    whole = studio.txt2img("a fox", seed=1, steps=2)[0].tobytes()
    assert studio.txt2img("a fox", seed=1, steps=2, tile=64, tile_overlap=16)[0].tobytes() == whole
    assert studio.txt2img("a fox", seed=1, steps=2, tile=512)[0].tobytes() == whole


def test_any_size_is_painted_by_tiles(studio: Studio) -> None:
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 133, 3), np.uint8))
    result = studio.img2img(photo, "a fox", seed=1, steps=2, tile=64, tile_overlap=16, strength=0.5)
    assert result[0].size == (133, 90)
    assert result.request.tile == 64


def test_the_seam_of_tiles_is_told(studio: Studio) -> None:
    painted = studio.txt2img("a fox", size="128x64", tile=64, tile_overlap=32, steps=2, seed=1)
    assert 0.5 < painted.measures["tile_seam"][0] < 1.5
    assert not studio.txt2img("a fox", size="64x64", tile=64, tile_overlap=32, steps=1, seed=1).measures
    halves = Image.new("RGB", (64, 32))
    halves.paste((90, 90, 90), (24, 0, 64, 32))
    assert tile_seam(halves, [24], []) == pytest.approx(63)
    assert tile_seam(halves, [40], [16]) == 0
    assert borders(16, 8, 4) == [4, 8, 12]


def test_tiles_that_make_no_sense_are_refused(studio: Studio) -> None:
    with pytest.raises(RequestError, match="tile_overlap 64 must be below the tile's 64; use 16"):
        studio.txt2img("a fox", tile=64)
    with pytest.raises(RequestError, match="tile and tileable do not go together"):
        studio.txt2img("a fox", tile=64, tile_overlap=16, tileable="x")


def small_kl() -> AutoencoderKL:
    torch.manual_seed(0)
    config = AutoencoderKLConfig(block_out_channels=(16, 32, 32), layers_per_block=1, norm_num_groups=8)
    return AutoencoderKL(config).eval().requires_grad_(False)


@pytest.mark.parametrize(("height", "width"), [(16, 16), (13, 6), (3, 5)])
@torch.inference_mode()
def test_bands_decode_what_the_whole_decodes(height: int, width: int) -> None:
    autoencoder, latents = small_kl(), drawn(2, 4, height, width)
    right = autoencoder.decode(latents)
    found = bands.decode(autoencoder, latents, 1)
    assert found.shape == right.shape
    assert float((found - right).abs().max()) < 2e-5 * float(right.abs().max())


@torch.inference_mode()
def test_bands_are_taken_where_memory_is_short(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = replace(Studio(tiny, device="cpu", precision="fp32").load(), autoencoder=small_kl())
    latents = drawn(1, 4, 16, 16)
    whole = model.decode(latents)
    taken: list[str] = []
    plain = bands.decode
    monkeypatch.setattr(bands, "decode", lambda *given: taken.append("bands") or plain(*given))
    monkeypatch.setattr("sfumato.model.MODEST", 0)
    monkeypatch.setattr(bands, "BAND", 1 << 12)
    assert torch.equal(model.decode(latents), whole)  # there is room
    assert taken == []
    assert torch.allclose(replace(model, ram=1).decode(latents), whole, atol=1e-4)
    assert taken == ["bands"]
