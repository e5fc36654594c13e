"""SDXL, its refiner, Turbo, LCM and the networks with extra channels against diffusers on the same random weights."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    AutoencoderKL,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    LatentConsistencyModelPipeline,
    LCMScheduler,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from sfumato import Studio
from sfumato.checkpoints.export import export
from sfumato.checkpoints.folder import load_folder, read_folder
from sfumato.checkpoints.single import load_single, read_file
from sfumato.diffusion.conditioning import Conditioning
from sfumato.errors import RequestError
from sfumato.model import Model
from sfumato.models.unet import UNet, UNetConfig
from sfumato.prompts.encode import TextPart
from sfumato.published import SDXL
from tests.parity.clip_words import clip_tokenizer
from tests.parity.measure import assert_close, assert_same_picture

pytestmark = pytest.mark.parity

PROMPT, NEGATIVE, SEED = "a photograph of an astronaut riding a horse, oil", "blurry", 7
EULER = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "steps_offset": 1}
CPU = torch.device("cpu")


def text_encoder(kind: type, width: int, act: str) -> Any:
    """Published files say 2 for the end of a text, whatever its id is."""
    config = CLIPTextConfig(
        vocab_size=49408,
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=3,
        num_attention_heads=4,
        projection_dim=24,
        hidden_act=act,
        bos_token_id=0,
        eos_token_id=2,
    )
    return kind(config).eval()


def unet(**changes: Any) -> Any:
    """As SDXL's, of a thousandth of the size; what is told in numbers is made loud, so that it cannot be missed."""
    make: Any = UNet2DConditionModel
    network = make(
        **{
            "sample_size": 16,
            "block_out_channels": (32, 64, 64),
            "layers_per_block": 1,
            "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            "transformer_layers_per_block": (1, 1, 2),
            "attention_head_dim": (2, 4, 4),
            "cross_attention_dim": 48,
            "use_linear_projection": True,
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": 8,
            "projection_class_embeddings_input_dim": 24 + 6 * 8,
            **changes,
        }
    ).eval()
    for name, weight in network.named_parameters():
        if name.startswith("add_embedding.") or name.endswith("cond_proj.weight"):
            weight.data *= 4
    return network


def parts(network: Any, scheduler: Any) -> dict[str, Any]:
    make: Any = AutoencoderKL
    vae = make(
        block_out_channels=(32, 64),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        layers_per_block=1,
        scaling_factor=0.13025,
    ).eval()
    return {
        "vae": vae,
        "text_encoder": text_encoder(CLIPTextModel, 16, "quick_gelu"),
        "text_encoder_2": text_encoder(CLIPTextModelWithProjection, 32, "gelu"),
        "tokenizer": clip_tokenizer(),
        "tokenizer_2": clip_tokenizer("!"),
        "unet": network,
        "scheduler": scheduler,
    }


def saved(pipeline: Any, folder: Path) -> tuple[Any, Path]:
    pipeline.set_progress_bar_config(disable=True)
    pipeline.save_pretrained(folder / "model")
    return pipeline, folder / "model"


Pair = tuple[Any, Path]


def make_base(folder: Path) -> Pair:
    made = parts(unet(), EulerDiscreteScheduler(**EULER, timestep_spacing="leading"))
    return saved(StableDiffusionXLPipeline(**made, add_watermarker=False), folder)


def make_refiner(folder: Path) -> Pair:
    network = unet(
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=2,
        cross_attention_dim=32,
        projection_class_embeddings_input_dim=24 + 5 * 8,
    )
    made = parts(network, EulerDiscreteScheduler(**EULER, timestep_spacing="leading"))
    made |= {"text_encoder": None, "tokenizer": None}
    options = {"requires_aesthetics_score": True, "force_zeros_for_empty_prompt": False, "add_watermarker": False}
    return saved(StableDiffusionXLImg2ImgPipeline(**made, **options), folder)


def make_turbo(folder: Path) -> Pair:
    made = parts(unet(), EulerAncestralDiscreteScheduler(**EULER, timestep_spacing="trailing"))
    return saved(StableDiffusionXLPipeline(**made, add_watermarker=False), folder)


def make_lcm(folder: Path) -> Pair:
    plain = dict.fromkeys(("addition_embed_type", "addition_time_embed_dim"))
    network = unet(**plain, projection_class_embeddings_input_dim=None, cross_attention_dim=16, time_cond_proj_dim=32)
    made = parts(network, LCMScheduler(**{**EULER, "steps_offset": 0}))
    made = {name: part for name, part in made.items() if not name.endswith("_2")}
    extra = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    return saved(LatentConsistencyModelPipeline(**made, **extra), folder)


MAKERS: dict[str, Callable[[Path], Pair]] = {
    "sdxl": make_base,
    "sdxl-refiner": make_refiner,
    "sdxl-turbo": make_turbo,
    "custom": make_lcm,
}


