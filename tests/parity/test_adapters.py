"""Adapters as PEFT and diffusers apply them: the same weights, the same pictures."""

import copy
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from diffusers.utils.state_dict_utils import convert_state_dict_to_diffusers
from peft import IA3Config, LoHaConfig, LoKrConfig, LoraConfig, OFTConfig, get_peft_model
from peft.utils import get_peft_model_state_dict
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from sfumato import Studio
from sfumato.adapters.applied import apply
from sfumato.adapters.requested import Requested, files_of
from sfumato.model import Model
from sfumato.requests import Lora
from tests.parity.measure import assert_same_picture
from tests.parity.sd3 import make_sd3

pytestmark = pytest.mark.parity

Pair = tuple[StableDiffusionPipeline, Path]
PROMPT = "a photograph of an astronaut riding a horse"
UNET = (
    r"(mid_block|down_blocks\.0|up_blocks\.1).*"
    r"\.(to_q|to_k|to_v|to_out\.0|proj_in|proj|conv1|conv_shortcut|time_emb_proj)"
)
POINTWISE = r"(mid_block|down_blocks\.0|up_blocks\.1).*\.(to_q|to_k|to_v|to_out\.0|proj_in|proj|conv_shortcut)"
WITH_BIAS = r"(mid_block|down_blocks\.0|up_blocks\.1).*\.(to_out\.0|proj_in|proj|conv1|conv_shortcut|time_emb_proj)"
EXPRESSIONS: dict[str, dict[str, int]] = {
    "rank_pattern": {r"to_[kv]": 3, "attn1.to_q": 2},
    "alpha_pattern": {r".*attn1\.to_q": 16, r"down_blocks\.\d+.*": 2, "o_v": 9, "^mid_block": 7, "proj_in|conv1": 5},
}
"""Keys that are regular expressions, plain names (whose dots match anything), and two that match no whole name."""
TEXT = ["q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"]
State = dict[str, Tensor]


@pytest.fixture(scope="module")
def studio(sd1: Pair) -> Studio:
    return Studio(sd1[1], device="cpu", precision="fp32")


