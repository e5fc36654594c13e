"""Where words are in a picture: on a stand-in whose D shows a word as a square, and as a task on the tiny model."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from sfumato import Studio
from sfumato.adapters.applied import Applied
from sfumato.diffusion.conditioning import Conditioning
from sfumato.diffusion.denoiser import Denoiser
from sfumato.errors import RequestError
from sfumato.metadata.describe import describe
from sfumato.model import Model
from sfumato.requests import Inpaint, Replace
from sfumato.tasks import where
from sfumato.tasks.where import located, otsu, replaced, with_and_without

HAT = (slice(0, 3), slice(2, 6))
"""Latents of the hat: rows and columns."""


@pytest.fixture(scope="module")
def studio(tiny: Path) -> Studio:
    return Studio(tiny, device="cpu", precision="fp32")


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    rows = np.indices((64, 64)).sum(0)
    return Image.fromarray(np.stack([rows * 2, 255 - rows * 2, rows * 37 % 256], -1).astype(np.uint8))


@pytest.fixture(scope="module")
def hatted(photo: Image.Image) -> Image.Image:
    """The picture with a hat that ends between latents."""
    image = photo.copy()
    image.paste((200, 20, 220), (19, 0, 45, 21))
    return image


def test_words_are_taken_out_of_the_prompt_or_added() -> None:
    assert with_and_without("a fox with a Hat, snow", "the hat") == ("a fox with a Hat, snow", "a fox with , snow")
    assert with_and_without("a fox, chat", "hat") == ("a fox, chat, hat", "a fox, chat")
    assert with_and_without("", "a hat") == ("hat", "")
    assert replaced("a fox with a hat", "the hat", r"crown\1") == r"a fox with a crown\1"
    assert replaced("", "hat", "crown") == "crown"
    portrait = "comic portrait, blonde bob hair, smile and a red hat"
    assert replaced(portrait, "hair", "a mohawk") == "comic portrait, a mohawk, smile and a red hat"
    assert replaced(portrait, "the hat", "a cap") == "comic portrait, blonde bob hair, smile and a cap"
    assert replaced("a red hat", "hat", "cap") == "a red cap"
    with pytest.raises(RequestError, match="names nothing"):
        with_and_without("a fox", "the ")


def test_the_threshold_parts_two_heaps() -> None:
    values = torch.cat([torch.randn(500) * 0.1, torch.randn(100) * 0.1 + 2])
    assert 0.4 < otsu(values) < 1.6


@pytest.fixture
def shown(studio: Studio, photo: Image.Image, hatted: Image.Image, monkeypatch: pytest.MonkeyPatch) -> Applied:
    """A model whose D is the picture where the prompt has a hat, and 0 in its place otherwise, which is decoded as the
    picture without; it knows no crown."""
    model = studio.load()
    with torch.inference_mode():
        clean = model.encode_pixels(where.to_tensor(hatted))
    texts: dict[int, str] = {}

    def condition(applied: Applied, request: object, how: object, text: str) -> Conditioning:
        cond = Conditioning(torch.full((1, 1, 1), float(len(texts))))
        texts[len(texts)] = text
        return cond

    class Shows(Denoiser):
        def __call__(self, x: Tensor, sigma: Tensor, cond: Conditioning) -> Tensor:
            found = clean.expand_as(x).clone()
            if not re.search(r"\bhat\b", texts[int(cond.tokens[0, 0, 0])]):
                found[:, :, *HAT] = 0
            return found

    def denoiser(self: Model) -> Denoiser:
        return Shows(lambda x, label, cond: x, self.sampling.parameterisation, self.sampling.schedule)

    def decode(self: Model, latents: Tensor) -> Tensor:
        pixels = [hatted if torch.allclose(each, clean[0], atol=1e-4) else photo for each in latents]
        return torch.cat([where.to_tensor(each.resize((64, 64))) for each in pixels])

    monkeypatch.setattr(where, "condition", condition)
    monkeypatch.setattr(Model, "denoiser", denoiser)
    monkeypatch.setattr(Model, "decode", decode)
    return Applied(model, model)


def test_what_the_words_change_is_the_mask_along_what_is_drawn(shown: Applied, hatted: Image.Image) -> None:
    request = Inpaint(prompt="a fox with a hat, snow", image=hatted)
    mask = np.asarray(located(shown, request, hatted, "the hat", request.prompt)) > 0
    truth = np.zeros((64, 64), bool)
    truth[0:21, 19:45] = True
    assert (mask & truth).sum() / (mask | truth).sum() > 0.95  # the latents alone say (0:24, 16:48), 0.71
    larger = located(shown, request, hatted.resize((128, 128)), "hat", request.prompt)
    assert larger.size == (128, 128)


def test_a_mask_is_refined_by_colours(hatted: Image.Image) -> None:
    coarse = Image.new("L", (64, 64))
    coarse.paste(255, (16, 0, 48, 12))  # half of the hat
    gain = np.zeros((64, 64))
    gain[0:21, 19:45] = 0.5
    found = np.asarray(where.refined(coarse, hatted, gain)) > 0
    assert found[0:21, 19:45].all()
    assert found.mean() < 0.2
    eyed = hatted.copy()
    eyed.paste((0, 255, 0), (24, 4, 30, 8))  # which the words do not explain
    gain[4:8, 24:30] = 0.01
    seen = np.asarray(where.refined(coarse, eyed, gain)) > 0
    assert not seen[4:8, 24:30].any()
    assert (seen | (gain == 0.01))[0:21, 19:45].all()
    flat = Image.new("RGB", (64, 64), "white")
    assert where.refined(coarse, flat, gain).tobytes() == coarse.tobytes()  # no colour is the part's own


def test_what_is_not_there_is_said_with_what_is(shown: Applied, hatted: Image.Image) -> None:
    request = Inpaint(prompt="a fox with a hat, snow", image=hatted)
    with pytest.raises(
        RequestError, match=r"'crown' is not found in the picture by tiny; of the prompt it has a hat; .* --box"
    ):
        located(shown, request, hatted, "the crown", request.prompt)


def test_the_tasks(studio: Studio, photo: Image.Image, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(where, "LEAST", -1e9)  # random weights know no words
    options: Any = {"steps": 2, "seed": 3, "blur": 0}
    inpainted = studio.inpaint(photo, "a red fox", where="fox", **options)
    changed = studio.replace(photo, "fox", "house", description="a red fox", **options)
    for result in (inpainted, changed):
        assert (np.asarray(result[0]) != np.asarray(photo)).any()
        assert (np.asarray(result[0]) == np.asarray(photo)).all(-1).any()
        assert studio.run(result.request)[0].tobytes() == result[0].tobytes()
    assert describe(inpainted.request).fields["Mask words"] == "fox"
    assert isinstance(changed.request, Replace)
    assert (changed.request.old, changed.request.prompt) == ("fox", "house")
    with pytest.raises(RequestError, match="box and where all say"):
        studio.inpaint(photo, "a fox", where="fox", box=(0, 0, 8, 8))
