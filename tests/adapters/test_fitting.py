"""Names of every trainer find their modules, and what does not fit is said."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from sfumato import Studio
from sfumato.adapters.applied import base_of
from sfumato.adapters.apply import Base, Fitting, Weighted, changed, complaint, fit, measure
from sfumato.adapters.formats import read_adapter
from sfumato.adapters.requested import File, WeightedFile
from sfumato.checkpoints.parts import skeleton
from sfumato.errors import CheckpointError
from sfumato.families import FAMILIES
from sfumato.prompts import parse
from tests.adapters.conftest import MODULES, State, Write, lora, numbers

LDM = {
    "mid_block.attentions.0.transformer_blocks.0.attn2.to_k": "middle_block.1.transformer_blocks.0.attn2.to_k",
    "down_blocks.0.resnets.0.conv1": "input_blocks.1.0.in_layers.2",
    "mid_block.attentions.0.proj_in": "middle_block.1.proj_in",
}


def kohya(module: str) -> str:
    part, _, path = module.partition(".")
    return {"unet": "lora_unet_", "text_encoder": "lora_te_"}[part] + path.replace(".", "_")


def ldm(module: str) -> str:
    part, _, path = module.partition(".")
    return f"lora_unet_{LDM[path].replace('.', '_')}" if part == "unet" else f"lora_te1_{path.replace('.', '_')}"


def comfy(module: str) -> str:
    part, _, path = module.partition(".")
    return f"diffusion_model.{LDM[path]}" if part == "unet" else module


def prefixed(unet: str, text: str) -> Callable[[str], str]:
    """Names with dots below other beginnings than diffusers'."""

    def spell(module: str) -> str:
        part, _, path = module.partition(".")
        return (unet if part == "unet" else text) + path

    return spell


SPELLINGS = {
    "diffusers": (lambda module: module, ".lora_A.weight", ".lora_B.weight"),
    "diffusers, old": (lambda module: module, ".lora.down.weight", ".lora.up.weight"),
    "kohya": (kohya, ".lora_down.weight", ".lora_up.weight"),
    "kohya, LDM block names": (ldm, ".lora_down.weight", ".lora_up.weight"),
    "ComfyUI": (comfy, ".lora_A.weight", ".lora_B.weight"),
    "PEFT": (
        lambda module: f"base_model.model.{module.partition('.')[2]}",
        ".lora_A.default.weight",
        ".lora_B.default.weight",
    ),
    "Forge": (prefixed("unet.", "lora_te1."), ".lora_A.weight", ".lora_B.weight"),
    "LoraSave": (
        lambda module: comfy(module).replace("text_encoder.", "text_encoders.clip_l.transformer."),
        ".lora_down.weight",
        ".lora_up.weight",
    ),
    "OneTrainer": (prefixed("unet.", "clip_l."), ".lora_down.weight", ".lora_up.weight"),
    "in parallel": (prefixed("module.unet.", "module.text_encoder."), ".lora_A.weight", ".lora_B.weight"),
}
FORMATS = {"Forge": "kohya", "LoraSave": "ComfyUI", "OneTrainer": "diffusers", "in parallel": "diffusers"}
"""What reports call those that are no format of their own."""


@pytest.fixture(scope="module")
def base(studio: Studio) -> Base:
    return base_of(studio.load())


def respelled(state: State, format: str) -> State:
    spell, down, up = SPELLINGS[format]
    ends = {".lora_A.weight": down, ".lora_B.weight": up}
    return {
        spell(name.removesuffix(end)) + new: tensor
        for name, tensor in state.items()
        for end, new in ends.items()
        if name.endswith(end)
    }


def fitted(path: Path, base: Base) -> Fitting:
    return fit(read_adapter(path), base)


@pytest.mark.parametrize("format", SPELLINGS)
def test_every_spelling_is_the_same_adapter(format: str, base: Base, write: Write) -> None:
    plain = changed(base, [Weighted(fitted(write(lora()), base))])
    assert plain.keys() == {f"{name}.weight" for name in MODULES}
    path = write(respelled(lora(), format), "other")
    assert read_adapter(path).format == FORMATS.get(format, format)
    found = changed(base, [Weighted(fitted(path, base))])
    assert found.keys() == plain.keys()
    assert all(torch.equal(found[name], plain[name]) for name in plain)


