"""The objects that people name most, and words for how one is shown: its size, its place, where it looks.

Which ones these are stands in `objects.toml`, with a reason for each emoji that is not among them.
"""

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from .common import UNNAMED

SELECTION: Final = Path(__file__).parent.with_name("objects.toml")


@cache
def selection() -> dict[str, Any]:
    """The whole of `objects.toml`: `kept` by category, name -> Chinese name; `dropped`, each with its reason; and
    `faces_left`, names of those that are drawn from the side."""
    return tomllib.loads(SELECTION.read_text(encoding="utf-8"))


@cache
def names() -> dict[str, str]:
    """The objects in their order, with their Chinese names."""
    return {name: chinese for kept in selection()["kept"].values() for name, chinese in kept.items()}


SIZES: Final[Mapping[str, tuple[float, float]]] = {"small": (0.24, 0.36), UNNAMED: (0.44, 0.58), "large": (0.7, 0.9)}
"""Word -> the object's side as a share of the picture's, from and to."""

POSITIONS: Final[Mapping[str, tuple[float, float]]] = {
    "center": (0.5, 0.5),
    "left": (0.08, 0.5),
    "right": (0.92, 0.5),
    "top": (0.5, 0.08),
    "bottom": (0.5, 0.92),
    "top left corner": (0.06, 0.06),
    "top right corner": (0.94, 0.06),
    "bottom left corner": (0.06, 0.94),
    "bottom right corner": (0.94, 0.94),
}
"""Word -> which share of the room beside the object is to its left, and above it. Large objects fill the picture, so
that their place goes unsaid."""

FACINGS: Final = ("left", "right")

ENGLISH: Final[Mapping[str, tuple[str, ...]]] = {
    "center": ("in the center", "in the middle"),
    "left": ("on the left", "on the left side"),
    "right": ("on the right", "on the right side"),
    "top": ("at the top",),
    "bottom": ("at the bottom",),
    "top left corner": ("in the top left corner", "top left"),
    "top right corner": ("in the top right corner", "top right"),
    "bottom left corner": ("in the bottom left corner", "bottom left"),
    "bottom right corner": ("in the bottom right corner", "bottom right"),
}
CHINESE: Final[Mapping[str, tuple[str, ...]]] = {
    "small": ("小小的", "小的"),
    "large": ("大大的", "大的"),
    "center": ("在中间", "在画面中央"),
    "left": ("在左边", "在画面左侧"),
    "right": ("在右边", "在画面右侧"),
    "top": ("在上方", "在画面上方"),
    "bottom": ("在下方", "在画面下方"),
    "top left corner": ("在左上角",),
    "top right corner": ("在右上角",),
    "bottom left corner": ("在左下角",),
    "bottom right corner": ("在右下角",),
}
CHINESE_FACING: Final[Mapping[str, tuple[str, ...]]] = {"left": ("朝左", "面向左边"), "right": ("朝右", "面向右边")}