@pytest.fixture(scope="module", params=MAKERS)
def form(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Any, Path, Path]:
    """The family's name, diffusers' pipeline, its folder and our single file of it."""
    torch.manual_seed(0)
    pipeline, folder = MAKERS[request.param](tmp_path_factory.mktemp(request.param))
    return request.param, pipeline, folder, export(folder, folder.parent / "model.safetensors")


def load(path: Path) -> Model:
    return (load_folder if path.is_dir() else load_single)(path, dtype=torch.float32, device=CPU)


@torch.no_grad()
def test_parts(form: tuple[str, Any, Path, Path]) -> None:
    name, pipeline, folder, _ = form
    ours = load(folder)
    assert ours.family.name == name
    x, label = torch.randn(2, 4, 16, 24), torch.tensor([3.25, 981.0])
    tokens, pooled = torch.randn(2, 77, pipeline.unet.config.cross_attention_dim), torch.randn(2, 24)
    numbers = torch.rand(2, max(ours.micro_conditioning, 1)) * 1000
    told = {"added_cond_kwargs": {"text_embeds": pooled, "time_ids": numbers}} if ours.micro_conditioning else {}
    guided = pipeline.unet.config.time_cond_proj_dim is not None
    if guided:
        weights = torch.tensor([7.5, 2.0]) - 1
        told = {"timestep_cond": pipeline.get_guidance_scale_embedding(weights, embedding_dim=32)}
    cond = Conditioning(tokens, pooled=pooled, numbers=numbers, guidance=torch.tensor([7.5, 2.0]) if guided else None)
    assert_close(ours.network(x, label, cond), pipeline.unet(x, label, tokens, **told).sample)

    texts = ["a cat", "an astronaut riding a horse, 4k"]
    for part, encoder in ours.texts.items():
        for skip in (1, 2) if part == "text_encoder_2" else (1,):
            ids = encoder.tokenizer(texts)
            theirs = getattr(pipeline, part)(ids, output_hidden_states=True)
            encoding = encoder.run(ids, skip)
            assert isinstance(encoder, TextPart)
            if encoder.penultimate:
                assert_close(encoding.tokens, theirs.hidden_states[-1 - skip])
            if part == "text_encoder_2":
                assert_close(encoding.pooled, theirs.text_embeds)


def paint(path: Path, **options: Any) -> np.ndarray[Any, Any]:
    result = Studio(path, precision="fp32", device="cpu").txt2img(PROMPT, seed=SEED, **options)
    return np.asarray(result.images[0], dtype=np.float32) / 255


def test_same_picture(form: tuple[str, Any, Path, Path]) -> None:
    """Through the folder and through the single file; no negative prompt is a condition of zeros, or is none."""
    name, *_, folder, file = form
    if name in ("sdxl-turbo", "custom"):  # nothing to be guided away from
        assert_same_pictures(form, None, folder, file)
    else:
        assert_same_pictures(form, NEGATIVE, folder)
        assert_same_pictures(form, None, file)


@torch.no_grad()
def assert_same_pictures(form: tuple[str, Any, Path, Path], negative: str | None, *paths: Path) -> None:
    name, pipeline, *_ = form
    generator = torch.Generator().manual_seed(SEED)
    steps, guidance = (4, 1.0) if name == "sdxl-turbo" else (4, 8.0) if name == "custom" else (4, 5.0)
    shared: dict[str, Any] = {"generator": generator, "num_inference_steps": steps, "output_type": "np"}
    if name == "sdxl-refiner":
        # From pure noise, as txt2img has it: latents that are said to be noisy already.
        pipeline.scheduler.set_timesteps(steps)
        start = torch.randn((1, 4, 16, 16), generator=generator) * float(pipeline.scheduler.init_noise_sigma)
        shared |= {"image": start, "denoising_start": 1e-6}
    if name != "custom":
        shared["negative_prompt"] = negative if name != "sdxl-refiner" else negative or ""
    theirs = pipeline(PROMPT, guidance_scale=guidance, **shared).images[0]
    options = {"steps": steps, "guidance": guidance, "negative": negative or ""}
    for path in paths:
        assert_same_picture(paint(path, **options), theirs)


