"""Tiny models with CLIP's own vocabulary, which single files need."""

from pathlib import Path

import pytest
import torch

from sfumato.checkpoints.export import export
from sfumato.checkpoints.save import save_index, save_part
from sfumato.models.autoencoder_kl import AutoencoderKL, AutoencoderKLConfig
from sfumato.models.clip import CLIPTextConfig, CLIPTextEncoder
from sfumato.models.tokenizer import ClipTokenizer
from sfumato.models.unet import UNet, UNetConfig
from tests.conftest import DDIM


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the form of Stable Diffusion 1; read only."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    target = tmp_path_factory.mktemp("clip") / "little"
    text = CLIPTextConfig(hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2)
    unet = UNetConfig(
        sample_size=8,
        block_out_channels=(16, 32),
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        layers_per_block=1,
        attention_head_dim=2,
        cross_attention_dim=16,
        norm_num_groups=8,
    )
    vae = AutoencoderKLConfig(
        block_out_channels=(8, 16),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        layers_per_block=1,
        norm_num_groups=8,
        sample_size=16,
    )
    save_part(target, "text_encoder", CLIPTextEncoder(text), text, torch.float32)
    save_part(target, "unet", UNet(unet), unet, torch.float32)
    save_part(target, "vae", AutoencoderKL(vae), vae, torch.float32)
    ClipTokenizer.clip().save(target / "tokenizer")
    save_index(target, {"unet": UNetConfig, "vae": AutoencoderKLConfig, "text_encoder": CLIPTextConfig}, DDIM)
    return target


@pytest.fixture(scope="session")
def single(folder: Path) -> Path:
    """The same in one file; read only."""
    return export(folder, folder.parent / "little.safetensors")
