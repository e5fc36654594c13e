"""Tiny models with CLIP's own vocabulary, which single files need."""

from pathlib import Path

import pytest
import torch

from sfumato.checkpoints.export import export
from sfumato.models.autoencoder_kl import AutoencoderKLConfig
from sfumato.models.clip import CLIPTextConfig
from sfumato.models.tokenizer import ClipTokenizer
from tests.conftest import write


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the form of Stable Diffusion 1; read only."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    text = CLIPTextConfig(hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2)
    vae = AutoencoderKLConfig(
        block_out_channels=(8, 16),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        layers_per_block=1,
        norm_num_groups=8,
        sample_size=16,
    )
    return write(tmp_path_factory.mktemp("clip") / "little", text, ClipTokenizer.clip(), vae)


@pytest.fixture(scope="session")
def single(folder: Path) -> Path:
    """The same in one file; read only."""
    return export(folder, folder.parent / "little.safetensors")