def test_alpha_over_rank_scales_the_change(base: Base, write: Write) -> None:
    alphas = {f"{kohya(name)}.alpha": torch.tensor(3.0) for name in MODULES}
    path = write({**respelled(lora(rank=2), "kohya"), **alphas})
    found = changed(base, [Weighted(fitted(path, base), 0.5, -1.0)])
    for name in MODULES:
        down, up = (lora(rank=2)[f"{name}.lora_{side}.weight"].flatten(1) for side in "AB")
        weight = base.tensors[f"{name}.weight"]
        size = 3 / 2 * (0.5 if name.startswith("unet") else -1.0)
        torch.testing.assert_close(found[f"{name}.weight"], weight + size * (up @ down).reshape(weight.shape))


def test_alphas_of_metadata(base: Base, write: Write) -> None:
    stated = {"unet.lora_alpha": 8, "unet.r": 2, "text_encoder.lora_alpha": 1, "unet.alpha_pattern": {"proj_in": 6}}
    adapter = read_adapter(write(lora(rank=2), lora_adapter_metadata=json.dumps(stated)))
    assert {piece.module: piece.scale for piece in adapter.pieces} == dict(
        zip(MODULES, (4.0, 4.0, 3.0, 0.5), strict=True)
    )


def test_every_module_of_the_model_is_found_by_each_spelling(base: Base) -> None:
    """One adapter of biases on all modules that have one, without a single collision of flattened names."""
    modules = {name.removesuffix(".bias") for name in base.tensors if name.endswith(".bias")}
    assert len(modules) > 50
    for module in modules:
        assert base.modules[module] == module
        assert base.modules[kohya(module)] == module
    assert {base.modules.get(f"lora_unet_{name.replace('.', '_')}") for name in LDM.values()} == {
        f"unet.{name}" for name in LDM
    }


def test_a_domain_adapter_of_animatediff(base: Base, write: Write) -> None:
    """Old names of attention layers below `module.`."""
    name = "mid_block.attentions.0.transformer_blocks.0.attn2.to_k"
    down, up = numbers(2, 16), numbers(32, 2)
    plain = write({f"unet.{name}.lora_A.weight": down, f"unet.{name}.lora_B.weight": up})
    stem = f"module.{name.replace('to_k', 'processor.to_k_lora')}"
    other = write({f"{stem}.down.weight": down, f"{stem}.up.weight": up}, "v3_sd15_adapter")
    found, expected = (changed(base, [Weighted(fitted(path, base))]) for path in (other, plain))
    assert found.keys() == expected.keys() == {f"unet.{name}.weight"}
    assert torch.equal(found[f"unet.{name}.weight"], expected[f"unet.{name}.weight"])


def test_new_weights_and_biases(base: Base, write: Write) -> None:
    """Alone as ComfyUI writes them, and beside a LoRA as PEFT does; at half strength they are half way."""
    weight, bias = f"{IN}.weight", f"{IN}.bias"
    new = {weight: numbers(32, 32, 1, 1, seed=3), bias: numbers(32, seed=3)}
    comfy_file = write({"diffusion_model.middle_block.1.proj_in.set_weight": new[weight]})
    found = changed(base, [Weighted(fitted(comfy_file, base))])
    assert found.keys() == {weight}
    torch.testing.assert_close(found[weight], new[weight])
    root = f"base_model.model.{IN.partition('.')[2]}"
    lora_bias = numbers(32, seed=4)
    state = {
        f"{root}.lora_A.weight": numbers(2, 32, 1, 1),
        f"{root}.lora_B.weight": torch.zeros(32, 2, 1, 1),
        f"{root}.lora_B.bias": lora_bias,
        f"{root}.base_layer.bias": new[bias],
        "base_model.model.conv_out.weight": torch.ones(4, 16, 3, 3),
        "base_model.model.conv_out.bias": torch.ones(4),
    }
    path = write(state, "adapter_model")
    path.with_name("adapter_config.json").write_text(json.dumps({"lora_alpha": 6, "r": 2, "lora_bias": True}))
    found = changed(base, [Weighted(fitted(path, base), 0.5)])
    torch.testing.assert_close(found[bias], (base.tensors[bias] + new[bias] + 3 * lora_bias) / 2)
    for name in ("unet.conv_out.weight", "unet.conv_out.bias"):
        torch.testing.assert_close(found[name], (base.tensors[name] + 1) / 2)
    torch.testing.assert_close(found[weight], base.tensors[weight])


