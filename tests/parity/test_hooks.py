"""What changes a network for a call: as diffusers does it, and gone afterwards."""

from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionPipeline
from diffusers.models.attention_processor import PAGIdentitySelfAttnProcessor2_0

from sfumato.checkpoints.folder import load_folder
from sfumato.diffusion import Conditioning
from sfumato.models import hooks
from sfumato.models.hooks import freeu, identity_attention, inside, mean_attention
from sfumato.models.unet import UNet
from tests.parity.measure import assert_close

pytestmark = pytest.mark.parity

Pair = tuple[StableDiffusionPipeline, Path]


def unet_of(folder: Path) -> UNet:
    unet = load_folder(folder, dtype=torch.float32, device=torch.device("cpu")).network
    assert isinstance(unet, UNet)
    return unet


def inputs() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(3)
    return torch.randn(1, 4, 16, 24), torch.tensor([500.0]), torch.randn(1, 77, 32)


@pytest.mark.parametrize("part", ["mid_block", "up_blocks.1"])
@torch.no_grad()
def test_identity_attention(part: str, sd1: Pair) -> None:
    theirs_unet, folder = vars(sd1[0])["unet"], sd1[1]
    unet = unet_of(folder)
    x, label, tokens = inputs()
    plain = unet(x, label, Conditioning(tokens))
    before = dict(theirs_unet.attn_processors)
    name = f"{part}.attentions"
    theirs_unet.set_attn_processor(
        {
            key: PAGIdentitySelfAttnProcessor2_0() if key.startswith(name) and "attn1" in key else value
            for key, value in before.items()
        }
    )
    theirs = theirs_unet(x.repeat(2, 1, 1, 1), label, tokens.repeat(2, 1, 1)).sample  # the second row is perturbed
    theirs_unet.set_attn_processor(before)
    with identity_attention(unet, part):
        ours = unet(x, label, Conditioning(tokens))
    assert_close(ours, theirs[1:])
    assert not torch.allclose(ours, plain, rtol=1e-3)
    assert torch.equal(unet(x, label, Conditioning(tokens)), plain)


@pytest.mark.parametrize("part", ["mid_block", "up_blocks.1"])
@torch.no_grad()
def test_mean_attention(part: str, sd1: Pair) -> None:
    """Equation 12 of Hong 2024 without bound, in diffusers' U-Net: the queries are their mean."""
    theirs_unet, folder = vars(sd1[0])["unet"], sd1[1]
    unet = unet_of(folder)
    x, label, tokens = inputs()
    plain = unet(x, label, Conditioning(tokens))
    hooked = [
        module.register_forward_hook(lambda _, args, out: out.mean(1, keepdim=True).expand_as(out))
        for name, module in theirs_unet.named_modules()
        if name.startswith(f"{part}.attentions") and name.endswith("attn1.to_q")
    ]
    theirs = theirs_unet(x, label, tokens).sample
    for hook in hooked:
        hook.remove()
    with mean_attention(unet, part):
        ours = unet(x, label, Conditioning(tokens))
    assert_close(ours, theirs)
    assert hooked
    assert not torch.allclose(ours, plain, rtol=1e-3)
    assert torch.equal(unet(x, label, Conditioning(tokens)), plain)


@torch.no_grad()
def test_freeu(sd1: Pair) -> None:
    theirs_unet, folder = vars(sd1[0])["unet"], sd1[1]
    unet = unet_of(folder)
    x, label, tokens = inputs()
    plain = unet(x, label, Conditioning(tokens))
    (b1, b2), (s1, s2) = hooks.FREEU_BACKBONE, hooks.FREEU_SKIP
    theirs_unet.enable_freeu(s1=s1, s2=s2, b1=b1, b2=b2)
    theirs = theirs_unet(x, label, tokens).sample
    theirs_unet.disable_freeu()
    with freeu(unet):
        ours = unet(x, label, Conditioning(tokens))
    assert_close(ours, theirs)
    assert not torch.allclose(ours, plain, rtol=1e-3)
    with freeu(unet, 0.0):
        torch.testing.assert_close(unet(x, label, Conditioning(tokens)), plain, rtol=1e-3, atol=1e-4)
    assert torch.equal(unet(x, label, Conditioning(tokens)), plain)


@torch.no_grad()
def test_a_denoiser_inside_leaves_the_network_alone(sd1: Pair) -> None:
    model = load_folder(sd1[1], dtype=torch.float32, device=torch.device("cpu"))
    unet = unet_of(sd1[1])
    x, label, tokens = inputs()
    plain = unet(x, label, Conditioning(tokens))
    denoiser = inside(model.denoiser(), lambda: identity_attention(unet), lambda: freeu(unet, 0.5))
    denoiser(x, torch.tensor(1.0), Conditioning(tokens))
    assert torch.equal(unet(x, label, Conditioning(tokens)), plain)
    with pytest.raises(RuntimeError), identity_attention(unet), freeu(unet):
        unet(x, label, Conditioning(tokens[:, :, :3]))
    assert torch.equal(unet(x, label, Conditioning(tokens)), plain)
