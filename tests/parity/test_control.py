"""ControlNets against diffusers': the network, from every layout, and whole pictures."""

import shutil
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    ControlNetModel,
    EulerDiscreteScheduler,
    StableDiffusionAdapterPipeline,
    StableDiffusionControlNetImg2ImgPipeline,
    StableDiffusionControlNetPipeline,
    StableDiffusionPipeline,
    StableDiffusionXLControlNetPipeline,
    T2IAdapter,
    UNet2DConditionModel,
)
from diffusers.pipelines.controlnet import pipeline_controlnet_img2img
from PIL import Image
from safetensors.torch import save_file

from sfumato import Control, Studio
from sfumato.checkpoints.controls import load_control, read_control
from sfumato.checkpoints.folder import load_folder
from sfumato.checkpoints.rules import revert
from sfumato.checkpoints.tables import ldm_controlnet
from sfumato.checkpoints.tensor_file import open_tensors
from sfumato.diffusion import Conditioning
from sfumato.errors import CheckpointError
from sfumato.model import Model
from sfumato.models import t2i_adapter as adapters
from sfumato.models.controlnet import ControlNet, ControlNetConfig
from sfumato.models.residuals import Residuals
from sfumato.models.t2i_adapter import T2IAdapterConfig
from sfumato.models.unet import UNet, UNetConfig
from tests.parity.measure import assert_close, assert_same_picture

pytestmark = pytest.mark.parity

Pair = tuple[StableDiffusionPipeline, Path]


def make_control(
    unet: UNet2DConditionModel, folder: Path, seed: int = 1, widths: tuple[int, ...] = (8, 16, 24, 32), **options: Any
) -> ControlNetModel:
    """A ControlNet for a U-Net, none of whose weights are zero, saved."""
    torch.manual_seed(seed)
    control = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=widths)
    if options:
        control = ControlNetModel.from_config({**control.config, **options})
    for parameter in control.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    control.eval().save_pretrained(folder)
    return control


@cache
def loaded(folder: Path) -> Model:
    """Read only."""
    return load_folder(folder, dtype=torch.float32, device=torch.device("cpu"))


def inputs(width: int = 32) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(3)
    return torch.randn(2, 4, 16, 24), torch.tensor([500.0, 20.0]), torch.randn(2, 77, width), torch.rand(1, 3, 128, 192)


@pytest.mark.parametrize(
    ("options", "guess"),
    [({}, False), ({"global_pool_conditions": True, "controlnet_conditioning_channel_order": "bgr"}, True)],
)
@torch.no_grad()
def test_residuals_and_the_unet_with_them(sd1: Pair, tmp_path: Path, guess: bool, options: dict[str, Any]) -> None:
    unet = vars(sd1[0])["unet"]
    theirs_net = make_control(unet, tmp_path, **options)
    model = loaded(sd1[1])
    ours_net = load_control(tmp_path / "diffusion_pytorch_model.safetensors", model)
    assert isinstance(ours_net, ControlNet)
    x, label, tokens, picture = inputs()
    down, mid = theirs_net(
        x, label, tokens, picture.expand(2, -1, -1, -1), conditioning_scale=0.7, guess_mode=guess, return_dict=False
    )
    cond = Conditioning(tokens)
    ours = ours_net(x, label, cond, ours_net.embedded(picture), weight=0.7, guess=guess)
    assert len(ours.skips) == len(down)
    for one, other in zip((*ours.skips, ours.mid), (*down, mid), strict=True):
        assert_close(one, other)
    theirs = unet(
        x, label, tokens, down_block_additional_residuals=down, mid_block_additional_residual=mid, return_dict=False
    )[0]
    assert isinstance(model.network, UNet)
    assert_close(model.network(x, label, cond, ours), theirs)
    assert not torch.allclose(model.network(x, label, cond), theirs, rtol=1e-2)