SDXL_NAMES = {
    "lora_unet_input_blocks_4_1_transformer_blocks_1_attn2_to_k": (
        "down_blocks.1.attentions.0.transformer_blocks.1.attn2.to_k"
    ),
    "lora_unet_input_blocks_8_1_proj_in": "down_blocks.2.attentions.1.proj_in",
    "lora_unet_input_blocks_3_0_op": "down_blocks.0.downsamplers.0.conv",
    "lora_unet_middle_block_2_in_layers_2": "mid_block.resnets.1.conv1",
    "lora_unet_output_blocks_2_2_conv": "up_blocks.0.upsamplers.0.conv",
    "lora_unet_output_blocks_5_1_transformer_blocks_0_ff_net_0_proj": (
        "up_blocks.1.attentions.2.transformer_blocks.0.ff.net.0.proj"
    ),
    "lora_unet_time_embed_0": "time_embedding.linear_1",
    "lora_unet_label_emb_0_2": "add_embedding.linear_2",
}
"""Modules as kohya's sd-scripts name them, and where diffusers has them."""


@pytest.fixture(scope="module")
def sdxl() -> Base:
    """At full size, without memory."""
    family = next(row for row in FAMILIES if row.name == "sdxl")
    assert family.network is not None
    configs = {"unet": family.network, **family.texts}
    parts = {name: dict(skeleton(config, name).state_dict()) for name, config in configs.items()}
    return Base.of("SDXL", "sdxl", parts, configs)


def test_sdxl_by_the_block_names_of_its_own_code(sdxl: Base) -> None:
    assert {name: sdxl.modules.get(name) for name in SDXL_NAMES} == {k: f"unet.{v}" for k, v in SDXL_NAMES.items()}
    for module in SDXL_NAMES.values():
        assert sdxl.modules[f"lora_unet_{module.replace('.', '_')}"] == f"unet.{module}"
    for number, part in ((1, "text_encoder"), (2, "text_encoder_2")):
        inner = "encoder.layers.11.self_attn.q_proj"
        assert sdxl.modules[f"lora_te{number}_text_model_{inner.replace('.', '_')}"] == f"{part}.text_model.{inner}"
        assert sdxl.modules[f"{part}.text_model.{inner}"] == f"{part}.text_model.{inner}"
        assert f"text_model.{inner}" not in sdxl.modules  # it could be of either
        clip = {1: "clip_l", 2: "clip_g"}[number]
        for start in (f"lora_te{number}", clip, f"{clip}.transformer", f"text_encoders.{clip}.transformer"):
            assert sdxl.modules[f"{start}.text_model.{inner}"] == f"{part}.text_model.{inner}"
    assert sdxl.modules["text_encoders.clip_g.transformer.text_projection"] == "text_encoder_2.text_projection"


def test_an_adapter_of_another_family_is_told_so(sdxl: Base, write: Write) -> None:
    stem = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k"
    path = write({f"{stem}.lora_down.weight": numbers(2, 768), f"{stem}.lora_up.weight": numbers(640, 2)})
    report = complaint(fit(read_adapter(path), sdxl), sdxl, ["its shape"])
    assert report == "1 of its modules have other shapes, first its shape; it was made for sd1 and SDXL is sdxl"


def test_several_add_up_in_any_order(base: Base, write: Write) -> None:
    one, two = fitted(write(lora(seed=1), "1"), base), fitted(write(lora(seed=2), "2"), base)
    both = changed(base, [Weighted(one, 0.5, 0.5), Weighted(two, -0.25, 1.0)])
    reverse = changed(base, [Weighted(two, -0.25, 1.0), Weighted(one, 0.5, 0.5)])
    alone = [changed(base, [Weighted(one, 0.5, 0.5)]), changed(base, [Weighted(two, -0.25, 1.0)])]
    for name, tensor in both.items():
        torch.testing.assert_close(tensor, alone[0][name] + alone[1][name] - base.tensors[name])
        torch.testing.assert_close(tensor, reverse[name])


def test_a_weight_of_zero_touches_nothing(base: Base, write: Write) -> None:
    one = fitted(write(lora()), base)
    assert {name.partition(".")[0] for name in changed(base, [Weighted(one, 0.0, 1.0)])} == {"text_encoder"}
    assert not changed(base, [Weighted(one, 0.0, 0.0)])


def test_strength_is_of_the_change_to_the_weights(base: Base, write: Write) -> None:
    name = "unet.mid_block.attentions.0.proj_in"
    weight = base.tensors[f"{name}.weight"]
    found = measure(fitted(write({f"{name}.diff": 0.25 * weight}), base), base)
    assert found.strength == {"unet": pytest.approx(0.25)}


def put(name: str, tensor: Tensor) -> State:
    return {**lora(), name: tensor}


