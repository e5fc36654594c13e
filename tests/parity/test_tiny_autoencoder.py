"""The tiny autoencoder against diffusers' on the same random weights, in float32: within 1e-4 relative."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderTiny as TheirAutoencoderTiny
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from sfumato.checkpoints.rules import convert, revert
from sfumato.checkpoints.tables import taesd
from sfumato.checkpoints.tiny import load_tiny, read_tiny
from sfumato.errors import CheckpointError
from sfumato.models.autoencoder_tiny import AutoencoderTiny, AutoencoderTinyConfig
from tests.parity.measure import assert_close

pytestmark = pytest.mark.parity

FORMS = {
    "taesd": {},
    "taesd3": {"latent_channels": 16},
    "shallow": {
        "encoder_block_out_channels": (8, 8),
        "decoder_block_out_channels": (16, 16),
        "num_encoder_blocks": (1, 2),
        "num_decoder_blocks": (2, 1),
        "block_out_channels": None,
    },
}


def pair(form: str) -> tuple[AutoencoderTiny, TheirAutoencoderTiny]:
    torch.manual_seed(0)
    theirs = TheirAutoencoderTiny(**{k: v for k, v in FORMS[form].items() if k != "block_out_channels"}).eval()
    ours = AutoencoderTiny(AutoencoderTinyConfig.from_json(dict(theirs.config))).eval()
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


@pytest.mark.parametrize("form", FORMS)
@torch.no_grad()
def test_encode_and_decode(form: str) -> None:
    ours, theirs = pair(form)
    pixels = torch.rand(2, 3, 32, 48) * 2 - 1
    latents = theirs.encode(pixels).latents
    assert_close(ours.encode(pixels), latents)
    assert latents.shape[1:] == (ours.latent_channels, 32 // ours.factor, 48 // ours.factor)
    wide = 4 * torch.randn_like(latents)  # beyond where the decoder bends its input
    assert_close(ours.decode(wide), theirs.decode(wide).sample)


@torch.no_grad()
def test_latents_in_other_units() -> None:
    ours, theirs = pair("taesd3")
    scaled = AutoencoderTiny(AutoencoderTinyConfig(latent_channels=16, scaling_factor=1.5, shift_factor=0.25)).eval()
    scaled.load_state_dict(ours.state_dict())
    pixels = torch.rand(1, 3, 16, 16) * 2 - 1
    assert_close(scaled.encode(pixels), (theirs.encode(pixels).latents - 0.25) * 1.5)
    z = torch.randn(1, 16, 2, 2)
    assert_close(scaled.decode((z - 0.25) * 1.5), theirs.decode(z).sample)


class Clamp(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return 3 * torch.tanh(x / 3)


def authors_decoder(channels: int) -> nn.Sequential:
    """The row of layers of the author's `taesd.py`, whose numbers are the names in his files."""

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            layers = [nn.Conv2d(64, 64, 3, padding=1) for _ in range(3)]
            self.conv = nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2])

        def forward(self, x: Tensor) -> Tensor:
            return (self.conv(x) + x).relu()

    def up() -> list[nn.Module]:
        return [Block(), Block(), Block(), nn.Upsample(scale_factor=2), nn.Conv2d(64, 64, 3, padding=1, bias=False)]

    first, last = nn.Conv2d(channels, 64, 3, padding=1), nn.Conv2d(64, 3, 3, padding=1)
    return nn.Sequential(Clamp(), first, nn.ReLU(), *up(), *up(), *up(), Block(), last)


