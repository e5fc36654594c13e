"""Tiny Stable Diffusion 3 pipelines with random weights, made by diffusers and transformers."""

from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    FlowMatchEulerDiscreteScheduler,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
)
from transformers import (
    CLIPTextConfig,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    T5Config,
    T5EncoderModel,
    T5Tokenizer,
)

from tests.parity.clip_words import clip_tokenizer

FORMS: dict[str, dict[str, Any]] = {
    "3": {},
    "3.5-medium": {"dual_attention_layers": (0,), "qk_norm": "rms_norm"},
}


PIECES = [
    *("▁", "▁a", "▁of", "▁the", "s", "▁in", "▁red", "▁fox", "e", "▁photo", "▁cat", "▁house", "▁snow", "ing", "▁word"),
    *("▁he", "llo", "▁w", "or", "▁world", "▁end", *"otnrlduchpmgfywbkvxjqz',!.123WORLDH"),
]


def unigram() -> list[tuple[str, float]]:
    """Pieces and scores, special ones first, as T5 has them."""
    pieces = [(piece, -2.0 - 0.07 * rank) for rank, piece in enumerate(PIECES)]
    return [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *pieces]


def t5_tokenizer() -> T5Tokenizer:
    """transformers' tokenizer of those pieces and the names of a hundred gaps."""
    return T5Tokenizer(vocab=[*unigram(), *((f"<extra_id_{i}>", 0.0) for i in reversed(range(100)))])


def _clip(padding: str, **sizes: Any) -> tuple[CLIPTextModelWithProjection, CLIPTokenizer]:
    config = CLIPTextConfig(
        vocab_size=49408,
        num_hidden_layers=3,
        num_attention_heads=4,
        bos_token_id=49406,
        eos_token_id=49407,
        **sizes,
    )
    return CLIPTextModelWithProjection(config).eval(), clip_tokenizer(padding)


def make_sd3(folder: Path, form: str = "3", *, with_t5: bool = True, layers: int = 2) -> StableDiffusion3Pipeline:
    """A whole pipeline at a thousandth of its size; written to `folder / "model"` in the diffusers layout."""
    torch.manual_seed(0)
    first, tokenizer = _clip("<|endoftext|>", hidden_size=32, intermediate_size=64, projection_dim=32)
    first.text_projection.weight.data.copy_(torch.eye(32))
    second, tokenizer_2 = _clip(
        "!", hidden_size=48, intermediate_size=96, projection_dim=48, hidden_act="gelu", pad_token_id=0
    )
    t5 = T5EncoderModel(
        T5Config(vocab_size=200, d_model=96, d_kv=8, d_ff=64, num_layers=2, num_heads=4, feed_forward_proj="gated-gelu")
    ).eval()
    transformer = SD3Transformer2DModel(
        sample_size=8,
        num_layers=layers,
        attention_head_dim=64,
        num_attention_heads=1,
        joint_attention_dim=96,
        caption_projection_dim=64,
        pooled_projection_dim=80,
        pos_embed_max_size=12,
        **FORMS[form],
    ).eval()
    for name, parameter in transformer.named_parameters():
        # Wide enough that text and time show in the picture.
        torch.nn.init.normal_(parameter, 1.0 if "norm_" in name and parameter.shape == (64,) else 0.0, 0.12)
    vae = AutoencoderKL(
        block_out_channels=(32, 64, 64, 64),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        latent_channels=16,
        scaling_factor=1.5305,
        shift_factor=0.0609,
        use_quant_conv=False,
        use_post_quant_conv=False,
        force_upcast=True,
    ).eval()
    pipeline = StableDiffusion3Pipeline(
        transformer=transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=vae,
        text_encoder=first,
        tokenizer=tokenizer,
        text_encoder_2=second,
        tokenizer_2=tokenizer_2,
        text_encoder_3=t5 if with_t5 else None,
        tokenizer_3=t5_tokenizer() if with_t5 else None,
    )
    pipeline.set_progress_bar_config(disable=True)
    pipeline.save_pretrained(folder / "model")
    return pipeline
