"""Memory: what a painting is held to, what is refused, and what is let go when it has done its work."""

from pathlib import Path

import pytest
from torch import Tensor

from sfumato import RequestError, Studio, Txt2Img
from sfumato.adapters.applied import Applied
from sfumato.checkpoints.tensors import release
from sfumato.tasks import memory
from sfumato.tasks.memory import fitted, peak, weights


def test_the_same_picture_in_less_memory(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    studio = Studio(tiny, precision="fp32")
    plain = studio.txt2img("a red fox", seed=1, steps=2)
    gone: list[Tensor] = []
    monkeypatch.setattr(memory, "release", lambda tensor: (gone.append(tensor), release(tensor))[1])
    held = studio.txt2img("a red fox", seed=1, steps=2, ram="4G")
    assert held.images[0].tobytes() == plain.images[0].tobytes()
    assert held.request == plain.request
    model = studio.load()
    texts, network = model.texts["text_encoder"].encoder, model.network
    count = len(list(texts.parameters())) + len(list(network.parameters()))
    assert len(gone) >= count


def test_what_does_not_fit_is_refused_with_what_does(tiny: Path) -> None:
    studio = Studio(tiny, precision="fp32")
    with pytest.raises(
        RequestError, match=r"ram 100M is too little: tiny takes about 0\.5 GB for this; give --ram 0\.5G"
    ):
        studio.txt2img("a red fox", steps=2, ram="100M")


def test_a_large_picture_is_sampled_in_tiles(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "decoding", lambda *_: ("whole", 0))  # of which a tiny network's steps are a small part
    model = Studio(tiny, precision="fp32").load()
    large = Txt2Img(prompt="", width=2048, height=2048)
    tiled = large.changed(tile=64, tile_overlap=16)
    assert weights(model.network) > 0
    between = (peak(model, large) + peak(model, tiled)) // 2
    held, planned = fitted(Applied(model, model), large.changed(ram=f"{between // 10**6}M"))
    assert planned == tiled
    assert held.model.ram is not None