@pytest.mark.parametrize(("prefix", "linear"), [("control_model.", False), ("", True)])
@torch.no_grad()
def test_the_authors_layout_and_shapes_alone(prefix: str, linear: bool, sd1: Pair, sd2: Pair, tmp_path: Path) -> None:
    pipeline, folder = sd2 if linear else sd1
    unet = vars(pipeline)["unet"]
    heads: dict[str, Any] = {"attention_head_dim": (1, 1, 1) if linear else 8}
    theirs = make_control(unet, tmp_path / "diffusers", **heads)
    model = loaded(folder)
    whole = load_control(tmp_path / "diffusers" / "diffusion_pytorch_model.safetensors", model)
    assert isinstance(whole, ControlNet)
    x, label, tokens, picture = inputs()
    cond = Conditioning(tokens)
    expected = whole(x, label, cond, whole.embedded(picture))
    assert expected.mid is not None
    assert_close(expected.mid, theirs(x, label, tokens, picture.expand(2, -1, -1, -1), return_dict=False)[1])
    named = revert(dict(theirs.state_dict()), ldm_controlnet.table(whole.config, prefix))
    beside = {"model.diffusion_model.out.2.bias": torch.zeros(4)} if prefix else {}
    assert any(name.endswith("input_hint_block.14.weight") for name in named)
    for name, state in (("authors", {**named, **beside}), ("alone", dict(theirs.state_dict()))):
        file = tmp_path / f"{name}.safetensors"
        save_file({key: value.contiguous() for key, value in state.items()}, file)
        control = load_control(file, model)
        assert isinstance(control, ControlNet)
        found = control(x, label, cond, control.embedded(picture))
        for one, other in zip((*found.skips, found.mid), (*expected.skips, expected.mid), strict=True):
            torch.testing.assert_close(one, other)


@torch.no_grad()
def test_a_control_lora(sd1: Pair, sd2: Pair, tmp_path: Path) -> None:
    """A ControlNet of which some weights are the model's own, some these and a product of low rank, some its own."""
    unet = vars(sd1[0])["unet"]
    theirs = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=(8, 16, 24, 32)).eval()
    for name, parameter in theirs.named_parameters():
        if "controlnet" in name or name.endswith("norm1.bias"):
            parameter.data += 0.05 * torch.randn_like(parameter)
    factors: dict[str, torch.Tensor] = {}
    for module in (
        "conv_in",
        "down_blocks.0.resnets.0.conv1",
        "mid_block.attentions.0.proj_in",
        "time_embedding.linear_1",
    ):
        weight = theirs.get_submodule(module).weight
        up, down = torch.randn(len(weight), 2), 0.1 * torch.randn(2, weight[0].numel())
        kernel = weight.shape[1:] if weight.ndim == 4 else (weight.shape[1],)
        factors |= {
            f"{module}.up": up.reshape(-1, 2, 1, 1) if weight.ndim == 4 else up,
            f"{module}.down": down.reshape(2, *kernel),
        }
        weight.data += (up @ down).reshape(weight.shape)
    own = {
        name: tensor for name, tensor in theirs.state_dict().items() if "controlnet" in name or name.endswith("bias")
    }
    config = ControlNetConfig.from_json(dict(theirs.config))
    named = revert({**own, **factors}, ldm_controlnet.table(config))
    file = tmp_path / "control-lora.safetensors"
    save_file({**named, "lora_controlnet": torch.empty(0)}, file)
    assert {"input_blocks.0.0.up", "input_blocks.1.0.in_layers.2.down", "zero_convs.0.0.weight"} <= set(named)
    ours = load_control(file, loaded(sd1[1]))
    assert isinstance(ours, ControlNet)
    x, label, tokens, picture = inputs()
    down, mid = theirs(x, label, tokens, picture.expand(2, -1, -1, -1), return_dict=False)
    found = ours(x, label, Conditioning(tokens), ours.embedded(picture))
    for one, other in zip((*found.skips, found.mid), (*down, mid), strict=True):
        assert_close(one, other)
    half = {name: tensor for name, tensor in named.items() if not name.endswith(".down")}
    save_file({**half, "lora_controlnet": torch.empty(0)}, file)
    with pytest.raises(CheckpointError, match=r"has no weight or no conv_in.down"):
        load_control(file, loaded(sd1[1]))


