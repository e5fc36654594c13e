"""Adapters of Stable Diffusion 3 by the module names of its own code, whose q, k and v are one fused matrix.

The oracle is the checkpoint's own table: our weights turned into the file's, changed there by plain products, and back.
"""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from sfumato.adapters.apply import Base, Weighted, changed, fit, measure
from sfumato.adapters.formats import read_adapter
from sfumato.checkpoints.parts import skeleton
from sfumato.checkpoints.rules import convert, revert
from sfumato.checkpoints.tables import mmdit
from sfumato.errors import CheckpointError
from sfumato.families import FAMILIES
from sfumato.models.config import ModelConfig
from sfumato.models.mmdit import MMDiT, MMDiTConfig
from sfumato.models.t5 import T5Config
from tests.adapters.conftest import State, Write, numbers

CONFIG = MMDiTConfig(
    num_layers=2,
    attention_head_dim=8,
    num_attention_heads=2,
    joint_attention_dim=16,
    caption_projection_dim=16,
    pooled_projection_dim=8,
    pos_embed_max_size=4,
    sample_size=4,
    qk_norm="rms_norm",
    dual_attention_layers=(0,),
)
D = 16
FUSED = {
    "joint_blocks.0.x_block.attn.qkv": (3 * D, D),
    "joint_blocks.0.x_block.attn2.qkv": (3 * D, D),
    "joint_blocks.1.context_block.attn.qkv": (3 * D, D),
}
PLAIN = {
    "joint_blocks.1.x_block.attn.proj": (D, D),
    "joint_blocks.0.context_block.mlp.fc1": (4 * D, D),
    "x_embedder.proj": (D, 16, 2, 2),
}
SWAPPED = {"joint_blocks.1.context_block.adaLN_modulation.1": (2 * D, D), "final_layer.adaLN_modulation.1": (2 * D, D)}
MODULES = {**FUSED, **PLAIN, **SWAPPED}
TABLE = mmdit.table(CONFIG, file="")


@pytest.fixture(scope="module")
def base() -> Base:
    torch.manual_seed(0)
    state = {name: torch.randn_like(tensor) for name, tensor in MMDiT(CONFIG).state_dict().items()}
    return Base.of("tiny SD3", "sd3", {"transformer": state}, {"transformer": CONFIG})


def kohya(module: str) -> str:
    return f"lora_unet_{module.replace('.', '_')}"


def applied(base: Base, *paths: Path) -> State:
    """All tensors of the transformer, as they become."""
    worn = [Weighted(fit(read_adapter(path), base)) for path in paths]
    made = {**base.tensors, **changed(base, worn)}
    return {name.removeprefix("transformer."): tensor for name, tensor in made.items()}


def by_the_table(base: Base, differences: State) -> State:
    """The same, when the file's own tensors change by `differences`."""
    own = {name.removeprefix("transformer."): tensor for name, tensor in base.tensors.items()}
    file = revert(own, TABLE)
    return convert({name: tensor + differences.get(name, 0) for name, tensor in file.items()}, TABLE)


def assert_same(found: State, expected: State, *, but: Base) -> None:
    """And unlike the bare model in what is to change alone."""
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        bare = but.tensors[f"transformer.{name}"]
        assert torch.equal(found[name], bare) == torch.equal(tensor, bare), name
        torch.testing.assert_close(found[name], tensor)


def loras(rank: int = 2) -> dict[str, tuple[Tensor, Tensor]]:
    return {
        name: (numbers(rank, *shape[1:], seed=i), numbers(shape[0], rank, *[1] * (len(shape) - 2), seed=i + 50))
        for i, (name, shape) in enumerate(MODULES.items())
    }


@pytest.mark.parametrize("spelling", ["kohya", "ComfyUI"])
def test_a_fused_lora_is_split_by_rows(spelling: str, base: Base, write: Write) -> None:
    state: State = {}
    differences: State = {}
    for name, (down, up) in loras().items():
        if spelling == "kohya":
            module, ends = kohya(name), (".lora_down.weight", ".lora_up.weight")
        else:
            module, ends = f"diffusion_model.{name}", (".lora_A.weight", ".lora_B.weight")
        state |= {module + ends[0]: down, module + ends[1]: up, f"{module}.alpha": torch.tensor(3.0)}
        change = 1.5 * (up.flatten(1) @ down.flatten(1))
        differences[f"{name}.weight"] = change.reshape(MODULES[name])
    path = write(state)
    adapter = read_adapter(path)
    assert (adapter.family, len(adapter.strange)) == ("sd3", 0)
    assert_same(applied(base, path), by_the_table(base, differences), but=base)
    found = measure(fit(adapter, base), base)
    assert (found.matched, found.misshapen) == (3 * len(MODULES), ())
    whole = sum(float(revert_weight(base, name).square().sum()) for name in MODULES)
    size = sum(float(change.square().sum()) for change in differences.values())
    assert found.strength["transformer"] == pytest.approx((size / whole) ** 0.5, rel=1e-4)


def revert_weight(base: Base, name: str) -> Tensor:
    own = {key.removeprefix("transformer."): tensor for key, tensor in base.tensors.items()}
    return revert(own, TABLE)[f"{name}.weight"]


def test_three_ranks_in_one_file(base: Base, write: Write) -> None:
    """sd-scripts' `split_qkv` trains three LoRAs and saves their downs above each other, their ups block by block."""
    name, rank = "joint_blocks.0.x_block.attn.qkv", 2
    downs, ups = ([numbers(*shape, seed=i) for i in range(3)] for shape in ((rank, D), (D, rank)))
    parts = {"lora_down.weight": torch.cat(downs), "lora_up.weight": torch.block_diag(*ups), "alpha": torch.tensor(6.0)}
    path = write({f"{kohya(name)}.{part}": tensor for part, tensor in parts.items()})
    found = applied(base, path)
    for letter, down, up in zip("qkv", downs, ups, strict=True):
        key = f"transformer_blocks.0.attn.to_{letter}.weight"
        torch.testing.assert_close(found[key], base.tensors[f"transformer.{key}"] + up @ down)  # alpha / (3 * rank)


