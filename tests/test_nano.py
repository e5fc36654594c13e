"""The bundled model: whole, loaded by name, exact, and it listens."""

import hashlib
import socket
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sfumato import Studio
from sfumato.checkpoints.catalogue import available, bundled_folder


@pytest.fixture(scope="module")
def studio() -> Studio:
    """As this machine runs it: in bfloat16, where it has that."""
    return Studio("nano", device="cpu")


def corner(image: Image.Image) -> np.ndarray:
    """The median colour of the upper corners, 0 to 255."""
    array = np.asarray(image, dtype=float)
    return np.median(np.concatenate([array[:32, :32].reshape(-1, 3), array[:32, -32:].reshape(-1, 3)]), axis=0)


def test_the_weights_are_those_of_the_list() -> None:
    folder = bundled_folder("nano")
    lines = [line.split() for line in (folder / "SHA256SUMS").read_text().splitlines()]
    assert len(lines) == 5
    for digest, name in lines:
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
        assert (folder / name).stat().st_size < 45_000_000
    assert next(info.name for info in available()) == "nano"


def test_it_paints_without_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> None:
        raise AssertionError("no network unless asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    result = Studio("nano", device="cpu", precision="fp32").txt2img("a toon portrait", seed=0, steps=2)
    assert result[0].size == (256, 256)


@pytest.mark.parametrize("sampler", ["euler", "dpmpp_2m_sde"])
def test_a_picture_of_a_batch_is_the_one_of_its_seed(studio: Studio, sampler: Any) -> None:
    """To the byte by default, where pictures are painted one after the other."""
    prompt = "minimal portrait, glasses"
    two = studio.txt2img(prompt, seed=4, count=2, steps=2, sampler=sampler, size="128x128")
    for i, image in enumerate(two):
        alone = studio.txt2img(prompt, seed=4 + i, steps=2, sampler=sampler, size="128x128")[0]
        assert image.tobytes() == alone.tobytes()


def test_painted_together_pictures_stay_the_same_pictures(studio: Studio) -> None:
    """In one batch, bfloat16 kernels may round otherwise; what is painted does not change."""
    together = studio.txt2img("toon portrait, red turtleneck", seed=0, count=2, batch=2, steps=4)
    for i, image in enumerate(together):
        alone = np.asarray(studio.txt2img("toon portrait, red turtleneck", seed=i, steps=4)[0], dtype=float)
        assert np.abs(np.asarray(image, dtype=float) - alone).mean() < 2


@pytest.mark.parametrize(
    ("colour", "rgb"),
    [
        ("teal", (32, 155, 140)),
        pytest.param("lavender", (215, 200, 245), marks=pytest.mark.slow),
        pytest.param("mint green", (168, 240, 205), marks=pytest.mark.slow),
    ],
)
def test_it_listens(studio: Studio, colour: str, rgb: tuple[int, int, int]) -> None:
    """The background is the one asked for; the same words with another colour move it."""
    image = studio.txt2img(f"toon portrait, blonde hair in a bun, red turtleneck, {colour} background", seed=0)[0]
    assert np.abs(corner(image) - rgb).max() < 40
