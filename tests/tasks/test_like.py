"""A picture as a prompt: what is asked for together."""

import pytest
from PIL import Image

from sfumato.errors import RequestError
from sfumato.metadata.describe import describe
from sfumato.requests import Between, Txt2Img


def test_a_picture_and_what_reads_it_go_together() -> None:
    with pytest.raises(RequestError, match="like and like_model go together"):
        Txt2Img(prompt="a", like=Image.new("RGB", (8, 8)))
    with pytest.raises(RequestError, match="like and like_model go together"):
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
