"""Stable Diffusion 3's networks against their originals on the same random weights: within 1e-4 relative."""

import pytest
import torch
from diffusers import SD3Transformer2DModel
from diffusers.loaders.single_file_utils import convert_sd3_transformer_checkpoint_to_diffusers
from transformers import T5Config as TheirT5Config
from transformers import T5EncoderModel
from transformers.models.t5.modeling_t5 import T5Attention

from sfumato.checkpoints.rules import convert, revert
from sfumato.checkpoints.tables import mmdit as mmdit_table
from sfumato.checkpoints.tables import t5 as t5_table
from sfumato.diffusion.conditioning import Conditioning
from sfumato.models.mmdit import SD35_LARGE, SD35_MEDIUM, MMDiT, MMDiTConfig, positions
from sfumato.models.t5 import T5Config, T5Encoder, buckets
from tests.parity.measure import assert_close

pytestmark = pytest.mark.parity

SMALL = {
    "sample_size": 16,
    "num_layers": 3,
    "attention_head_dim": 8,
    "num_attention_heads": 4,
    "joint_attention_dim": 24,
    "caption_projection_dim": 32,
    "pooled_projection_dim": 20,
    "pos_embed_max_size": 24,
}
FORMS = {
    "3": {},
    "3.5-medium": {"dual_attention_layers": (0, 1), "qk_norm": "rms_norm"},
    "3.5-large": {"qk_norm": "rms_norm", "in_channels": 8, "out_channels": 8},
}


def transformers_of(form: str) -> tuple[MMDiT, SD3Transformer2DModel]:
    torch.manual_seed(0)
    theirs = SD3Transformer2DModel(**SMALL, **FORMS[form]).eval()
    for parameter in theirs.parameters():  # norms start at one, biases at zero: both would hide mistakes
        torch.nn.init.normal_(parameter, 1.0 if parameter.ndim == 1 else 0.0, 0.1)
    ours = MMDiT(MMDiTConfig.from_json(dict(theirs.config))).eval()
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("size", [(10, 24), (48, 48)])
@torch.no_grad()
def test_mmdit(form: str, size: tuple[int, int]) -> None:
    ours, theirs = transformers_of(form)
    channels = ours.config.in_channels
    x, tokens, pooled = torch.randn(2, channels, *size), torch.randn(2, 9, 24), torch.randn(2, 20)
    label = torch.tensor([3.25, 981.0])
    assert_close(ours(x, label, Conditioning(tokens, pooled=pooled)), theirs(x, tokens, pooled, label).sample)


@torch.no_grad()
def test_positions() -> None:
    theirs = SD3Transformer2DModel(**SMALL).pos_embed.pos_embed
    assert_close(positions(24, 8, 32), theirs)
    assert_close(MMDiT(MMDiTConfig(**SMALL)).pos_embed.pos_embed, theirs)


@pytest.mark.parametrize(
    ("size", "message"), [((15, 16), "patches of 2"), ((50, 16), "8x25 patches are more than this model's 24")]
)
def test_sizes_that_do_not_fit(size: tuple[int, int], message: str) -> None:
    ours = MMDiT(MMDiTConfig(**SMALL))
    with pytest.raises(ValueError, match=message):
        ours(torch.zeros(1, 16, *size), torch.ones(1), Conditioning(torch.zeros(1, 3, 24), pooled=torch.zeros(1, 20)))


def test_a_text_of_another_width_is_refused() -> None:
    with pytest.raises(ValueError, match="40 wide inside, the picture 32"):
        MMDiT(MMDiTConfig(**{**SMALL, "caption_projection_dim": 40}))


PUBLISHED = [
    (MMDiTConfig(), {"num_layers": 24, "num_attention_heads": 24, "pos_embed_max_size": 192}, 2_028_328_000),
    (SD35_MEDIUM, {"num_layers": 24, "num_attention_heads": 24, "pos_embed_max_size": 384}, 2_243_171_520),
    (SD35_LARGE, {"num_layers": 38, "num_attention_heads": 38, "pos_embed_max_size": 192}, 8_056_627_520),
]


