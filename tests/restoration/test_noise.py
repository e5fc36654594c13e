"""Estimates of noise against noise that is known."""

import numpy as np
import pytest
from jaxtyping import Float

from sfumato.restoration.noise import Noise, estimated, kind_of, patch_level, wavelet_level
from tests.restoration.photographs import crops

PICTURES = crops(40, 160)


def _errors(sigma: float, kind: str, every: int = 1) -> list[float]:
    noise = Noise.parse(f"{sigma}:{kind}")
    found = [estimated(noise.added(x, i), noise.kind).sigma for i, x in enumerate(PICTURES[::every])]
    return [abs(each / sigma - 1) for each in found]


LEVELS = [(10, "gaussian"), (25, "gaussian"), (25, "poisson")]


@pytest.mark.slow
@pytest.mark.parametrize(("sigma", "kind"), LEVELS)
def test_the_median_error_of_forty_pictures_is_below_a_tenth(sigma: float, kind: str) -> None:
    assert float(np.median(_errors(sigma, kind))) < 0.1


@pytest.mark.parametrize(("sigma", "kind"), LEVELS)
def test_the_median_error_of_some_of_them_is_small(sigma: float, kind: str) -> None:
    assert float(np.median(_errors(sigma, kind, every=8))) < 0.15


def test_patches_beat_the_wavelet_on_texture() -> None:
    noisy = [Noise(10).added(x, i) for i, x in enumerate(PICTURES[:12])]
    patches, wavelets = ([abs(255 * level(x) / 10 - 1) for x in noisy] for level in (patch_level, wavelet_level))
    assert np.median(patches) < np.median(wavelets)


def test_the_kind_is_found_where_the_light_varies() -> None:
    varied = [x for x in PICTURES if x.std() > 0.15][:10]
    right = [
        kind_of(Noise.parse(f"20:{kind}").added(x, i)) == kind
        for i, x in enumerate(varied)
        for kind in ("gaussian", "poisson")
    ]
    assert np.mean(right) >= 0.75  # small crops tell less than whole photographs
    assert kind_of(Noise(20, "poisson").added(np.full((64, 64), 0.5, np.float32), 0)) == "gaussian"


def test_added_noise_is_what_its_level_says() -> None:
    grey = np.full((256, 256), 0.25, np.float32)
    assert (Noise(25).added(grey, 0) - grey).std() * 255 == pytest.approx(25, rel=0.02)
    assert (Noise(25, "poisson").added(grey, 0) - grey).std() * 255 == pytest.approx(12.5, rel=0.02)
    assert Noise(25, "poisson").deviation(grey)[0, 0] * 255 == pytest.approx(12.5)
    assert np.array_equal(Noise(25).added(grey, 3), Noise(25).added(grey, 3))


def test_poisson_noise_is_made_even_and_back() -> None:
    ramp = np.tile(np.linspace(0.05, 1, 64, dtype=np.float32), (64, 1))
    noise = Noise(20, "poisson")
    even = np.stack([noise.evened(noise.added(ramp, k)) for k in range(60)])
    assert even.std(0).mean(0) * 255 == pytest.approx(np.full(64, noise.even), rel=0.1)
    back = noise.restored(even.mean((0, 1)))  # the mean of many is without noise
    assert back == pytest.approx(ramp[0], abs=0.01)


def test_a_picture_without_patches_has_no_noise_to_be_seen() -> None:
    def one(shape: tuple[int, ...]) -> Float[np.ndarray, "h w *c"]:
        return np.zeros(shape, np.float32)

    assert [estimated(one(shape)).sigma for shape in ((1, 1), (1, 1, 3), (3, 40), (2, 2))] == [0, 0, 0, 0]