def test_micro_conditioning_changes_the_picture(sdxl: Pair) -> None:
    pipeline, folder = sdxl
    told = {"original_size": (640, 512), "crop": (64, 8), "target_size": (1024, 768)}
    ours = paint(folder, steps=3, guidance=3.0, negative=NEGATIVE, **told)
    theirs = pipeline(
        PROMPT,
        negative_prompt=NEGATIVE,
        num_inference_steps=3,
        guidance_scale=3.0,
        generator=torch.Generator().manual_seed(SEED),
        output_type="np",
        **{"original_size": (512, 640), "crops_coords_top_left": (8, 64), "target_size": (768, 1024)},
        **{"negative_original_size": (512, 640), "negative_crops_coords_top_left": (8, 64)},
        negative_target_size=(768, 1024),
    ).images[0]
    assert_same_picture(ours, theirs)
    plain = paint(folder, steps=3, guidance=3.0, negative=NEGATIVE)
    assert np.abs(ours - plain).max() > 4 / 255, "what is told must be loud enough to be tested"
    with pytest.raises(RequestError, match="model has no aesthetic conditioning"):
        paint(folder, aesthetic=6.0)


@pytest.mark.slow
def test_diffusers_reads_what_we_write(form: tuple[str, Any, Path, Path], tmp_path: Path) -> None:
    name, pipeline, folder, file = form
    back = export(file, tmp_path / "back")
    before, there, after = read_folder(folder), read_file(file), read_folder(back)
    for parts in (there, after):
        assert parts.state.keys() == before.state.keys()
        assert all(torch.equal(parts.state[key], value) for key, value in before.state.items())
        assert parts.configs == before.configs
        assert (parts.scheduler, parts.tokenizers) == (before.scheduler, before.tokenizers)
        assert parts.zero_empty == before.zero_empty
    theirs = [type(pipeline).from_pretrained(back, local_files_only=True)]
    if name != "custom":  # LCM has no published single file
        theirs.append(type(pipeline).from_single_file(str(file), config=str(folder), local_files_only=True))
    for read in theirs:
        for part in ("unet", "vae", "text_encoder", "text_encoder_2"):
            if (original := getattr(pipeline, part, None)) is not None:
                state = getattr(read, part).state_dict()
                assert original.state_dict().keys() == state.keys()
                assert all(torch.equal(state[key], value) for key, value in original.state_dict().items())


@pytest.mark.parametrize(("channels", "task"), [(9, "inpainting"), (5, "painting by depth"), (8, "editing by")])
@torch.no_grad()
def test_extra_channels(channels: int, task: str, tmp_path: Path) -> None:
    """The networks of the variants, and that painting from a text alone refuses them by what they are for."""
    torch.manual_seed(1)
    theirs = unet(in_channels=channels)
    pipeline = StableDiffusionXLPipeline(**parts(theirs, EulerDiscreteScheduler(**EULER)), add_watermarker=False)
    _, folder = saved(pipeline, tmp_path)
    if channels == 5:  # is published for Stable Diffusion 2 alone
        ours: nn.Module = UNet(UNetConfig.from_json(dict(theirs.config))).eval()
        ours.load_state_dict(theirs.state_dict())
    else:
        file = export(folder, tmp_path / "model.safetensors")
        ours = load(file).network
        with pytest.raises(RequestError, match=task):
            paint(file)
    x, extra = torch.randn(2, 4, 8, 8), torch.randn(2, channels - 4, 8, 8)
    tokens, pooled, numbers = torch.randn(2, 7, 48), torch.randn(2, 24), torch.rand(2, 6) * 99
    label = torch.tensor([1.0, 700.0])
    cond = Conditioning(tokens, pooled=pooled, numbers=numbers, channels=extra)
    told = {"text_embeds": pooled, "time_ids": numbers}
    expected = theirs(torch.cat([x, extra], 1), label, tokens, added_cond_kwargs=told).sample
    assert_close(ours(x, label, cond), expected)


@pytest.mark.slow
@torch.no_grad()
def test_full_size_sdxl_unet() -> None:
    """The real shapes of SDXL: 2,567 M parameters, every tensor named alike."""
    with torch.device("meta"):
        theirs: Any = UNet2DConditionModel.from_config(SDXL.to_json())
        ours = UNet(SDXL)
    theirs = theirs.to_empty(device="cpu").eval()
    generator = torch.Generator().manual_seed(0)
    for name, tensor in theirs.state_dict().items():
        scale = 1.0 if name.endswith("norm.weight") else 0.5 / max(1, tensor[0].numel()) ** 0.5
        tensor.uniform_(-1, 1, generator=generator).mul_(scale)
    ours.load_state_dict(theirs.state_dict(), assign=True)
    ours.eval()
    assert sum(p.numel() for p in ours.parameters()) == 2_567_463_684
    x, tokens, label = torch.randn(1, 4, 16, 16), torch.randn(1, 77, 2048), torch.tensor([481.0])
    pooled, numbers = torch.randn(1, 1280), torch.tensor([[1024.0, 1024, 0, 0, 1024, 1024]])
    expected = theirs(x, label, tokens, added_cond_kwargs={"text_embeds": pooled, "time_ids": numbers}).sample
    assert_close(ours(x, label, Conditioning(tokens, pooled=pooled, numbers=numbers)), expected)
