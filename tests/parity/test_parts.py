"""Each network against its original on the same random weights, in float32: within 1e-4 relative."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL as TheirAutoencoderKL
from diffusers import StableDiffusionPipeline, UNet2DConditionModel
from diffusers.loaders import TextualInversionLoaderMixin
from tokenizers import AddedToken
from transformers import CLIPTextModel, CLIPTokenizer

from sfumato.checkpoints.folder import TEXT_RULES, load_folder
from sfumato.checkpoints.rules import convert, revert
from sfumato.checkpoints.shapes import ShapesByName, read_unet
from sfumato.checkpoints.tables import ldm_unet
from sfumato.checkpoints.tables.checkpoint import UNET
from sfumato.diffusion.conditioning import Conditioning
from sfumato.model import Model
from sfumato.models.autoencoder_kl import AutoencoderKL, AutoencoderKLConfig
from sfumato.models.clip import CLIPTextConfig, CLIPTextEncoder
from sfumato.models.tokenizer import ClipTokenizer
from sfumato.models.unet import UNet, UNetConfig
from tests.parity.measure import assert_close

pytestmark = pytest.mark.parity

Pair = tuple[StableDiffusionPipeline, Path]


@cache
def loaded(folder: Path) -> Model:
    """Read only."""
    return load_folder(folder, dtype=torch.float32, device=torch.device("cpu"))


@pytest.mark.parametrize("form", ["sd1", "sd2"])
@torch.no_grad()
def test_unet(form: str, request: pytest.FixtureRequest) -> None:
    pipeline, folder = request.getfixturevalue(form)
    ours = loaded(folder).network
    x, tokens = torch.randn(2, 4, 16, 24), torch.randn(2, 77, 32)
    label = torch.tensor([3.25, 981.0])
    assert_close(ours(x, label, Conditioning(tokens)), pipeline.unet(x, label, tokens).sample)


@torch.no_grad()
def test_unet_paints_odd_sizes(sd1: Pair) -> None:
    pipeline, folder = sd1
    ours = loaded(folder).network
    x, tokens, label = torch.randn(1, 4, 13, 18), torch.randn(1, 77, 32), torch.tensor([500.0])
    assert_close(ours(x, label, Conditioning(tokens)), pipeline.unet(x, label, tokens).sample)


THREE_LEVELS = {
    "sample_size": 8,
    "block_out_channels": (32, 64, 64),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "attention_head_dim": (1, 1, 1),
    "use_linear_projection": True,
    "cross_attention_dim": 16,
}
FORMS: dict[str, dict[str, Any]] = {
    "deeper transformers": {"layers_per_block": 1, "transformer_layers_per_block": (1, 2, 3)},
    "BK-SDM base": {"layers_per_block": 1},
    "BK-SDM small": {"layers_per_block": 1, "mid_block_type": None},
    "SSD-1B": {
        "mid_block_type": "UNetMidBlock2D",
        "transformer_layers_per_block": [1, [2, 1], [3, 3]],
        "reverse_transformer_layers_per_block": [[3, 3, 4], [2, 1, 1], 1],
    },
    "KOALA": {"layers_per_block": 1, "transformer_layers_per_block": [1, 2, 3], "mid_block_type": None},
    "layers by level": {"layers_per_block": (1, 2, 1)},
    "a transformer by residual block": {
        "transformer_layers_per_block": [1, 1, [2, 3]],
        "reverse_transformer_layers_per_block": [[2, 2, 2], 1, 1],
    },
}


@pytest.mark.parametrize("form", FORMS)
@torch.no_grad()
def test_unet_forms(form: str) -> None:
    """Each is as in diffusers, and known by the shapes of a single file."""
    torch.manual_seed(1)
    theirs = UNet2DConditionModel(**{**THREE_LEVELS, **FORMS[form]}).eval()
    config = UNetConfig.from_json(dict(theirs.config))
    ours = UNet(config).eval()
    ours.load_state_dict(theirs.state_dict())
    x, tokens, label = torch.randn(2, 4, 8, 8), torch.randn(2, 5, 16), torch.tensor([1.0, 700.0])
    assert_close(ours(x, label, Conditioning(tokens)), theirs(x, label, tokens).sample)
    single = revert(ours.state_dict(), ldm_unet.table(config))
    read = read_unet(ShapesByName({name: tuple(value.shape) for name, value in single.items()}, form), UNET)
    again = UNet(UNetConfig.from_json(read.to_json()))
    again.load_state_dict(convert(single, ldm_unet.table(read)))
    assert torch.equal(again(x, label, Conditioning(tokens)), ours(x, label, Conditioning(tokens)))


@torch.no_grad()
def test_autoencoder(sd1: Pair) -> None:
    pipeline, folder = sd1
    ours = loaded(folder).autoencoder
    assert isinstance(ours, AutoencoderKL)
    pixels = torch.rand(2, 3, 64, 48) * 2 - 1
    posterior = pipeline.vae.encode(pixels).latent_dist
    mean, std = ours.posterior(pixels)
    assert_close(mean, posterior.mean)
    assert_close(std, posterior.std)
    assert_close(ours.encode(pixels), posterior.mean * 0.18215)
    noise = torch.randn_like(mean)
    assert_close(ours.encode(pixels, noise), (posterior.mean + posterior.std * noise) * 0.18215)
    assert_close(ours.decode(posterior.mean * 0.18215), pipeline.vae.decode(posterior.mean).sample)


@torch.no_grad()
def test_autoencoder_of_16_channels_without_quantisers() -> None:
    torch.manual_seed(2)
    theirs = TheirAutoencoderKL(
        latent_channels=16,
        block_out_channels=(32, 64),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        scaling_factor=1.5305,
        shift_factor=0.0609,
        use_quant_conv=False,
        use_post_quant_conv=False,
    ).eval()
    ours = AutoencoderKL(AutoencoderKLConfig.from_json(dict(theirs.config))).eval()
    ours.load_state_dict(theirs.state_dict())
    pixels = torch.rand(1, 3, 32, 32) * 2 - 1
    mean = theirs.encode(pixels).latent_dist.mean
    latents = (mean - 0.0609) * 1.5305
    assert_close(ours.encode(pixels), latents)
    assert_close(ours.decode(latents), theirs.decode(mean).sample)


@pytest.mark.parametrize("form", ["sd1", "sd2"])
@pytest.mark.parametrize("clip_skip", [1, 2, 3])
@torch.no_grad()
def test_text_encoder(form: str, clip_skip: int, request: pytest.FixtureRequest) -> None:
    pipeline, folder = request.getfixturevalue(form)
    ours = loaded(folder).texts["text_encoder"].encoder
    ids = ClipTokenizer.clip()(["a cat", "an astronaut riding a horse, 4k"])
    theirs = pipeline.text_encoder(ids, output_hidden_states=True)
    encoding = ours(ids, clip_skip=clip_skip)
    norm = ours.text_model.final_layer_norm
    assert_close(encoding.tokens, norm(theirs.hidden_states[-clip_skip]))
    assert_close(encoding.pooled, theirs.pooler_output)
    if clip_skip == 1:
        assert_close(encoding.tokens, theirs.last_hidden_state)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a photo of a cat",
        "Hello   WORLD's café, don't we'll 123 4.5!!",
        "一个微笑的红发女孩，戴眼镜，蓝色背景",
        "emoji 😀 naïve façade \t\n x",
        "e\u0301 decomposed",
        "a" * 400,
        "word " * 200,
    ],
)
def test_tokenizer(text: str, sd1: Pair) -> None:
    theirs: CLIPTokenizer = sd1[0].tokenizer
    ids = theirs(text, padding="max_length", max_length=77, truncation=True).input_ids
    assert ClipTokenizer.clip()([text])[0].tolist() == ids
    assert ClipTokenizer.from_folder(sd1[1] / "tokenizer")([text])[0].tolist() == ids


def test_tokenizer_round_trip(tmp_path: Path) -> None:
    clip = ClipTokenizer.clip()
    assert (len(clip.vocabulary), clip.begin, clip.end) == (49408, 49406, 49407)
    clip.save(tmp_path)
    assert ClipTokenizer.from_folder(tmp_path) == clip
    assert CLIPTokenizer.from_pretrained(tmp_path)("a red fox").input_ids == [49406, 320, 736, 3240, 49407]


TOY = {"content": "<cat-toy>", "lstrip": False, "normalized": True, "rstrip": False, "single_word": False}
TEXTS = ("a <cat-toy> here", "<Cat-Toy>, (b)", "x<cat-toy>y <cat-toy>s", "a cat-toy <big dog>!", "<dog >")


@pytest.mark.parametrize("layout", ["transformers 5", "added_tokens.json", "added_tokens_decoder"])
def test_added_tokens(layout: str, tmp_path: Path) -> None:
    clip, folder = ClipTokenizer.clip(), tmp_path / layout
    if layout == "transformers 5":
        clip.save(tmp_path / "plain")
        tokenizer = CLIPTokenizer.from_pretrained(tmp_path / "plain")
        tokenizer.add_tokens(["<cat-toy>", AddedToken("<dog>", lstrip=True, single_word=True)])
        tokenizer.add_special_tokens({"additional_special_tokens": ["<BIG"]})
        tokenizer.save_pretrained(folder)
        assert not (folder / "vocab.json").exists()
    else:
        clip.save(folder)
        if layout == "added_tokens.json":
            (folder / "added_tokens.json").write_text(json.dumps({"<cat-toy>": 49408}))
        else:
            config = json.loads((folder / "tokenizer_config.json").read_text())
            config["added_tokens_decoder"] = {"49408": TOY}
            (folder / "tokenizer_config.json").write_text(json.dumps(config))
    theirs, ours = CLIPTokenizer.from_pretrained(folder), ClipTokenizer.from_folder(folder)
    for text in TEXTS:
        assert ours.words(text) == theirs(text, add_special_tokens=False).input_ids, text
    assert 49408 in ours.words(TEXTS[0])
    ours.save(tmp_path / "again")
    again = CLIPTokenizer.from_pretrained(tmp_path / "again")
    assert ClipTokenizer.from_folder(tmp_path / "again") == ours
    for text in TEXTS:
        assert again(text, add_special_tokens=False).input_ids == ours.words(text), text


def test_an_added_token_of_several_vectors_is_read_as_diffusers_does(tmp_path: Path) -> None:
    ClipTokenizer.clip().save(tmp_path)
    (tmp_path / "added_tokens.json").write_text(json.dumps({"<x>": 49408, "<x>_1": 49409, "<x>_2": 49410}))
    tokenizer = CLIPTokenizer.from_pretrained(tmp_path)
    prompt = TextualInversionLoaderMixin().maybe_convert_prompt("a <x> on a hill", tokenizer)
    ids = tokenizer(prompt, add_special_tokens=False).input_ids
    ours = ClipTokenizer.from_folder(tmp_path)
    assert ours.words("a <x> on a hill") == ids == [320, 49408, 49409, 49410, 525, 320, 2682]
    assert ours(["a <x> on a hill"])[0, 1:8].tolist() == ids


@pytest.mark.slow
@torch.no_grad()
def test_full_size_sd15_unet() -> None:
    """The real shapes of Stable Diffusion 1.5: 859.5 M parameters, every tensor named alike."""
    torch.set_num_threads(2)
    torch.manual_seed(0)
    theirs = UNet2DConditionModel(cross_attention_dim=768, attention_head_dim=8, sample_size=64).eval()
    config = UNetConfig.from_json(dict(theirs.config))
    with torch.device("meta"):
        ours = UNet(config)
    ours.load_state_dict(theirs.state_dict(), assign=True)
    ours.eval()
    assert sum(p.numel() for p in ours.parameters()) == 859_520_964
    x, tokens, label = torch.randn(1, 4, 32, 32), torch.randn(1, 77, 768), torch.tensor([481.0])
    assert_close(ours(x, label, Conditioning(tokens)), theirs(x, label, tokens).sample)


@torch.no_grad()
def test_full_size_clip_text_encoder_names() -> None:
    """CLIP-L as published: our names and shapes on the meta device."""
    with torch.device("meta"):
        ours = CLIPTextEncoder(CLIPTextConfig())
        theirs = CLIPTextModel(
            CLIPTextModel.config_class(
                hidden_size=768, intermediate_size=3072, num_attention_heads=12, eos_token_id=49407
            )
        )
    shapes = {k: v.shape for k, v in convert(theirs.state_dict(), TEXT_RULES).items()}
    assert {k: v.shape for k, v in ours.state_dict().items()} == {
        k: v for k, v in shapes.items() if not k.startswith("text_projection.")
    }
