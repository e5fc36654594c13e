"""Image to image and inpainting: what strength means, what stays, what is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from sfumato import Studio
from sfumato.errors import RequestError
from sfumato.images import to_pil, to_tensor
from sfumato.metadata.describe import describe
from sfumato.output import read_request
from sfumato.requests import Img2Img, Inpaint
from sfumato.tasks.inpaint import around, blurred, feathered, grown, seam

SEED = 3


@pytest.fixture(scope="module")
def studio(tiny: Path) -> Studio:
    return Studio(tiny, device="cpu", precision="fp32")


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    """A picture with detail everywhere."""
    rows = np.indices((64, 64)).sum(0)
    return Image.fromarray(np.stack([rows * 2, 255 - rows * 2, rows * 37 % 256], -1).astype(np.uint8))


def square(size: int = 64, begin: int = 16, end: int = 40) -> Image.Image:
    mask = Image.new("L", (size, size))
    mask.paste(255, (begin, begin, end, end))
    return mask


def difference(a: Image.Image, b: Image.Image) -> np.ndarray:
    return np.abs(np.asarray(a, int) - np.asarray(b, int)).max(-1)


def test_strength_zero_is_the_round_trip_of_the_autoencoder(studio: Studio, photo: Image.Image) -> None:
    model = studio.load()
    with torch.inference_mode():
        trip = to_pil(model.decode(model.encode_pixels(to_tensor(photo)))[0])
    assert difference(studio.img2img(photo, "a fox", strength=0.0, seed=SEED)[0], trip).max() == 0


@pytest.mark.parametrize("sampler", ["euler", "dpmpp_2m", "ddim", "heun"])
def test_strength_one_is_txt2img(sampler: str, studio: Studio, photo: Image.Image) -> None:
    plain = studio.txt2img("a fox", seed=SEED, steps=4, sampler=sampler)[0]  # type: ignore[arg-type]
    same = studio.img2img(photo, "a fox", strength=1.0, seed=SEED, steps=4, sampler=sampler)[0]  # type: ignore[arg-type]
    assert difference(plain, same).max() == 0


@pytest.mark.parametrize(
    ("numerics", "strength", "steps"),
    [("diffusers", 0.5, 5), ("diffusers", 0.39, 3), ("diffusers", 0.05, 0), ("a1111", 0.5, 6), ("a1111", 1.0, 10)],
)
def test_steps_are_counted_as_each_counts_them(
    numerics: str, strength: float, steps: int, studio: Studio, photo: Image.Image
) -> None:
    seen: list[int] = []
    studio.img2img(
        photo,
        "a fox",
        strength=strength,
        steps=10,
        sampler="euler",
        numerics=numerics,  # type: ignore[arg-type]
        seed=SEED,
        on_step=lambda progress: seen.append(progress.total),
    )
    assert seen == [steps] * steps


def test_an_odd_size_is_padded_and_cut_back(studio: Studio, photo: Image.Image, tmp_path: Path) -> None:
    odd = photo.resize((61, 35))
    painted = studio.img2img(odd, "a fox", strength=0.5, steps=2, seed=SEED)
    assert painted[0].size == (61, 35)
    [file] = painted.save(tmp_path / "a.png")
    assert read_request(file).width == 61


def test_a_request_names_its_picture_by_digest(studio: Studio, photo: Image.Image, tmp_path: Path) -> None:
    photo.save(tmp_path / "in.png")
    result = studio.img2img(tmp_path / "in.png", "a fox", steps=2, seed=SEED)
    again = studio.run(result.request)
    assert again[0].tobytes() == result[0].tobytes()
    photo.rotate(90).save(tmp_path / "in.png")
    with pytest.raises(RequestError, match="has changed"):
        studio.run(Img2Img.from_json(result.request.to_json()))


# ------------------------------------------------------------------------------------------------------- inpainting


@pytest.mark.parametrize("blur", [0, 6])
@pytest.mark.parametrize("sampler", ["euler", "euler_a", "dpmpp_2m_sde"])
def test_every_byte_outside_the_mask_stays(blur: int, sampler: str, studio: Studio, photo: Image.Image) -> None:
    mask = square()
    painted = studio.inpaint(photo, "a fox", mask=mask, blur=blur, sampler=sampler, steps=3, seed=SEED)[0]  # type: ignore[arg-type]
    changed = difference(painted, photo)
    outside = np.asarray(feathered(mask, blur)) == 0
    assert outside.mean() > 0.5
    assert changed[outside].max() == 0
    assert changed[np.asarray(mask) == 255].mean() > 5


def test_outside_the_latents_are_the_known_ones_at_every_level(studio: Studio, photo: Image.Image) -> None:
    """With D constant the sampler keeps x on the way from its noise to the known latents: previews show the photo."""
    trip = np.asarray(studio.img2img(photo, "a fox", strength=0.0, seed=SEED)[0], int)
    far = np.asarray(feathered(square(64, 0, 48), 0)) == 0
    seen = []
    studio.inpaint(
        photo,
        "a fox",
        mask=square(64, 0, 16),
        strength=1.0,
        steps=4,
        seed=SEED,
        sampler="euler",
        on_step=lambda progress: seen.append(np.asarray(progress.preview()[0], int)),
    )
    assert len(seen) == 4
    original = np.asarray(photo, int)
    assert all(np.abs(each - original)[far].max() == 0 for each in seen)
    assert np.abs(trip - original)[far].max() > 0


@pytest.mark.parametrize("fill", ["original", "noise", "blur", "zeros"])
def test_fills_differ(fill: str, studio: Studio, photo: Image.Image) -> None:
    options = {"mask": square(), "strength": 0.5, "steps": 4, "seed": SEED}
    painted = studio.inpaint(photo, "a fox", fill=fill, **options)[0]  # type: ignore[arg-type]
    other = studio.inpaint(photo, "a fox", fill="original" if fill != "original" else "zeros", **options)[0]  # type: ignore[arg-type]
    assert difference(painted, other).max() > 0


def test_the_transparent_part_is_the_mask(studio: Studio, photo: Image.Image) -> None:
    clear = photo.copy()
    clear.putalpha(Image.eval(square(), lambda value: 255 - value))
    painted = studio.inpaint(clear, "a fox", blur=0, steps=2, seed=SEED)[0]
    kept = np.asarray(square()) == 0
    assert (np.asarray(painted)[kept] == np.asarray(photo)[kept]).all()


REFUSED: list[tuple[Callable[[], Image.Image | None], dict[str, object], str]] = [
    (lambda: None, {}, "no transparent part"),
    (lambda: square(32), {}, "is 32x32, and the picture 64x64"),
    (lambda: Image.new("L", (64, 64)), {}, "nothing to paint"),
    (lambda: Image.new("L", (64, 64), 255), {}, "nothing of the picture"),
    (square, {"grow": 64}, "nothing of the picture"),
    (square, {"grow": -13}, "nothing to paint"),
]


@pytest.mark.parametrize(("mask", "options", "words"), REFUSED)
def test_masks_that_mask_nothing_or_all(
    mask: Callable[[], Image.Image | None], options: dict[str, int], words: str, studio: Studio, photo: Image.Image
) -> None:
    with pytest.raises(RequestError, match=words):
        studio.inpaint(photo, "a fox", mask=mask(), grow=options.get("grow", 0), seed=SEED)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"no picture", "cannot be opened, unreadable"),
        (b"\x89PNG\r\n\x1a\n", "cannot be opened"),
        (b"", "cannot be opened"),
    ],
)
def test_pictures_that_are_none(content: bytes, words: str, studio: Studio, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(RequestError, match=words):
        studio.img2img(tmp_path / "a.png", "a fox")
    with pytest.raises(RequestError, match="No such file"):
        studio.img2img(tmp_path / "none.png", "a fox")
    with pytest.raises(RequestError, match="no plain file"):
        studio.img2img(tmp_path, "a fox")


def test_a_box_is_a_mask(studio: Studio, photo: Image.Image) -> None:
    options = {"blur": 0, "strength": 0.6, "steps": 3, "seed": SEED}
    boxed = studio.inpaint(photo, "a fox", box=(16, 16, 24, 24), **options)  # type: ignore[arg-type]
    masked = studio.inpaint(photo, "a fox", mask=square(), **options)  # type: ignore[arg-type]
    assert boxed[0].tobytes() == masked[0].tobytes()
    assert Inpaint.from_json(boxed.request.to_json()).box == (16, 16, 24, 24)
    assert describe(boxed.request).fields["Mask box"] == "16,16,24,24"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"box": "8,8,60,8"}, "reaches beyond the picture, which is 64x64"),
        ({"box": "8,8,0,8"}, "width and height 1 or more"),
        ({"box": "8,8,8"}, "left, top, width and height in pixels, for example"),
        ({"box": (8, 8, 8, 8), "mask": square()}, "give one of them"),
    ],
)
def test_boxes_that_are_none(options: dict[str, Any], words: str, studio: Studio, photo: Image.Image) -> None:
    with pytest.raises(RequestError, match=words):
        studio.inpaint(photo, "a fox", **options)


def test_the_masked_part_alone_is_painted_at_the_size_of_the_model(studio: Studio, photo: Image.Image) -> None:
    large = photo.resize((200, 120))
    result = studio.inpaint(
        large, "a fox", box=(100, 40, 30, 20), only_masked=True, padding=9, blur=4, steps=2, seed=SEED
    )
    changed = difference(result[0], large)
    mask = Image.new("L", large.size)
    mask.paste(255, (100, 40, 130, 60))
    assert result[0].size == (200, 120)
    assert (result.request.width, result.request.height) == (64, 64)
    assert changed[np.asarray(feathered(mask, 4)) == 0].max() == 0
    assert changed[np.asarray(mask) == 255].mean() > 5
    fields = describe(result.request).fields
    assert (fields["Inpaint area"], fields["Masked area padding"], fields["Size"]) == ("Only masked", "9", "64x64")
    assert studio.run(result.request)[0].tobytes() == result[0].tobytes()


@pytest.mark.parametrize(
    ("box", "padding", "shape", "region"),
    [
        ((20, 24, 36, 40), 8, (64, 64), (12, 16, 44, 48)),
        ((20, 24, 36, 32), 0, (64, 64), (20, 20, 36, 36)),  # widened on both sides
        ((20, 0, 36, 8), 0, (64, 64), (20, 0, 36, 16)),  # moved inside
        ((0, 30, 100, 40), 0, (64, 64), (0, 0, 100, 64)),  # cut where the picture ends
        ((20, 24, 36, 40), 0, (128, 64), (12, 24, 44, 40)),
    ],
)
def test_surroundings_have_the_ratio_of_the_size(
    box: tuple[int, int, int, int], padding: int, shape: tuple[int, int], region: tuple[int, int, int, int]
) -> None:
    mask = Image.new("L", (100, 64))
    mask.paste(255, box)
    assert around(mask, padding, shape) == region


def test_the_seam_is_told(studio: Studio, photo: Image.Image) -> None:
    result = studio.inpaint(photo, "a fox", mask=square(), steps=1, seed=SEED, count=2)
    assert result.measures["seam"] == [seam(each, square()) for each in result]
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    assert seam(noise, square()) == pytest.approx(1, abs=0.15)
    patched = noise.point(lambda value: value // 4)
    patched.paste((255, 255, 255), (16, 16, 40, 40))
    assert seam(patched, square()) > 5


def test_masks_grow_and_fade_as_far_as_asked() -> None:
    mask = square(64, 20, 40)
    assert grown(mask, 3).getbbox() == (17, 17, 43, 43)
    assert grown(mask, -3).getbbox() == (23, 23, 37, 37)
    soft = np.asarray(feathered(mask, 6))
    assert Image.fromarray(soft).getbbox() == (14, 14, 46, 46) or (soft[20:40, 20:40] == 255).all()
    assert (soft[:14] == 0).all()
    assert 0 < soft[16, 30] < 255


def test_a_blurred_fill_takes_the_colours_around() -> None:
    image = Image.new("RGB", (64, 64), (200, 40, 90))
    image.paste((0, 0, 0), (8, 8, 56, 56))
    filled = np.asarray(blurred(image, square(64, 8, 56)), int)
    assert np.abs(filled - np.array([200, 40, 90])).max() <= 1
