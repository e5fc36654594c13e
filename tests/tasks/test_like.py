"""A picture as a prompt: what is asked for together, and reference attention, which needs no file."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from sfumato.colours import apart
from sfumato.errors import RequestError
from sfumato.metadata.describe import describe
from sfumato.models.reference import ReferenceAttention, Sight
from sfumato.nn.attention import Attention
from sfumato.requests import Between, Txt2Img
from sfumato.studio import Studio


def test_what_reads_a_picture_needs_one() -> None:
    with pytest.raises(RequestError, match="like_model is the IP-Adapter that reads a picture; give like as well"):
        Between(prompt="a", to="b", like_model="ip")


def test_it_is_written_down() -> None:
    request = Txt2Img(
        prompt="a", like=Image.new("RGB", (8, 8)), like_model="style/ip-adapter.safetensors", width=64, height=64
    )
    fields = describe(request).fields
    assert request.like is not None
    assert fields["IP-Adapter"] == "ip-adapter"
    assert fields["Like image hash"] == (request.like.sha256 or "")[:10]
    assert Txt2Img.from_json(request.to_json()).like_model == request.like_model


@torch.no_grad()
@pytest.mark.parametrize("weight", [1.0, 0.4])
def test_each_place_of_the_reference_counts_by_the_weight(weight: float) -> None:
    """Against softmax written out; rows that do not look are as without it."""
    torch.manual_seed(0)
    own, sight = Attention(8, 2), Sight(weight)
    looking = ReferenceAttention(own, sight)
    x, reference = torch.randn(3, 5, 8), torch.randn(1, 7, 8)
    with sight.record():
        torch.testing.assert_close(looking(reference), own(reference))
    every = torch.cat([x, reference.expand(3, -1, -1)], dim=1)
    heads = [(t.unflatten(-1, (2, 4)).transpose(1, 2)) for t in (own.to_q(x), own.to_k(every), own.to_v(every))]
    scores = (heads[0] @ heads[1].mT / 2).exp() * torch.tensor([1.0] * 5 + [weight] * 7)
    expected = (scores / scores.sum(-1, keepdim=True) @ heads[2]).transpose(1, 2).flatten(2)
    assert isinstance(own.to_out, nn.ModuleList)
    torch.testing.assert_close(looking(x), own.to_out[0](expected))
    sight.rows = torch.tensor([False, True, False])
    found = looking(x)
    torch.testing.assert_close(found[1], own.to_out[0](expected)[1])
    torch.testing.assert_close(found[[0, 2]], own(x)[[0, 2]])


@pytest.fixture(scope="module")
def studio(tiny: Path) -> Studio:
    return Studio(tiny, device="cpu", precision="fp32")


@pytest.fixture(scope="module")
def stripes() -> Image.Image:
    columns = np.arange(40) // 5 % 2 * 200
    return Image.fromarray(np.stack([np.tile(columns, (24, 1))] * 3, -1).astype(np.uint8))


def test_a_picture_is_looked_at_without_any_file(studio: Studio, stripes: Image.Image) -> None:
    def painted(**options: object) -> list[np.ndarray]:
        made = studio.txt2img("a red fox", negative="green", size="64x64", steps=2, seed=3, **options)  # type: ignore[arg-type]
        return [np.asarray(image, int) for image in made]

    [plain] = painted()
    assert np.array_equal(painted(like=stripes, like_strength=0.0)[0], plain), "strength 0 is off, to the byte"
    pair = painted(like=stripes, like_strength=1.0, count=2, batch=2)
    assert np.abs(pair[0] - plain).max() > 1
    assert np.abs(painted(like=stripes, like_strength=1.0)[0] - pair[0]).max() <= 1, "alone as in a batch"
    assert np.array_equal(painted()[0], plain), "the loaded model is as before"


def test_colours_move_towards_the_reference() -> None:
    """On the bundled model, at a size that it paints quickly."""
    studio = Studio(device="cpu", precision="fp32")
    rows = np.linspace(0, 60, 128)[:, None, None]
    warm = Image.fromarray(np.broadcast_to([250, 120, 20] - rows, (128, 128, 3)).astype(np.uint8))
    plain, like = (
        studio.txt2img("landscape illustration, blue sea", size="128x128", steps=4, seed=5, like=warm, like_strength=s)[
            0
        ]
        for s in (0.0, 1.0)
    )
    assert apart(like, warm) < 0.8 * apart(plain, warm)