@pytest.mark.parametrize(("config", "values", "count"), PUBLISHED, ids=["3", "3.5-medium", "3.5-large"])
def test_full_size(config: MMDiTConfig, values: dict[str, int], count: int) -> None:
    """The published sizes: our names and shapes are diffusers', and the weights number as the cards say."""
    assert {name: getattr(config, name) for name in values} == values
    data = {key: value for key, value in config.to_json().items() if not key.startswith("_")}
    with torch.device("meta"):
        ours, theirs = MMDiT(config), SD3Transformer2DModel(**data)
    assert {k: v.shape for k, v in ours.state_dict().items()} == {k: v.shape for k, v in theirs.state_dict().items()}
    assert sum(p.numel() for p in ours.parameters()) == count


@pytest.mark.parametrize("form", FORMS)
def test_transformer_in_its_authors_names(form: str) -> None:
    """What `revert` writes diffusers reads as the same tensors, and so do we."""
    ours, theirs = transformers_of(form)
    table = mmdit_table.table(ours.config)
    file = revert(ours.state_dict(), table)
    assert "model.diffusion_model.joint_blocks.0.context_block.adaLN_modulation.1.bias" in file
    expected = theirs.state_dict()
    for read in (convert(file, table), convert_sd3_transformer_checkpoint_to_diffusers(dict(file))):
        assert read.keys() == expected.keys()
        assert all(torch.equal(read[name], expected[name]) for name in expected)


T5_SMALL = {"vocab_size": 60, "d_model": 16, "d_kv": 5, "d_ff": 24, "num_layers": 3, "num_heads": 4}


def t5_pair() -> tuple[T5Encoder, T5EncoderModel]:
    torch.manual_seed(1)
    theirs = T5EncoderModel(TheirT5Config(**T5_SMALL, feed_forward_proj="gated-gelu")).eval()
    for name, parameter in theirs.named_parameters():
        torch.nn.init.normal_(parameter, 1.0 if "layer_norm" in name else 0.0, 0.3)
    ours = T5Encoder(T5Config.from_json(theirs.config.to_dict())).eval()
    ours.load_state_dict(convert(theirs.state_dict(), t5_table.table(file="")))
    return ours, theirs


@pytest.mark.parametrize("length", [1, 7, 256])
@torch.no_grad()
def test_t5(length: int) -> None:
    ours, theirs = t5_pair()
    ids = torch.randint(0, 60, (2, length))
    assert_close(ours(ids), theirs(ids).last_hidden_state)


@torch.no_grad()
def test_t5_stays_finite_in_half_precision() -> None:
    ours, _ = t5_pair()
    ours.encoder.block[0].layer[1].DenseReluDense.wo.weight.mul_(1e4)
    assert bool(ours.half()(torch.randint(0, 60, (1, 8))).isfinite().all())


@pytest.mark.parametrize(("count", "furthest"), [(32, 128), (16, 20), (8, 100)])
def test_t5_buckets(count: int, furthest: int) -> None:
    place = torch.arange(600)
    theirs = T5Attention._relative_position_bucket(
        place[None, :] - place[:, None], num_buckets=count, max_distance=furthest
    )
    assert torch.equal(buckets(600, count, furthest), theirs)


def test_t5_xxl() -> None:
    """Our names and shapes at the published size; transformers' default is another form, which is refused."""
    with torch.device("meta"):
        ours = T5Encoder(T5Config())
        data = {**T5Config().to_json(), "architectures": ["T5EncoderModel"]}
        theirs = T5EncoderModel(TheirT5Config(**data))
    shapes = {k: v.shape for k, v in convert(theirs.state_dict(), t5_table.table(file="")).items()}
    assert {k: v.shape for k, v in ours.state_dict().items()} == shapes
    assert sum(p.numel() for p in ours.parameters()) == 4_762_310_656