@pytest.mark.parametrize("channels", [4, 16])
@torch.no_grad()
def test_the_authors_files(channels: int) -> None:
    """His decoder's names are ours, number by number; his pictures lie in [0, 1]."""
    torch.manual_seed(0)
    config = AutoencoderTinyConfig(latent_channels=channels)
    original = authors_decoder(channels).eval()
    ours = AutoencoderTiny(config).eval()
    halves = convert(original.state_dict(), taesd.decoder(config))
    halves |= {name: tensor for name, tensor in ours.state_dict().items() if name.startswith("encoder.")}
    ours.load_state_dict(halves)
    latents = torch.randn(1, channels, 3, 5)
    assert_close(ours.decode(latents), original(latents) * 2 - 1)
    encoded = {k.removeprefix("encoder.layers."): v for k, v in halves.items() if k.startswith("encoder.")}
    assert convert(encoded, taesd.encoder(config)).keys() == {k for k in halves if k.startswith("encoder.")}
    both = revert(halves, taesd.table(config))
    assert torch.equal(both["taesd_decoder.1.weight"], original[1].weight)
    assert convert(both, taesd.table(config)).keys() == halves.keys()


# ------------------------------------------------------------------------------------------------------------ files


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[TheirAutoencoderTiny, Path]:
    """A taesd3 by diffusers, in all four layouts."""
    folder = tmp_path_factory.mktemp("taesd")
    ours, theirs = pair("taesd3")
    theirs.save_pretrained(folder / "diffusers")
    shutil.copy(folder / "diffusers" / "diffusion_pytorch_model.safetensors", folder / "one.safetensors")
    state, config = ours.state_dict(), ours.config
    save_file(revert(state, taesd.table(config)), folder / "both.safetensors")
    for half in ("encoder", "decoder"):
        of_half = {name: tensor for name, tensor in state.items() if name.startswith(half)}
        alone = revert(of_half, getattr(taesd, half)(config))
        save_file(alone, folder / f"taesd3_{half}.safetensors")
        torch.save(alone, folder / f"taesd3_{half}.pth")
    return theirs, folder


@pytest.mark.parametrize(
    "name", ["diffusers", "one.safetensors", "both.safetensors", "taesd3_decoder.safetensors", "taesd3_decoder.pth"]
)
def test_layouts(name: str, files: tuple[TheirAutoencoderTiny, Path]) -> None:
    theirs, folder = files
    ours = load_tiny(folder / name, dtype=torch.float32, device=torch.device("cpu"))
    expected = theirs.state_dict()
    assert ours.state_dict().keys() == expected.keys()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in ours.state_dict().items())


def halved(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor[:1].clone() for name, tensor in state.items()}


BAD: dict[str, tuple[Callable[[dict[str, Tensor]], dict[str, Tensor]], str]] = {
    "another": (lambda state: {"weight": torch.zeros(2)}, "no tiny autoencoder's decoder"),
    "flat": (lambda state: {"1.weight": torch.zeros(2)}, "no tiny autoencoder's decoder"),
    "half": (lambda state: {"1.weight": torch.zeros(4, 4, 3, 3)}, "half of a tiny autoencoder"),
    "missing": (lambda state: dict(list(state.items())[:-1]), "1 tensors are missing"),
    "unexpected": (lambda state: {**state, "taesd_decoder.99.weight": torch.zeros(1)}, "is unexpected"),
    "shapes": (
        lambda state: {**state, **halved({"taesd_encoder.0.bias": state["taesd_encoder.0.bias"]})},
        "another shape",
    ),
    "nan": (lambda state: {**state, "taesd_encoder.0.bias": torch.full((64,), torch.nan)}, "NaN"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files(name: str, files: tuple[TheirAutoencoderTiny, Path], tmp_path: Path) -> None:
    damage, message = BAD[name]
    file = tmp_path / "tiny.safetensors"
    save_file(damage(load_file(files[1] / "both.safetensors")), file)
    with pytest.raises(CheckpointError, match=message):
        read_tiny(file)


def test_a_folder_of_another_kind(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"act_fn": "silu"}')
    with pytest.raises(CheckpointError, match="act_fn='silu'"):
        read_tiny(tmp_path)
    (tmp_path / "config.json").write_text('{"num_encoder_blocks": [1, 2]}')
    (tmp_path / "diffusion_pytorch_model.safetensors").symlink_to("missing")
    with pytest.raises(CheckpointError):
        read_tiny(tmp_path)
