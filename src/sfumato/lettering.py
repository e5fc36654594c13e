"""Words on pictures, by a font at hand that has their letters."""

from collections.abc import Sequence
from typing import Any

from PIL import Image, ImageDraw, ImageFont

FONTS = (
    "DejaVuSans.ttf",
    "Arial.ttf",
    "arial.ttf",
    "NotoSansCJK-Regular.ttc",
    "NotoSansSC-Regular.otf",
    "wqy-microhei.ttc",
    "msyh.ttc",
    "PingFang.ttc",
)
"""Names of fonts, looked for where systems keep theirs: Pillow's own has ASCII and little more."""


def captioned(images: Sequence[Image.Image], texts: Sequence[str]) -> list[Image.Image]:
    """The pictures on white, each over its text in up to three lines.

    A text that no font at hand can write is its key, such as ``(1)`` for the first.
    """
    known, found = keys(texts), []
    for image, text in zip(images, texts, strict=True):
        size = font_size(image.width)
        written = known.get(text, text)
        font = font_for(written, size) or ImageFont.load_default(size)
        lines = broken(written, font, image.width)
        pen = ImageDraw.Draw(Image.new("L", (1, 1)))
        below = int(pen.multiline_textbbox((0, 0), lines, font=font)[3]) + 4
        page = Image.new("RGB", (image.width, image.height + below), "white")
        page.paste(image, (0, 0), image.convert("RGBA") if image.has_transparency_data else None)
        ImageDraw.Draw(page).multiline_text((0, image.height), lines, "black", font)
        found.append(page)
    return found


def font_size(width: int) -> int:
    """The font's size of a label beside a picture so wide, in pixels."""
    return max(11, min(28, width // 16))


def keys(labels: Sequence[str]) -> dict[str, str]:
    """The key that stands for each label which no font at hand can write."""
    return {text: f"({i + 1})" for i, text in enumerate(labels) if font_for(text, 16) is None}


def font_for(text: str, size: int) -> Any:
    """A font that has all characters of a text; None: there is none."""
    fonts = [ImageFont.load_default(size)]
    if not text.isascii():
        for name in FONTS:
            try:
                fonts.append(ImageFont.truetype(name, size))
            except OSError:
                continue
    return next((font for font in fonts if _has(font, text)), None)


def _has(font: Any, text: str) -> bool:
    """Whether it draws every character as something else than what it draws for a character that no font has."""
    missing = bytes(font.getmask("\U0010fffe"))
    return all(character.isspace() or bytes(font.getmask(character)) != missing for character in set(text))


def broken(text: str, font: Any, width: int, lines: int = 3) -> str:
    """A text in lines of a width, cut with an ellipsis where it has more than `lines`."""
    found: list[str] = []
    rest = text
    while rest and len(found) < lines:
        end = len(rest)
        while end > 1 and font.getlength(rest[:end]) > width:
            end -= 1
        if end < len(rest) and " " in rest[1 : end + 1]:
            end = rest.rindex(" ", 1, end + 1)
        found.append(rest[:end].strip())
        rest = rest[end:].strip()
    if rest:
        found[-1] = found[-1][:-2].rstrip() + "..."
    return "\n".join(found)