IN = "unet.mid_block.attentions.0.proj_in"
TO_K = "unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_k"
FOREIGN = {
    "down_blocks.0.motion_modules.0.temporal_transformer.transformer_blocks.0.attention_blocks.0.processor"
    ".to_q_lora.down.weight": "a motion LoRA of AnimateDiff",
    "unet:0:up": "a LoRA by cloneofsimo's tool",
    "lora_controlnet": "a Control-LoRA",
    "ip_adapter.0.to_q_lora.down.weight": "an IP-Adapter for faces",
    "base_model.model.mid_block.proj_in.boft_R": "BOFT of PEFT",
    "lora_unet_mid_block_attentions_0_proj_in.oft_blocks": "BOFT of LyCORIS",
    "base_model.model.mid_block.proj_in.lora_E": "AdaLoRA of PEFT",
    "base_model.model.mid_block.proj_in.fourierft_spectrum": "FourierFT of PEFT",
}


@pytest.mark.parametrize("name", FOREIGN)
def test_methods_that_are_not_read_are_named(name: str, base: Base, write: Write) -> None:
    path = write({name: torch.ones(1, 2, 2, 2)})
    with pytest.raises(CheckpointError, match=f"is {re.escape(FOREIGN[name])}.*; LoRA, LoCon, .* are read here"):
        read_adapter(path)