KINDS: dict[str, dict[str, Tensor]] = {
    "loha": {
        "hada_w1_a": numbers(3 * D, 2), "hada_w1_b": numbers(2, D), "hada_w2_a": numbers(3 * D, 2, seed=1),
        "hada_w2_b": numbers(2, D, seed=1),
    },
    "lokr": {"lokr_w1": numbers(6, 4), "lokr_w2": numbers(8, 4)},
    "dora": {
        "lora_down.weight": numbers(2, D), "lora_up.weight": numbers(3 * D, 2), "dora_scale": numbers(3 * D, 1).abs()
    },
    "ia3": {"weight": numbers(3 * D, 1), "on_input": torch.tensor(False)},
    "diff": {"diff": numbers(3 * D, D), "diff_b": numbers(3 * D)},
    "oft": {"oft_blocks": numbers(4, 12, 12), "alpha": torch.tensor(0.0)},
    "glora": {
        "a1.weight": numbers(D, 2), "a2.weight": numbers(2, D), "b1.weight": numbers(3 * D, 2),
        "b2.weight": numbers(2, D, seed=1),
    },
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_on_a_fused_matrix(kind: str, base: Base, write: Write) -> None:
    """As on a model of a plain layer that has the fused matrix, split afterwards."""
    name = "joint_blocks.0.x_block.attn.qkv"
    own = {key.removeprefix("transformer."): tensor for key, tensor in base.tensors.items()}
    file = revert(own, TABLE)
    layer = {f"qkv.{leaf}": file[f"{name}.{leaf}"] for leaf in ("weight", "bias")}
    plain = Base.of("layer", "", {"unet": layer}, {})
    once = changed(
        plain, [Weighted(fit(read_adapter(write({f"unet.qkv.{k}": t for k, t in KINDS[kind].items()})), plain))]
    )
    differences = {f"{name}.{key.rpartition('.')[2]}": tensor - plain.tensors[key] for key, tensor in once.items()}
    assert differences
    path = write({f"{kohya(name)}.{part}": tensor for part, tensor in KINDS[kind].items()}, "fused")
    assert_same(applied(base, path), by_the_table(base, differences), but=base)


def test_fused_and_separate_ones_at_once(base: Base, write: Write) -> None:
    """Both count, whichever comes first."""
    down, up = numbers(2, D), numbers(3 * D, 2)
    stem = kohya("joint_blocks.0.x_block.attn.qkv")
    fused = write({f"{stem}.lora_down.weight": down, f"{stem}.lora_up.weight": up}, "fused")
    own = "transformer.transformer_blocks.0.attn.to_k"
    single = write(
        {f"{own}.lora_A.weight": numbers(2, D, seed=4), f"{own}.lora_B.weight": numbers(D, 2, seed=5)}, "own"
    )
    bare = base.tensors[f"{own}.weight"]
    expected = bare + up[D : 2 * D] @ down + numbers(D, 2, seed=5) @ numbers(2, D, seed=4)
    for paths in ((fused, single), (single, fused)):
        torch.testing.assert_close(applied(base, *paths)["transformer_blocks.0.attn.to_k.weight"], expected)


@pytest.mark.parametrize("name", ["sd3", "sd3.5-medium", "sd3.5-large"])
def test_every_name_of_sd_scripts_at_full_size(name: str) -> None:
    """Each linear layer of the original transformer, and those of the three text encoders."""
    family = next(row for row in FAMILIES if row.name == name)
    assert isinstance(family.network, MMDiTConfig)
    configs: dict[str, ModelConfig] = {"transformer": family.network, **family.texts, "text_encoder_3": T5Config()}
    states = {part: dict(skeleton(config, part).state_dict()) for part, config in configs.items()}
    full = Base.of(name, name, states, configs)
    theirs = revert(states["transformer"], mmdit.table(family.network, file=""))
    modules = {key.removesuffix(".weight"): tensor for key, tensor in theirs.items() if key.endswith(".weight")}
    assert len(modules) > 200
    for module, tensor in modules.items():
        found = full.modules[kohya(module)]
        assert full.within(found)[f"{found}.weight"].shape == tensor.shape, module
        assert full.modules[f"diffusion_model.{module}"] == found
    inner = {1: "text_model_encoder_layers_11_mlp_fc1", 2: "text_model_encoder_layers_31_self_attn_k_proj"}
    inner |= {3: "encoder_block_23_layer_0_SelfAttention_q"}
    parts = {number: full.modules[f"lora_te{number}_{path}"].partition(".")[0] for number, path in inner.items()}
    assert parts == {1: "text_encoder", 2: "text_encoder_2", 3: "text_encoder_3"}


@pytest.mark.parametrize(
    ("up", "message"),
    [((3 * D + 1, 2), r"the shape \(49, 16\) for \(48, 16\)"), ((D, 2), r"the shape \(16, 16\) for \(48, 16\)")],
)
def test_rows_that_are_not_those_of_the_fused_matrix(
    up: tuple[int, int], message: str, base: Base, write: Write
) -> None:
    stem = kohya("joint_blocks.0.x_block.attn.qkv")
    path = write({f"{stem}.lora_down.weight": numbers(2, D), f"{stem}.lora_up.weight": numbers(*up)})
    with pytest.raises(CheckpointError, match=message):
        applied(base, path)
