"""Colours as OKLab has them (Ottosson 2020), in which equal distances look alike, and the colours of one picture given
to another. Arrays of sRGB values have 0 to 1 and their channels last.
"""

import numpy as np
from jaxtyping import Bool, Float
from PIL import Image

_CONES = np.array(
    [
        [0.4122214708, 0.2119034982, 0.0883024619],
        [0.5363325363, 0.6806995451, 0.2817188376],
        [0.0514459929, 0.1073969566, 0.6299787005],
    ]
)
_LAB = np.array(
    [
        [0.2104542553, 1.9779984951, 0.0259040371],
        [0.7936177850, -2.4285922050, 0.7827717662],
        [-0.0040720468, 0.4505937099, -0.8086757660],
    ]
)


def linear(rgb: Float[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n 3"]:
    """Amounts of light of sRGB, 0 to 1."""
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb.clip(0.04045, None) + 0.055) / 1.055) ** 2.4)


def curved(light: Float[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n 3"]:
    """sRGB of amounts of light."""
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * np.maximum(light, 0) ** (1 / 2.4) - 0.055)


def oklab(rgb: Float[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n 3"]:
    """OKLab of sRGB: lightness 0 to 1, and two axes of colour, about -0.4 to 0.4."""
    return np.cbrt(linear(rgb) @ _CONES) @ _LAB


def srgb(lab: Float[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n 3"]:
    """sRGB of OKLab; colours that no screen shows lie outside of 0 to 1."""
    return curved((lab @ np.linalg.inv(_LAB)) ** 3 @ np.linalg.inv(_CONES))


def shown(lab: Float[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n 3"]:
    """sRGB within 0 to 1 of any OKLab: what no screen shows is made paler, not of another lightness or hue."""
    lab = np.concatenate([lab[..., :1].clip(0, 1), lab[..., 1:]], -1)
    rgb = srgb(lab)
    outside = ~_fits(rgb)
    pale = lab[outside]
    low, high = np.zeros(pale.shape[:-1]), np.ones(pale.shape[:-1])
    for _ in range(12):  # halving what lies between a share of colour that can be shown and one that cannot
        middle = (low + high) / 2
        fits = _fits(srgb(_paler(pale, middle)))
        low, high = np.where(fits, middle, low), np.where(fits, high, middle)
    rgb[outside] = srgb(_paler(pale, low))
    return rgb.clip(0, 1)


def _fits(rgb: Float[np.ndarray, "*n 3"]) -> Bool[np.ndarray, "*n"]:
    return np.asarray(((rgb >= -1e-7) & (rgb <= 1 + 1e-7)).all(-1))


def _paler(lab: Float[np.ndarray, "n 3"], share: Float[np.ndarray, "n"]) -> Float[np.ndarray, "n 3"]:
    return lab * np.stack([np.ones_like(share), share, share], -1)


def matched(image: Image.Image, like: Image.Image, strength: float = 1.0, *, lightness: bool = True) -> Image.Image:
    """A picture with the colours of another: mean and covariance in OKLab are carried over by the one linear map that
    moves them least (Monge-Kantorovich; Pitie and Kokaram 2007).

    Args:
        strength: 0 leaves the picture, 1 gives it all of the other's colours.
        lightness: carry lightness over as well; or else colours alone.
    """
    pixels = oklab(np.asarray(image.convert("RGB")) / 255)
    first = 0 if lightness else 1
    ours = pixels[..., first:].reshape(-1, 3 - first)
    theirs = oklab(np.asarray(like.convert("RGB")) / 255)[..., first:].reshape(-1, 3 - first)
    moved = (ours - ours.mean(0)) @ transport(covariance(ours), covariance(theirs)) + theirs.mean(0)
    mixed = pixels.copy()
    mixed[..., first:] = (ours + strength * (moved - ours)).reshape(pixels[..., first:].shape)
    found = Image.fromarray((shown(mixed) * 255).round().astype(np.uint8))
    if "A" in image.getbands():
        found.putalpha(image.getchannel("A"))
    return found


def covariance(values: Float[np.ndarray, "n c"]) -> Float[np.ndarray, "c c"]:
    """With a little added, so that a picture of one colour has one as well."""
    return np.atleast_2d(np.cov(values, rowvar=False)) + 1e-6 * np.eye(values.shape[1])


def transport(ours: Float[np.ndarray, "c c"], theirs: Float[np.ndarray, "c c"]) -> Float[np.ndarray, "c c"]:
    """The symmetric map T of the least cost, with T ours T = theirs."""
    root = _power(ours, 0.5)
    back = _power(ours, -0.5)
    return back @ _power(root @ theirs @ root, 0.5) @ back


def _power(matrix: Float[np.ndarray, "c c"], exponent: float) -> Float[np.ndarray, "c c"]:
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.maximum(values, 1e-12) ** exponent) @ vectors.T


def apart(image: Image.Image, like: Image.Image) -> float:
    """How far the colours of two pictures are apart in OKLab: the Wasserstein distance of normal distributions of their
    means and covariances. 0 for equal ones; black and white are 1 apart.
    """
    ours, theirs = (oklab(np.asarray(each.convert("RGB")) / 255).reshape(-1, 3) for each in (image, like))
    first, second = covariance(ours), covariance(theirs)
    root = _power(first, 0.5)
    spread = np.trace(first + second - 2 * _power(root @ second @ root, 0.5))
    return float(np.sqrt(((ours.mean(0) - theirs.mean(0)) ** 2).sum() + max(spread, 0.0)))
