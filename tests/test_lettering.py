"""Words below pictures."""

import numpy as np
import pytest
from PIL import Image

from sfumato.lettering import captioned, keys


@pytest.mark.parametrize("width", [16, 64, 256])
def test_a_caption_stands_below_its_picture(width: int) -> None:
    red, clear = Image.new("RGB", (width, 40), "red"), Image.new("RGBA", (width, 40), (0, 0, 0, 0))
    long, short = captioned([red, clear], ["a cat " * 40, "a"])
    assert long.crop((0, 0, width, 40)).tobytes() == red.tobytes()
    assert short.getpixel((0, 0)) == (255, 255, 255)
    assert long.width == short.width == width
    assert long.height > short.height > 40
    assert np.asarray(short.convert("L"))[41:].min() < 128
    assert long.height < 40 + 4 * 40


def test_a_caption_of_letters_that_no_font_has_is_its_key() -> None:
    strange = "\U000f0000 fox"
    assert keys(["a fox", strange]) == {strange: "(2)"}
    _, page = captioned([Image.new("RGB", (64, 8))] * 2, ["a fox", strange])
    [_, plain] = captioned([Image.new("RGB", (64, 8))] * 2, ["a fox", "(2)"])
    assert page.tobytes() == plain.tobytes()
