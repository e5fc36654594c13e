"""What is trained is what is applied: forward of a model that wears an adapter, and of one whose reader applied it."""

from pathlib import Path
from typing import Any

import pytest
import torch

from sfumato import Studio
from sfumato.adapters.applied import apply
from sfumato.adapters.requested import Requested, files_of
from sfumato.adapters.targets import chosen
from sfumato.adapters.trained import METHODS, Adapters, Form, MethodName, attach, checkpoint_blocks
from sfumato.adapters.written import DIFFUSERS, Trained, write_adapter, write_embedding
from sfumato.diffusion.conditioning import Conditioning
from sfumato.errors import RequestError
from sfumato.model import Model
from sfumato.nn.attention import SpatialTransformer
from sfumato.nn.blocks import ResnetBlock
from sfumato.requests import Lora

BOTH = {"text_targets": ("attention", "feed-forward")}


def shaken(adapters: Adapters) -> Adapters:
    """With numbers as training might leave them."""
    generator = torch.Generator().manual_seed(3)
    for parameter in adapters.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
    return adapters


def output(model: Model, text: str = "a red fox") -> torch.Tensor:
    x = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    cond = model.encode_text([text] * 2)
    result: torch.Tensor = model.network(x, torch.tensor([3.0, 700.0]), Conditioning(cond.tokens))
    return result


def pieces(attached: object, adapters: Adapters) -> list[Trained]:
    return [Trained(name, parts, attached.scales[name]) for name, parts in adapters.pieces().items()]  # type: ignore[attr-defined]


@pytest.mark.parametrize("method", METHODS)
def test_worn_as_read_back(method: MethodName, studio: Studio, tmp_path: Path) -> None:
    """Both files say what was trained, and the model itself stays as it is."""
    model = studio.load()
    before = {name: value.clone() for name, value in model.network.state_dict().items()}
    bare = output(model).detach()
    text = {"ia3": ("k_proj", "fc2"), "full": ("norms", "attention")}.get(method, BOTH["text_targets"])
    extra: dict[str, Any] = {"targets": ("norms", "all")} if method == "full" else {}
    attached, adapters = attach(
        model, Form(method=method, rank=2, alpha=3.0, rank_stabilised=True, text_targets=text, **extra)
    )
    with attached.applied(adapters):
        torch.testing.assert_close(output(attached.model), bare, atol=1e-5, rtol=1e-4)
    shaken(adapters)
    with attached.applied(adapters):
        applied = output(attached.model)
    applied.square().mean().backward()
    assert all(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in adapters.parameters())
    files = write_adapter(tmp_path, "ink", pieces(attached, adapters), model, {"steps": "3"}, dtype=torch.float32)
    assert (DIFFUSERS in [file.name for file in files]) == (method in ("lora", "locon", "dora"))
    assert float((applied.detach() - bare).abs().max()) > 1e-3
    for file in files:
        read = apply(model, Requested(files_of([Lora(name=str(file))]))).model
        torch.testing.assert_close(output(read), applied.detach(), atol=2e-5, rtol=1e-4)
    with torch.no_grad():
        assert torch.equal(output(attached.model), bare), "nothing is worn outside of the context"
    assert all(torch.equal(value, before[name]) for name, value in model.network.state_dict().items())


def test_blocks_computed_again_have_the_same_gradients(studio: Studio) -> None:
    found = []
    for again in (False, True):
        attached, adapters = attach(studio.load(), Form(method="lora", rank=2))
        shaken(adapters)
        if again:
            checkpoint_blocks(attached.model, (ResnetBlock, SpatialTransformer))
        with attached.applied(adapters, dropout=0.3, rng=torch.Generator().manual_seed(5)):
            loss = output(attached.model).square().mean()
        loss.backward()
        found.append(torch.cat([p.grad.flatten() for p in adapters.parameters() if p.grad is not None]))
    torch.testing.assert_close(found[0], found[1])


def test_a_word(studio: Studio, tmp_path: Path) -> None:
    """Two vectors that begin as others' are those others; what was learned paints as its file does."""
    model = studio.load()
    attached, adapters = attach(model, Form(method=None, word="mila", vectors=2, initial="red fox"))
    assert {name: tuple(v.shape) for name, v in adapters.words().items()} == {"text_encoder": (2, 16)}
    shaken(adapters)
    files = write_embedding(tmp_path, "mila", adapters.words(), model, {})
    assert [file.name for file in files] == ["mila.safetensors", "learned_embeds.safetensors"]
    ids = torch.tensor([[0, *attached.words["mila"], 1]])
    with attached.applied(adapters):
        table = attached.model.texts["text_encoder"].encoder.text_model.embeddings.token_embedding  # type: ignore[union-attr]
        rows = table(ids)
    assert torch.equal(rows[0, 1:3], adapters.words()["text_encoder"])
    painted = studio.txt2img("a mila", embeddings=[str(files[0])], steps=2, seed=1, width=64, height=64)[0]
    other = studio.txt2img("a mila", embeddings=[str(files[1])], steps=2, seed=1, width=64, height=64)[0]
    assert painted.tobytes() == other.tobytes()


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (("atention",), "'atention' meets no layer of the denoiser .*did you mean attention"),
        (("attn2.to_x",), "did you mean .*attn2.to_"),
        (("nothing at all",), "presets: attention"),
    ],
)
def test_targets_that_meet_nothing(targets: tuple[str, ...], message: str, studio: Studio) -> None:
    with pytest.raises(RequestError, match=message):
        chosen(studio.load(), targets, text=False)


def test_a_method_that_cannot_change_its_targets(studio: Studio) -> None:
    with pytest.raises(RequestError, match="lora changes no layer among norms"):
        attach(studio.load(), Form(targets=("norms",)))
