"""Colours as people see them: CIE L*a*b*, and the colour of a picture's background."""

import numpy as np
from jaxtyping import Float, UInt8

NEAR = 15.0
"""A difference (CIE76) below which two colours have the same everyday name, mostly."""

_TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
_WHITE = np.array([0.95047, 1.0, 1.08883])  # D65


def lab(rgb: Float[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n 3"]:
    """sRGB in [0, 1] as L* (0 to 100), a* and b* under D65 (IEC 61966-2-1; CIE 15)."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = linear @ _TO_XYZ.T / _WHITE
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    x, y, z = f[..., 0], f[..., 1], f[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def background(picture: UInt8[np.ndarray, "h w 3"]) -> Float[np.ndarray, "3"]:
    """L*a*b* of the median of the upper corners, an eighth of the side each."""
    side = picture.shape[0] // 8
    corners = np.concatenate([picture[:side, :side].reshape(-1, 3), picture[:side, -side:].reshape(-1, 3)])
    return lab(np.median(corners, axis=0) / 255)


def background_error(picture: UInt8[np.ndarray, "h w 3"], wanted: UInt8[np.ndarray, "h w 3"]) -> float:
    """CIE76 difference of the two backgrounds."""
    return float(np.linalg.norm(background(picture) - background(wanted)))
