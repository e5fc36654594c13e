"""Tiles without a seam: the picture does not know where its edges are."""

from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from sfumato import Studio
from sfumato.adapters.applied import Applied
from sfumato.diffusion.noise import ImageNoise
from sfumato.errors import RequestError
from sfumato.images import repeated, seam, to_tensor
from sfumato.models.circular import is_circular
from sfumato.requests import Txt2Img
from sfumato.results import Result
from sfumato.tasks.paint import Canvas, paint
from sfumato.tasks.session import prepare, resolve
from sfumato.tasks.tileable import with_tileable

HALF = 4  # latents, of 8 a side


@pytest.fixture(scope="module")
def studio(tiny: Path) -> Studio:
    return Studio(tiny, device="cpu", precision="fp32")


def painted(studio: Studio, request: Txt2Img, shifts: tuple[int, int]) -> np.ndarray:
    """The picture whose first noise is rolled by so many latents down and to the right."""
    plain = studio.load()
    applied = with_tileable(Applied(plain, plain), request)
    session = prepare(applied, resolve(applied.model, request), (64, 64))

    def rolled(seeds: tuple[int, ...], shape: tuple[int, ...], *, device: torch.device) -> ImageNoise:
        first = ImageNoise(seeds, shape)()
        return cast("ImageNoise", lambda: first.roll(shifts, (-2, -1)))

    session = replace(session, plan=replace(session.plan, noise=rolled))
    [*_, result] = paint(session, Canvas((64, 64)))
    assert isinstance(result, Result)
    return np.asarray(result[0], int)


@pytest.mark.parametrize(("axes", "shifts"), [("x", (0, HALF)), ("y", (HALF, 0)), ("both", (HALF, HALF))])
def test_rolling_the_noise_rolls_the_picture(axes: str, shifts: tuple[int, int], studio: Studio) -> None:
    request = Txt2Img.build(prompt="a fox", seed=1, steps=3, sampler="euler", tileable=axes)
    straight, rolled = painted(studio, request, (0, 0)), painted(studio, request, shifts)
    pixels = tuple(8 * shift for shift in shifts)
    assert np.abs(np.roll(straight, pixels, (0, 1)) - rolled).max() <= 1
    plain = request.changed(tileable=None)
    off = np.roll(painted(studio, plain, (0, 0)), pixels, (0, 1)) - painted(studio, plain, shifts)
    assert np.abs(off).max() > 8  # what a network that pads with zeros does


def test_the_autoencoder_encodes_around_the_edges(studio: Studio) -> None:
    plain = studio.load()
    model = with_tileable(Applied(plain, plain), Txt2Img(prompt="", tileable="both")).model
    pixels = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.inference_mode():
        there = model.encode_pixels(pixels.roll((16, 24), (2, 3)))
        assert torch.allclose(model.encode_pixels(pixels).roll((2, 3), (2, 3)), there, atol=1e-5)


def test_the_loaded_model_stays_as_it_is(studio: Studio) -> None:
    before = studio.txt2img("a fox", seed=1, steps=2)[0].tobytes()
    assert studio.txt2img("a fox", seed=1, steps=2, tileable="x")[0].tobytes() != before
    model = studio.load()
    assert not is_circular(model.network)
    assert not is_circular(cast("nn.Module", model.autoencoder))
    assert studio.txt2img("a fox", seed=1, steps=2)[0].tobytes() == before


def test_the_seam_figure_tells_a_tile_from_a_ramp() -> None:
    angle = np.arange(64) * 2 * np.pi / 64
    wave = np.broadcast_to((np.sin(angle) * 100 + 128)[None, :, None], (8, 64, 3)).astype(np.uint8)
    assert seam(Image.fromarray(wave), "x").passes
    ramp = np.broadcast_to(np.arange(64)[None, :, None], (8, 64, 3)).astype(np.uint8)
    found = seam(Image.fromarray(ramp), "x")
    assert (found.across, found.inside, found.passes) == (63, 1, False)
    assert seam(Image.fromarray(ramp), "y").passes


def test_a_tile_is_laid_along_its_axes() -> None:
    tile = Image.new("RGB", (4, 2), "red")
    assert [repeated(tile, axes).size for axes in ("x", "y", "both")] == [(12, 2), (4, 6), (12, 6)]


def test_a_picture_that_would_be_cut_back_is_refused(studio: Studio) -> None:
    with pytest.raises(RequestError, match="--size 64x40"):
        studio.img2img(Image.new("RGB", (61, 35)), "a fox", tileable="x", steps=1)
    assert to_tensor(studio.img2img(Image.new("RGB", (64, 40)), "a fox", tileable="x", steps=1)[0]).shape[-1] == 64