def randomised(module: nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data + 0.2 * torch.randn(parameter.shape, generator=generator)


@dataclass(frozen=True)
class Trained:
    """A LoRA as diffusers' own training scripts write it, and what PEFT adds for it to the weights, by our names."""

    state: State
    changes: State


def trained(pipeline: StableDiffusionPipeline, target: Path, seed: int) -> Trained:
    changes = {}
    layers = {}
    for part, rank, names in (("unet", 4, UNET), ("text_encoder", 2, TEXT)):
        module = copy.deepcopy(getattr(pipeline, part)).requires_grad_(False)
        module.add_adapter(LoraConfig(r=rank, lora_alpha=rank, target_modules=names))
        randomised(module, seed)
        layers[part] = convert_state_dict_to_diffusers(get_peft_model_state_dict(module))
        for name, layer in module.named_modules():
            if hasattr(layer, "get_delta_weight"):
                prefix = "" if part == "unet" or name.startswith("text_model.") else "text_model."
                changes[f"{part}.{prefix}{name}.weight"] = layer.get_delta_weight("default").detach()
    StableDiffusionPipeline.save_lora_weights(
        target, unet_lora_layers=layers["unet"], text_encoder_lora_layers=layers["text_encoder"]
    )
    return Trained(load_file(target / "pytorch_lora_weights.safetensors"), changes)


@pytest.fixture(scope="module")
def loras(sd1: Pair, tmp_path_factory: pytest.TempPathFactory) -> tuple[Trained, Trained]:
    folder = tmp_path_factory.mktemp("loras")
    return trained(sd1[0], folder / "1", 1), trained(sd1[0], folder / "2", 2)


def kohya(state: State) -> State:
    """As kohya writes it, with alphas that are not the ranks."""
    found = {}
    for name, tensor in diffusers_names(state).items():
        part, _, path = name.partition(".")
        module, _, side = path.removesuffix(".weight").rpartition(".lora_")
        inner = module if part == "unet" or module.startswith("text_model.") else f"text_model.{module}"
        stem = {"unet": "lora_unet_", "text_encoder": "lora_te_"}[part] + inner.replace(".", "_")
        found[f"{stem}.lora_{ {'A': 'down', 'B': 'up'}[side] }.weight"] = tensor
        found[f"{stem}.alpha"] = torch.tensor(3.0)
    return found


def diffusers_names(state: State) -> State:
    """`lora_A` and `lora_B` throughout; diffusers itself mixes in `lora_linear_layer`."""
    ends = {".lora_linear_layer.down.": ".lora_A.", ".lora_linear_layer.up.": ".lora_B."}
    ends |= {".lora.down.": ".lora_A.", ".lora.up.": ".lora_B."}
    return {reduce(lambda key, pair: key.replace(*pair), ends.items(), name): t for name, t in state.items()}


def old(state: State) -> State:
    return {
        name.replace(".lora_A.", ".lora.down.").replace(".lora_B.", ".lora.up."): tensor
        for name, tensor in diffusers_names(state).items()
    }


def processors(state: State) -> State:
    """As diffusers 0.17 wrote it: the U-Net's attention alone, held by the attention processors."""
    found = {}
    for name, tensor in diffusers_names(state).items():
        place = re.fullmatch(r"(unet\..*attn[12])\.(to_[qkv]|to_out)(?:\.0)?\.lora_([AB])\.weight", name)
        if place:
            side = {"A": "down", "B": "up"}[place[3]]
            found[f"{place[1]}.processor.{place[2]}_lora.{side}.weight"] = tensor
    return found


FORMATS: dict[str, tuple[Callable[[State], State], str, dict[str, float]]] = {
    "diffusers": (dict, ".*", {"unet": 1.0, "text_encoder": 1.0}),
    "old": (old, ".*", {"unet": 1.0, "text_encoder": 1.0}),
    "processors": (processors, r"unet\..*attn[12]\.to_", {"unet": 1.0}),
    "kohya": (kohya, ".*", {"unet": 3 / 4, "text_encoder": 3 / 2}),
}
"""How a format is spelled, which modules it holds, and by what its alpha scales them."""


def states(model: Model) -> State:
    return {
        f"{part}.{name}": value
        for part, module in model.components.items()
        for name, value in module.state_dict().items()
    }


@pytest.mark.parametrize("name", FORMATS)
def test_lora(name: str, loras: tuple[Trained, Trained], studio: Studio, tmp_path: Path) -> None:
    """Two at once, with weights for text and network."""
    spell, held, scales = FORMATS[name]
    weights = ((0.8, 0.8), (-0.3, 0.5))
    asked = []
    for i, (lora, (weight, text_weight)) in enumerate(zip(loras, weights, strict=True)):
        save_file(spell(lora.state), tmp_path / f"{i}.safetensors")
        asked.append(Lora(name=str(tmp_path / f"{i}.safetensors"), weight=weight, text_weight=text_weight))
    model = studio.load()
    bare = {key: value.clone() for key, value in states(model).items()}
    changed = states(apply(model, Requested(files_of(asked))).model)
    for key, before in bare.items():
        wanted = before.clone()
        for lora, (weight, text_weight) in zip(loras, weights, strict=True):
            if key in lora.changes and re.match(held, key):
                part = key.partition(".")[0]
                wanted += lora.changes[key] * scales[part] * (weight if part == "unet" else text_weight)
        assert torch.equal(changed[key], before) == torch.equal(wanted, before), key
        torch.testing.assert_close(changed[key], wanted, atol=2e-6, rtol=1e-5)
    after = states(model)
    assert all(torch.equal(after[key], bare[key]) for key in bare)


CONFIGS: dict[str, Callable[[], Any]] = {
    "lora-patterns": lambda: LoraConfig(
        r=4, lora_alpha=6, target_modules=UNET, rank_pattern={"to_q": 2}, alpha_pattern={"attn1.to_k": 1}
    ),
    "lora-expressions": lambda: LoraConfig(r=4, lora_alpha=4, target_modules=UNET, **EXPRESSIONS),
    "lora-bias": lambda: LoraConfig(r=4, lora_alpha=6, target_modules=WITH_BIAS, lora_bias=True),
    "lora-and-biases": lambda: LoraConfig(
        r=4, lora_alpha=6, target_modules=WITH_BIAS, lora_bias=True, bias="lora_only"
    ),
    "lora-and-all-biases": lambda: LoraConfig(r=4, lora_alpha=6, target_modules=UNET, bias="all"),
    "lora-and-modules": lambda: LoraConfig(
        r=4, lora_alpha=6, target_modules=UNET, modules_to_save=["conv_out", "conv_norm_out"]
    ),
    "rslora": lambda: LoraConfig(r=4, lora_alpha=6, target_modules=UNET, use_rslora=True),
    "dora": lambda: LoraConfig(r=4, lora_alpha=6, target_modules=UNET, use_dora=True),
    "loha": lambda: LoHaConfig(r=4, alpha=6, target_modules=UNET),
    "loha-core": lambda: LoHaConfig(r=4, alpha=6, target_modules=UNET, use_effective_conv2d=True),
    "lokr": lambda: LoKrConfig(r=2, alpha=6, target_modules=UNET, decompose_both=True),
    "lokr-core": lambda: LoKrConfig(r=2, alpha=6, target_modules=UNET, use_effective_conv2d=True),
    "lokr-expressions": lambda: LoKrConfig(r=2, alpha=6, target_modules=UNET, **EXPRESSIONS),
    "ia3": lambda: IA3Config(
        target_modules=["to_k", "to_v", "net.2", "time_emb_proj", "conv1", "conv2"],
        feedforward_modules=["net.2", "conv2"],
    ),
    "ia3-expressions": lambda: IA3Config(
        target_modules=r".*\.(to_k|net\.2|conv2)", feedforward_modules=r".*\.(net\.2|conv[0-9])"
    ),
    "oft": lambda: OFTConfig(oft_block_size=4, target_modules=POINTWISE),
    "oft-short-series": lambda: OFTConfig(oft_block_size=4, target_modules=POINTWISE, num_cayley_neumann_terms=3),
    "oft-exact": lambda: OFTConfig(oft_block_size=8, target_modules=POINTWISE, use_cayley_neumann=False),
    "oft-shared": lambda: OFTConfig(oft_block_size=4, target_modules=POINTWISE, block_share=True),
    "oft-constrained": lambda: OFTConfig(oft_block_size=4, target_modules=POINTWISE, coft=True, eps=0.5),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_kinds_of_peft(name: str, sd1: Pair, studio: Studio, tmp_path: Path) -> None:
    pipeline: Any = sd1[0]
    unet: Any = copy.deepcopy(pipeline.unet).requires_grad_(False)
    adapted = get_peft_model(unet, CONFIGS[name]())
    randomised(adapted, 3)
    adapted.save_pretrained(tmp_path)
    oracle = adapted.eval().merge_and_unload().state_dict()
    model = studio.load()
    network = model.components["unet"]
    bare = {key: value.clone() for key, value in network.state_dict().items()}
    dressed = apply(model, Requested(files_of([Lora(name=str(tmp_path))]))).model.components["unet"].state_dict()
    assert dressed.keys() == oracle.keys()
    assert sum(not torch.equal(dressed[key], bare[key]) for key in bare) > 5
    for key, tensor in oracle.items():
        torch.testing.assert_close(dressed[key], tensor, atol=2e-6, rtol=1e-5)
    assert all(torch.equal(value, bare[key]) for key, value in network.state_dict().items())


@pytest.mark.parametrize("saved_by", ["network", "pipeline"])
def test_alphas_in_the_metadata_of_diffusers(saved_by: str, sd1: Pair, studio: Studio, tmp_path: Path) -> None:
    pipeline: Any = sd1[0]
    unet: Any = copy.deepcopy(pipeline.unet).requires_grad_(False)
    unet.add_adapter(LoraConfig(r=4, lora_alpha=6, target_modules=UNET, **EXPRESSIONS))
    randomised(unet, 5)
    deltas = {
        f"{name}.weight": layer.get_delta_weight("default").detach()
        for name, layer in unet.named_modules()
        if hasattr(layer, "get_delta_weight")
    }
    if saved_by == "network":
        unet.save_lora_adapter(tmp_path)
    else:
        layers = convert_state_dict_to_diffusers(get_peft_model_state_dict(unet))
        StableDiffusionPipeline.save_lora_weights(
            tmp_path, unet_lora_layers=layers, unet_lora_adapter_metadata=unet.peft_config["default"].to_dict()
        )
    model = studio.load()
    bare = model.components["unet"].state_dict()
    dressed = apply(model, Requested(files_of([Lora(name=str(tmp_path))]))).model.components["unet"].state_dict()
    assert len(deltas) > 5
    for key, before in bare.items():
        torch.testing.assert_close(dressed[key], before + deltas.get(key, 0.0), atol=2e-6, rtol=1e-5)


SETTINGS: dict[str, Any] = {"steps": 4, "guidance": 5.0, "seed": 7}


def painted_by(pipeline: Any) -> np.ndarray:
    """What diffusers paints of the prompt with our settings: values from 0 to 1."""
    pipeline.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(SETTINGS["seed"])
    told = {"num_inference_steps": SETTINGS["steps"], "guidance_scale": SETTINGS["guidance"]}
    with torch.no_grad():
        return pipeline(PROMPT, **told, generator=generator, output_type="np").images[0]


def test_the_same_picture(
    sd1: Pair, loras: tuple[Trained, Trained], studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the tag in a prompt. (diffusers 0.42 loads no LoRA into the text encoder of transformers 5.)"""
    pipeline: Any = sd1[0]
    state = {key: value for key, value in kohya(loras[0].state).items() if key.startswith("lora_unet")}
    save_file(state, tmp_path / "ink.safetensors")
    monkeypatch.setenv("SFUMATO_LORAS", str(tmp_path))
    parts = {**pipeline.components, "unet": copy.deepcopy(pipeline.unet)}
    oracle: Any = StableDiffusionPipeline(**parts, requires_safety_checker=False)
    oracle.load_lora_weights(dict(state), adapter_name="ink")
    oracle.set_adapters(["ink"], [0.7])
    theirs = painted_by(oracle)
    ours = studio.txt2img(f"{PROMPT}<lora:ink:0.7>", **SETTINGS)[0]
    plain = studio.txt2img(PROMPT, **SETTINGS)[0]
    assert_same_picture(ours, theirs)
    assert np.abs(np.asarray(plain, dtype=np.float32) / 255 - theirs).max() > 8 / 255


def test_the_same_picture_of_a_fused_lora(tmp_path: Path) -> None:
    """As sd-scripts writes it for Stable Diffusion 3; as diffusers takes it, one for each projection."""
    pipeline: Any = make_sd3(tmp_path, with_t5=False)
    generator = torch.Generator().manual_seed(4)
    fused: State = {}
    split: State = {}
    for block in (0, 1):
        for side, projection in (("x_block", "to_{}"), ("context_block", "add_{}_proj")):
            down, up = 0.3 * torch.randn(2, 64, generator=generator), torch.randn(192, 2, generator=generator)
            stem = f"lora_unet_joint_blocks_{block}_{side}_attn_qkv"
            fused |= {f"{stem}.lora_down.weight": down, f"{stem}.lora_up.weight": up, f"{stem}.alpha": torch.ones(())}
            for letter, rows in zip("qkv", up.chunk(3), strict=True):
                own = f"transformer.transformer_blocks.{block}.attn.{projection.format(letter)}"
                split |= {f"{own}.lora_A.weight": down, f"{own}.lora_B.weight": rows / 2}
    save_file(fused, tmp_path / "ink.safetensors")
    studio = Studio(tmp_path / "model", device="cpu", precision="fp32")
    plain = studio.txt2img(PROMPT, **SETTINGS)[0]
    ours = studio.txt2img(PROMPT, loras=[f"{tmp_path / 'ink.safetensors'}:0.8"], **SETTINGS)[0]
    pipeline.load_lora_weights(split, adapter_name="ink")
    pipeline.set_adapters(["ink"], [0.8])
    theirs = painted_by(pipeline)
    assert_same_picture(ours, theirs)
    assert np.abs(np.asarray(plain, dtype=np.float32) / 255 - theirs).max() > 8 / 255