def sdxl_unet() -> UNet2DConditionModel:
    torch.manual_seed(0)
    return UNet2DConditionModel(
        sample_size=16,
        block_out_channels=(32, 64),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=32,
        attention_head_dim=(2, 4),
        transformer_layers_per_block=(1, 2),
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=32 + 6 * 8,
    ).eval()


@torch.no_grad()
def test_sdxl(tmp_path: Path) -> None:
    theirs = make_control(sdxl_unet(), tmp_path)
    config, state = read_control(open_tensors(tmp_path / "diffusion_pytorch_model.safetensors"))
    assert isinstance(config, ControlNetConfig)
    ours = ControlNet(config)
    ours.load_state_dict(state)
    x, label, tokens, picture = inputs()
    pooled, numbers = torch.randn(2, 32), torch.tensor([[64.0, 64, 0, 0, 64, 64]] * 2)
    told = {"text_embeds": pooled, "time_ids": numbers}
    down, mid = theirs(x, label, tokens, picture.expand(2, -1, -1, -1), added_cond_kwargs=told, return_dict=False)
    found = ours(x, label, Conditioning(tokens, pooled=pooled, numbers=numbers), ours.embedded(picture))
    for one, other in zip((*found.skips, found.mid), (*down, mid), strict=True):
        assert_close(one, other)


@torch.no_grad()
def test_what_does_not_fit(sd1: Pair, sd2: Pair, tmp_path: Path) -> None:
    unet = vars(sd1[0])["unet"]
    wide = UNet2DConditionModel.from_config({**unet.config, "cross_attention_dim": 48})
    make_control(wide, tmp_path / "wide")
    with pytest.raises(CheckpointError, match=r"tokens of width 48, and model .* has 32; give one made for"):
        load_control(tmp_path / "wide" / "diffusion_pytorch_model.safetensors", loaded(sd1[1]))
    make_control(unet, tmp_path / "half", widths=(8, 16))
    with pytest.raises(CheckpointError, match=r"latents of so many pixels a side: 2, and model .* has 8"):
        load_control(tmp_path / "half" / "diffusion_pytorch_model.safetensors", loaded(sd1[1]))
    with pytest.raises(CheckpointError, match="is no ControlNet; give one with"):
        load_control(sd1[1] / "unet" / "diffusion_pytorch_model.safetensors", loaded(sd1[1]))
    save_file({"lllite_unet_input.down.0.weight": torch.zeros(1)}, tmp_path / "lite.safetensors")
    with pytest.raises(CheckpointError, match="a ControlNet-LLLite, which is not loaded here"):
        load_control(tmp_path / "lite.safetensors", loaded(sd1[1]))


@pytest.fixture(scope="module")
def pictures() -> list[Image.Image]:
    rows, columns = np.indices((64, 64))
    return [
        Image.fromarray(np.stack([rows * 4, 255 - columns * 4, (rows + columns) * shade % 256], -1).astype(np.uint8))
        for shade in (7, 31)
    ]


def theirs_painted(pair: Pair, folder: Path, kind: Any, controls: Any, **options: Any) -> np.ndarray:
    """diffusers' picture, (h, w, 3) in [0, 1], and in `folder` the model with the scheduler that painted it."""
    scheduler = EulerDiscreteScheduler(
        beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, steps_offset=1
    )
    shutil.copytree(pair[1], folder)
    (folder / "scheduler" / "scheduler_config.json").unlink()
    scheduler.save_config(folder / "scheduler")
    parts = {**pair[0].components, "scheduler": scheduler}
    if "adapter" in controls:
        del parts["image_encoder"]
    pipeline = kind(**parts, **controls, requires_safety_checker=False)
    pipeline.set_progress_bar_config(disable=True)
    with torch.no_grad():
        images = pipeline(
            prompt=PROMPT,
            negative_prompt="blurry",
            guidance_scale=4.0,
            generator=torch.Generator().manual_seed(7),
            output_type="np",
            width=64,
            height=64,
            **options,
        ).images
    return np.asarray(images[0])