BAD: dict[str, tuple[State, str]] = {
    "unknown module": (
        put("unet.mid_block.attentions.7.proj_in.diff", torch.ones(2)),
        r"1 of its tensors match no module, first 'unet.mid_block.attentions.7.proj_in.diff' \(nearest: ",
    ),
    "unknown part": (put(f"{TO_K}.vera_lambda_b", torch.ones(2)), "is VeRA of PEFT; LoRA, "),
    "a weight": (put(f"{TO_K}.weight", torch.ones(2)), "match no module, first .*to_k.weight"),
    "half a pair": (
        {name: value for name, value in lora().items() if name != f"{TO_K}.lora_B.weight"},
        "1 of its modules have other shapes, first .*up is missing",
    ),
    "shape": (
        put(f"{TO_K}.lora_A.weight", numbers(2, 768)),
        r"first .*to_k.*: it makes the shape \(32, 768\) for \(32, 16\); it was made for sd1 and tiny is custom",
    ),
    "alpha": (put(f"{TO_K}.alpha", torch.ones(2)), r"alpha has the shape \(2,\)"),
    "alpha that is none": (put(f"{TO_K}.alpha", torch.tensor(float("inf"))), "hold NaN or infinity"),
    "two kinds": (put(f"{TO_K}.diff", numbers(32, 16)), "at once"),
    "NaN": (put(f"{TO_K}.lora_A.weight", torch.full((2, 16), float("nan"))), "1 tensors hold NaN or infinity, first"),
    "no triangle": (put(f"{TO_K}.oft_R.weight", torch.ones(2, 7)), "of oft_R, 7 numbers fill no triangle"),
    "no blocks": (put(f"{TO_K}.oft_R.weight", torch.ones(6)), r"oft_R of the shape \(6,\) with 5 terms"),
    "bias": (put(f"{TO_K}.diff_b", numbers(32)), "change of a bias"),
    "no adapter": ({"unet.conv_in.weight": torch.ones(2)}, "is no LoRA or kin of it: it is "),
    "a T2I-Adapter": ({"adapter.body.0.in_conv.weight": torch.ones(2)}, "it is a T2I-Adapter"),
    "a motion module": (
        {"down_blocks.0.motion_modules.0.temporal_transformer.norm.weight": torch.ones(2)},
        "it is a motion module of AnimateDiff",
    ),
    "a ControlNet": ({"control_model.x.weight": torch.ones(2)}, "is no LoRA or kin of it: it is a ControlNet"),
    "a bias": (put(f"{IN}.bias", torch.ones(2)), r"change of a bias of the shape \(2,\), but it has 32 numbers"),
    "a new weight": (put(f"{IN.replace('proj_in', 'proj_out')}.set_weight", torch.ones(32)), "a weight of the shape"),
    "too strong": (put(f"{IN}.lora_A.weight", torch.full((2, 32, 1, 1), 3e38)), "becomes NaN"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_does_not_fit_is_an_error(name: str, base: Base, write: Write) -> None:
    state, message = BAD[name]
    path = write(state)
    with pytest.raises(CheckpointError, match=message) as caught:
        changed(base, [Weighted(fitted(path, base), 1e6, 0.0)])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("keys", "family"),
    [
        ({"lora_unet_a_attn2_to_k.lora_down.weight": (4, 768)}, "sd1"),
        ({"lora_unet_a_attn2_to_k.lora_down.weight": (4, 1024)}, "sd2"),
        ({"lora_unet_a_attn2_to_k.lora_down.weight": (4, 2048)}, "sdxl"),
        ({"lora_te2_a.lora_down.weight": (4, 4)}, "sdxl"),
        ({"lora_unet_joint_blocks_0_x_block_attn_qkv.lora_down.weight": (4, 4)}, "sd3"),
        ({"transformer.single_transformer_blocks.0.x.lora_A.weight": (4, 4)}, "flux"),
        (
            {
                f"transformer.{name}.lora_A.weight": (4, 4)
                for name in ("transformer_blocks.0.attn.add_q_proj", "single_transformer_blocks.0.attn.to_q")
            },
            "flux",
        ),
        ({"transformer.transformer_blocks.0.attn.add_q_proj.lora_A.weight": (4, 4)}, "sd3"),
        ({"transformer.transformer_blocks.0.img_mlp.net.2.lora_A.weight": (4, 4)}, "qwen"),
        ({"diffusion_model.blocks.0.cross_attn.k.lora_A.weight": (4, 4)}, "wan"),
        ({"unet.x.lora_A.weight": (4, 4)}, ""),
    ],
)
def test_the_family_it_was_made_for(keys: dict[str, tuple[int, ...]], family: str, tmp_path: Path) -> None:
    state = {name: torch.zeros(shape) for name, shape in keys.items()}
    other = {"_down": "_up", "lora_A": "lora_B"}
    for name, tensor in [*state.items()]:
        for old, new in other.items():
            if old in name:
                state[name.replace(old, new)] = torch.zeros(8, tensor.shape[0])
    save_file(state, tmp_path / "a.safetensors")
    assert read_adapter(tmp_path / "a.safetensors").family == family
    save_file(state, tmp_path / "b.safetensors", metadata={"ss_base_model_version": "sdxl_base_v1-0"})
    assert read_adapter(tmp_path / "b.safetensors").family == "sdxl"


WEIGHED = {
    "unet.conv_in": "IN00", "unet.down_blocks.0.resnets.0.conv1": "IN01",
    "unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_k": "M00", "unet.up_blocks.0.resnets.1.conv1": "OUT01",
    "unet.conv_out": "", "unet.time_embedding.linear_1": "",
    "text_encoder.text_model.encoder.layers.1.self_attn.q_proj": "BASE",
}  # fmt: skip
"""Modules, and their blocks by the names of sd-webui-lora-block-weight."""


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("lbw=ALL", {"BASE": 1, "IN00": 0, "IN01": 1, "M00": 1, "OUT01": 0}),
        ("OUTALL", {"BASE": 1, "IN00": 0, "IN01": 0, "M00": 0, "OUT01": 0}),
        ("lbw=0.5,0,0,0,0,2,0,1,0,0,0,0", {"BASE": 0.5, "IN00": 0, "IN01": 0, "M00": 2, "OUT01": 1}),
        ("w=" + ",".join(map(str, range(20))), {"BASE": 0, "IN00": 1, "IN01": 2, "M00": 10, "OUT01": 12}),
        (",".join(map(str, range(26))), {"BASE": 0, "IN00": 1, "IN01": 2, "M00": 13, "OUT01": 15}),
    ],
)
def test_blocks_are_weighed_one_by_one(written: str, expected: dict[str, float], base: Base, write: Write) -> None:
    path = write({f"{module}.diff": numbers(*base.tensors[f"{module}.weight"].shape) for module in WEIGHED})
    [network] = parse(f"a <lora:ink:0.5:2:{written}>").networks
    asked = WeightedFile(File.of(path), network.weight, network.text_weight, network.blocks)
    found = changed(base, [Weighted.of(fitted(path, base), asked)])
    plain = changed(base, [Weighted(fitted(path, base))])
    for module, block in WEIGHED.items():
        name = f"{module}.weight"
        factor = (0.5 if block == "BASE" else 2.0) * expected.get(block, 1)
        before = base.tensors[name]
        torch.testing.assert_close(found.get(name, before) - before, factor * (plain[name] - before))


def test_blocks_are_of_a_unet(base: Base, write: Write) -> None:
    other = replace(base, blocks={})
    one = Weighted(fitted(write(lora()), other), blocks=(("BASE", 1.0),))
    with pytest.raises(CheckpointError, match="no blocks of a U-Net, which lbw weighs"):
        changed(other, [one])
