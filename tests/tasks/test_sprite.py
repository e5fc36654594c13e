"""Sprites: cut out, reduced, outlined; what is transparent stays so in every format and in what repaints them."""

import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from sfumato import Sprite, Studio, cli
from sfumato.cli.metadata import compare
from sfumato.errors import RequestError
from sfumato.metadata import carriers
from sfumato.metadata.describe import describe
from sfumato.output import encode, read_request
from sfumato.tasks import sprite as task
from sfumato.tasks.sprite import finished, worded


@pytest.fixture
def ball() -> Image.Image:
    """A red ball with a blue spot on white, its edge smooth."""
    large = Image.new("RGB", (256, 256), "white")
    pen = ImageDraw.Draw(large)
    pen.ellipse((60, 60, 200, 200), fill=(220, 30, 30))
    pen.ellipse((100, 100, 140, 140), fill=(30, 30, 220))
    return large.resize((64, 64), Image.Resampling.BOX)


@pytest.mark.parametrize(
    ("prompt", "background", "said"),
    [
        ("a rocket", "white background", "a rocket, white background"),
        ("a rocket, teal background", "white background", "a rocket, teal background"),
        ("火箭，白色背景", "white background", "火箭，白色背景"),
        ("a rocket,", "", "a rocket,"),
        ("", "white background", "white background"),
    ],
)
def test_the_background_is_said_once(prompt: str, background: str, said: str) -> None:
    assert worded(Sprite(prompt=prompt, background=background)) == said


def test_a_sprite_is_trimmed_reduced_and_outlined(ball: Image.Image) -> None:
    plain = finished(ball, Sprite(prompt="a ball"), None, 0)
    assert plain.mode == "RGBA"
    assert 34 <= plain.width <= 37
    assert finished(ball, Sprite(prompt="a ball", untrimmed=True), None, 0).size == ball.size
    few = np.asarray(finished(ball, Sprite(prompt="a ball", palette=2), None, 0))
    assert len(np.unique(few[few[..., 3] > 0][:, :3], axis=0)) == 2
    assert np.abs(few[18, 3, :3].astype(int) - (220, 30, 30)).max() <= 8
    lined = finished(ball, Sprite(prompt="a ball", outline=2, outline_colour="#00ff00"), None, 0)
    assert lined.size == (plain.width + 4, plain.height + 4)
    assert lined.getpixel((lined.width // 2, 1)) == (0, 255, 0, 255)
    assert lined.getpixel((0, 0))[3] == 0  # type: ignore[index]


def test_a_background_of_many_colours_costs_no_picture(caplog: pytest.LogCaptureFixture) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8))
    with caplog.at_level(logging.WARNING):
        found = finished(noise, Sprite(prompt="a ball"), None, 7)
    assert found.convert("RGB").tobytes() == noise.tobytes()
    assert "seed 7 is not cut out: the background is not of one colour" in caplog.text


def test_the_task_paints_cuts_and_repeats_itself(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ball: Image.Image
) -> None:
    cut = task.cut_out
    monkeypatch.setattr(task, "cut_out", lambda image: cut(ball))
    (tmp_path / "few.hex").write_text("#dc1e1e\n1e1edc\n")
    studio = Studio(tiny, device="cpu", precision="fp32")
    result = studio.sprite("a ball", seed=1, count=2, steps=2, palette_file=tmp_path / "few.hex")
    assert [image.mode for image in result] == ["RGBA", "RGBA"]
    assert all(0.6 < share < 0.8 for share in result.measures["transparent"])
    files = result.save(tmp_path / "a.png")
    request = read_request(files[0])
    assert isinstance(request, Sprite)
    assert request.prompt == "a ball"
    assert request.palette_file is not None
    assert describe(request).fields["Sprite palette hash"] == (request.palette_file.sha256 or "")[:10]
    again = studio.run(request)
    with Image.open(files[0]) as stored:
        assert stored.mode == "RGBA"
        assert stored.tobytes() == again[0].tobytes()
    assert cli.main(["replay", str(files[0]), "-q"]) == 0


def test_formats_keep_what_is_transparent() -> None:
    clear = Image.new("RGBA", (16, 16), (200, 30, 40, 0))
    clear.paste((200, 30, 40, 255), (4, 4, 12, 12))
    for format in ("png", "webp"):
        kept = carriers.pixels(carriers.put(encode(clear, {}, format), {carriers.PARAMETERS: "x"}))
        assert kept.mode == "RGBA"
        assert kept.getpixel((0, 0))[3] == 0  # type: ignore[index]
    white = carriers.pixels(encode(clear, {}, "jpeg"))
    assert white.mode == "RGB"
    assert min(white.getpixel((0, 0))) > 245  # type: ignore[type-var]


def test_transparency_counts_when_pictures_are_compared() -> None:
    one, other = Image.new("RGBA", (8, 8), (9, 9, 9, 255)), Image.new("RGBA", (8, 8), (9, 9, 9, 55))
    assert compare(one, other).max_difference == 200
    assert compare(one, one.convert("RGB")).identical


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"palette": 1}, "palette"),
        ({"palette": 4, "palette_file": "a.gpl"}, "give one of them"),
        ({"outline_colour": "red"}, "six hexadecimal digits"),
        ({"outline": 17}, "outline"),
    ],
)
def test_what_is_refused(options: dict[str, object], words: str) -> None:
    with pytest.raises(RequestError, match=words):
        Sprite.build(prompt="a ball", **options)