PROMPT = "a photograph of an astronaut"
CASES: dict[str, tuple[int, dict[str, Any], dict[str, Any]]] = {
    "one": (1, {"controlnet_conditioning_scale": 0.8}, {"weight": [0.8]}),
    "guess": (1, {"guess_mode": True}, {"guess": True}),
    "two, in parts of the steps": (
        2,
        {
            "controlnet_conditioning_scale": [0.9, 0.5],
            "control_guidance_start": [0.0, 0.3],
            "control_guidance_end": [0.5, 1.0],
        },
        {"weight": [0.9, 0.5], "start": [0.0, 0.3], "end": [0.5, 1.0]},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_same_picture(case: str, sd1: Pair, tmp_path: Path, pictures: list[Image.Image]) -> None:
    count, theirs_options, ours_options = CASES[case]
    nets = [make_control(vars(sd1[0])["unet"], tmp_path / f"net{i}", seed=i) for i in range(count)]
    nets, shown = (nets, pictures) if count > 1 else (nets[0], pictures[0])  # type: ignore[assignment]
    theirs = theirs_painted(
        sd1,
        tmp_path / "model",
        StableDiffusionControlNetPipeline,
        {"controlnet": nets},
        image=shown,
        num_inference_steps=4,
        **theirs_options,
    )
    guess = ours_options.pop("guess", False)
    controls = [
        Control(
            model=str(tmp_path / f"net{i}"),
            image=pictures[i],
            **{name: values[i] for name, values in ours_options.items()},
        )
        for i in range(count)
    ]
    studio = Studio(tmp_path / "model", precision="fp32", device="cpu")
    options: Any = {"negative": "blurry", "guidance": 4.0, "steps": 4, "seed": 7, "size": "64x64"}
    ours = studio.txt2img(PROMPT, controls=controls, guess=guess, **options)
    assert_same_picture(ours[0], theirs)
    plain = np.asarray(studio.txt2img(PROMPT, **options)[0], int)
    assert np.abs(plain - np.asarray(ours[0], int)).max() > 16


def test_same_picture_of_img2img(
    sd1: Pair, tmp_path: Path, pictures: list[Image.Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline_controlnet_img2img, "retrieve_latents", lambda found, **_: found.latent_dist.mode())
    net = make_control(vars(sd1[0])["unet"], tmp_path / "net")
    theirs = theirs_painted(
        sd1,
        tmp_path / "model",
        StableDiffusionControlNetImg2ImgPipeline,
        {"controlnet": net},
        image=pictures[0],
        control_image=pictures[1],
        strength=0.6,
        num_inference_steps=5,
        control_guidance_end=0.7,
        controlnet_conditioning_scale=1.0,
    )
    ours = Studio(tmp_path / "model", precision="fp32", device="cpu").img2img(
        pictures[0],
        PROMPT,
        negative="blurry",
        guidance=4.0,
        steps=5,
        seed=7,
        strength=0.6,
        controls=[Control(model=str(tmp_path / "net"), image=pictures[1], end=0.7)],
    )
    assert_same_picture(ours[0], theirs)


def test_same_picture_of_sdxl(sdxl: Pair, tmp_path: Path, pictures: list[Image.Image]) -> None:
    pipeline, folder = sdxl
    net = make_control(vars(pipeline)["unet"], tmp_path / "net", widths=(8, 16))
    held: Any = StableDiffusionXLControlNetPipeline(**pipeline.components, controlnet=net, add_watermarker=False)
    held.set_progress_bar_config(disable=True)
    with torch.no_grad():
        theirs = held(
            prompt=PROMPT,
            negative_prompt="blurry",
            image=pictures[0],
            guidance_scale=4.0,
            num_inference_steps=4,
            generator=torch.Generator().manual_seed(7),
            controlnet_conditioning_scale=0.8,
            output_type="np",
            width=64,
            height=64,
        ).images[0]
    ours = Studio(folder, precision="fp32", device="cpu").txt2img(
        PROMPT,
        negative="blurry",
        guidance=4.0,
        steps=4,
        seed=7,
        size="64x64",
        controls=[Control(model=str(tmp_path / "net"), image=pictures[0], weight=0.8)],
    )
    assert_same_picture(ours[0], theirs)


def make_adapter(folder: Path, **options: Any) -> T2IAdapter:
    torch.manual_seed(5)
    adapter = T2IAdapter(num_res_blocks=2, **{"channels": (32, 64, 64), **options}).eval()
    adapter.save_pretrained(folder)
    return adapter


KINDS: dict[str, dict[str, Any]] = {
    "full_adapter": {},
    "full_adapter_xl": {"channels": (32, 64, 64, 64), "downscale_factor": 16},
    "light_adapter": {"channels": (32, 64), "in_channels": 1},
}


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_features_of_a_t2i_adapter(kind: str, tmp_path: Path) -> None:
    theirs = make_adapter(tmp_path, adapter_type=kind, **KINDS[kind])
    file = tmp_path / "diffusion_pytorch_model.safetensors"
    config, state = read_control(open_tensors(file))
    assert isinstance(config, T2IAdapterConfig)
    (tmp_path / "config.json").unlink()
    assert read_control(open_tensors(file))[0] == config
    ours = adapters.T2IAdapter(config)
    ours.load_state_dict(state)
    picture = torch.randint(0, 256, (1, 1, 80, 144)).expand(1, 3, -1, -1) / 255
    expected = theirs(picture[:, : config.in_channels])
    for one, other in zip(ours.embedded(picture), expected, strict=True):
        assert_close(one, other)
    assert [80 // stride for stride in config.strides[:1]] == [expected[0].shape[2]]


def test_same_picture_of_a_t2i_adapter(sd1: Pair, tmp_path: Path, pictures: list[Image.Image]) -> None:
    adapter = make_adapter(tmp_path / "adapter")
    theirs = theirs_painted(
        sd1,
        tmp_path / "model",
        StableDiffusionAdapterPipeline,
        {"adapter": adapter},
        image=pictures[0],
        num_inference_steps=4,
        adapter_conditioning_scale=2.0,
    )
    ours = Studio(tmp_path / "model", precision="fp32", device="cpu").txt2img(
        PROMPT,
        negative="blurry",
        guidance=4.0,
        steps=4,
        seed=7,
        size="64x64",
        controls=[Control(model=str(tmp_path / "adapter"), image=pictures[0], weight=2.0)],
    )
    assert_same_picture(ours[0], theirs)


@torch.no_grad()
def test_a_t2i_adapter_of_another_form(sd1: Pair, tmp_path: Path) -> None:
    make_adapter(tmp_path, adapter_type="full_adapter_xl", **KINDS["full_adapter_xl"])
    with pytest.raises(CheckpointError, match=r"is a T2I-Adapter for levels of widths and strides \[\(32, 16\)"):
        load_control(tmp_path / "diffusion_pytorch_model.safetensors", loaded(sd1[1]))


@torch.no_grad()
def test_levels_without_attention_take_it_behind_their_downsampling() -> None:
    """SDXL's first level, and its middle."""
    theirs = sdxl_unet()
    ours = UNet(UNetConfig.from_json(dict(theirs.config)))
    ours.load_state_dict(theirs.state_dict())
    x, label, tokens, _ = inputs()
    pooled, numbers = torch.randn(2, 32), torch.tensor([[64.0, 64, 0, 0, 64, 64]] * 2)
    levels = [torch.randn(1, 32, 8, 12), torch.randn(1, 64, 8, 12), torch.randn(2, 64, 8, 12)]
    expected = theirs(
        x,
        label,
        tokens,
        added_cond_kwargs={"text_embeds": pooled, "time_ids": numbers},
        down_intrablock_additional_residuals=[level.clone() for level in levels],
        return_dict=False,
    )[0]
    cond = Conditioning(tokens, pooled=pooled, numbers=numbers)
    assert_close(ours(x, label, cond, Residuals(levels=tuple(levels))), expected)
