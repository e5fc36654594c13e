"""A whole model of Stable Diffusion's form with random weights, a thousandth of its size, in the folder layout."""

from pathlib import Path

import pytest
import torch

from sfumato.checkpoints.save import save_index, save_part
from sfumato.models.autoencoder_kl import AutoencoderKL, AutoencoderKLConfig
from sfumato.models.clip import CLIPTextConfig, CLIPTextEncoder
from sfumato.models.tokenizer import ClipTokenizer
from sfumato.models.unet import UNet, UNetConfig
from sfumato.training.tokenizer import train_tokenizer

DDIM = {
    "_class_name": "DDIMScheduler",
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "num_train_timesteps": 1000,
    "prediction_type": "epsilon",
    "clip_sample": False,
    "set_alpha_to_one": False,
    "steps_offset": 1,
}


def write_tiny(folder: Path, seed: int = 0) -> Path:
    """Write the model; the same bytes each time."""
    torch.manual_seed(seed)
    words: ClipTokenizer = train_tokenizer(["a red fox", "a green house"], 540, 16)
    text = CLIPTextConfig(
        vocab_size=len(words.vocabulary),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=16,
        projection_dim=16,
        bos_token_id=words.begin,
        eos_token_id=words.end,
        pad_token_id=words.end,
    )
    vae = AutoencoderKLConfig(
        block_out_channels=(8, 16, 16, 16), layers_per_block=1, norm_num_groups=8, mid_block_add_attention=False
    )
    return write(folder, text, words, vae)


def write(folder: Path, text: CLIPTextConfig, words: ClipTokenizer, vae: AutoencoderKLConfig) -> Path:
    """Write a model of these parts around the same little U-Net, with the random weights that come next."""
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
    save_part(folder, "text_encoder", CLIPTextEncoder(text), text, torch.float32)
    save_part(folder, "unet", UNet(unet), unet, torch.float32)
    save_part(folder, "vae", AutoencoderKL(vae), vae, torch.float32)
    words.save(folder / "tokenizer")
    save_index(folder, {"unet": UNetConfig, "vae": AutoencoderKLConfig, "text_encoder": CLIPTextConfig}, DDIM)
    return folder


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the tiny model; read only (copy it to damage it)."""
    torch.set_num_threads(1)
    return write_tiny(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def tiny_twin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second model of the same form with other weights; read only."""
    return write_tiny(tmp_path_factory.mktemp("models") / "twin", seed=1)
