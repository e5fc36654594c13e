"""ControlNets of Stable Diffusion 3 against diffusers: the network in each of its forms and files; whole pictures."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    SD3ControlNetModel,
    SD3Transformer2DModel,
    StableDiffusion3ControlNetPipeline,
    StableDiffusion3Pipeline,
)
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from PIL import Image
from safetensors.torch import load_file, save_file

from sfumato import Control, Studio
from sfumato.checkpoints.controls import load_control, read_control
from sfumato.checkpoints.folder import load_folder
from sfumato.checkpoints.rules import revert
from sfumato.checkpoints.tables import sd3_controlnet
from sfumato.checkpoints.tensor_file import open_tensors
from sfumato.diffusion import Conditioning
from sfumato.errors import CheckpointError, RequestError
from sfumato.model import Model
from sfumato.models.mmdit import MMDiT, MMDiTConfig
from sfumato.models.residuals import Residuals
from sfumato.models.sd3_controlnet import CANNY, SD3ControlNet, SD3ControlNetConfig
from tests.parity.measure import assert_close, assert_same_picture

pytestmark = pytest.mark.parity

PROMPT, NEGATIVE, SEED = "a photo of a red fox in the snow", "houses, words", 7
FILE = "diffusion_pytorch_model.safetensors"
FORMS: dict[str, dict[str, Any]] = {
    "text": {},
    "3.5": {"qk_norm": "rms_norm", "dual_attention_layers": (0,), "force_zeros_for_pooled_projection": False},
    "no positions": {"pos_embed_type": None},
    "picture alone": {
        **{"joint_attention_dim": None, "use_pos_embed": False, "pos_embed_type": None, "pos_embed_max_size": None},
        **{"force_zeros_for_pooled_projection": False, "caption_projection_dim": 2048},
    },
}


def make_control(folder: Path, form: str, seed: int = 1, layers: int = 2) -> SD3ControlNetModel:
    """A ControlNet for the pipelines of `make_sd3`, none of whose weights are zero, saved."""
    torch.manual_seed(seed)
    sizes = {"sample_size": 16, "num_layers": layers, "attention_head_dim": 64, "num_attention_heads": 1}
    text = {"joint_attention_dim": 96, "caption_projection_dim": 64, "pooled_projection_dim": 80}
    control = SD3ControlNetModel(**{**sizes, **text, "pos_embed_max_size": 12, **FORMS[form]}).eval()
    for name, parameter in control.named_parameters():
        torch.nn.init.normal_(parameter, 1.0 if "norm_" in name and parameter.shape == (64,) else 0.0, 0.12)
    control.save_pretrained(folder)
    return control


@pytest.fixture(scope="module")
def model(sd3: tuple[StableDiffusion3Pipeline, Path]) -> Model:
    return load_folder(sd3[1], dtype=torch.float32, device=torch.device("cpu"))


@pytest.fixture(scope="module")
def pictures() -> list[Image.Image]:
    rows, columns = np.mgrid[:64, :64]
    waves = [np.stack([rows * 4, 255 - columns * 4, (rows + columns) * shade % 256], -1) for shade in (7, 31)]
    return [Image.fromarray(wave.astype(np.uint8)) for wave in waves]


@pytest.fixture
def means(monkeypatch: pytest.MonkeyPatch) -> None:
    """diffusers draws the latents of a control's picture; we take their mean."""
    monkeypatch.setattr(DiagonalGaussianDistribution, "sample", lambda self, generator=None: self.mode())


def inputs() -> tuple[torch.Tensor, torch.Tensor, Conditioning, torch.Tensor]:
    torch.manual_seed(3)
    cond = Conditioning(torch.randn(2, 20, 96), pooled=torch.randn(2, 80))
    return torch.randn(2, 16, 8, 12), torch.tensor([700.0, 20.0]), cond, torch.randn(1, 16, 8, 12)


def theirs_of(control: SD3ControlNetModel, transformer: SD3Transformer2DModel, weight: float) -> list[torch.Tensor]:
    """What diffusers' ControlNet adds to the inputs, called as its pipeline calls it."""
    x, label, cond, picture = inputs()
    assert cond.pooled is not None
    config = control.config
    if not config.use_pos_embed:
        control.pos_embed = control._get_pos_embed_from_transformer(transformer)
    found = control(
        x,
        picture,
        weight,
        None if config.joint_attention_dim is None else cond.tokens,
        torch.zeros_like(cond.pooled) if config.force_zeros_for_pooled_projection else cond.pooled,
        label,
        return_dict=False,
    )
    residuals: list[torch.Tensor] = found[0]
    return residuals


@pytest.mark.parametrize("form", FORMS)
@torch.no_grad()
def test_residuals_of_each_form(
    form: str, sd3: tuple[StableDiffusion3Pipeline, Path], model: Model, tmp_path: Path
) -> None:
    transformer = vars(sd3[0])["transformer"]
    theirs = theirs_of(make_control(tmp_path, form), transformer, 0.7)
    x, label, cond, picture = inputs()
    ours = load_control(tmp_path / FILE, model)
    assert isinstance(ours, SD3ControlNet)
    [found] = ours(x, label, cond, ours.embedded(picture), weight=0.7).blocks
    for one, other in zip(found, theirs, strict=True):
        assert_close(one, other)
    if form == "3.5":
        return  # whose pooled text a file without a configuration does not tell of
    (tmp_path / "config.json").unlink()
    alone = load_control(tmp_path / FILE, model)
    assert isinstance(alone, SD3ControlNet)
    torch.testing.assert_close(alone(x, label, cond, alone.embedded(picture)).blocks[0][1], found[1] / 0.7)


@torch.no_grad()
def test_each_residual_counts_for_as_many_blocks() -> None:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"num_layers": 5, "attention_head_dim": 16, "num_attention_heads": 1, "sample_size": 16}
    text = {"joint_attention_dim": 96, "caption_projection_dim": 16, "pooled_projection_dim": 80}
    theirs = SD3Transformer2DModel(**sizes, **text, pos_embed_max_size=12).eval()
    ours = MMDiT(MMDiTConfig.from_json(dict(theirs.config)))
    ours.load_state_dict(theirs.state_dict())
    x, label, cond, _ = inputs()
    two, three = ([torch.randn(2, 24, 16) for _ in range(count)] for count in (2, 3))
    told: dict[str, Any] = {"encoder_hidden_states": cond.tokens, "pooled_projections": cond.pooled, "timestep": label}
    for some in (two, three):
        expected = theirs(x, **told, block_controlnet_hidden_states=some, return_dict=False)[0]
        assert_close(ours(x, label, cond, Residuals(blocks=(tuple(some),))), expected)
    both = Residuals(blocks=(tuple(two),)) + Residuals(blocks=(tuple(three),))
    summed = [two[i * 2 // 5] + three[i * 3 // 5] for i in range(5)]
    expected = theirs(x, **told, block_controlnet_hidden_states=summed, return_dict=False)[0]
    assert_close(ours(x, label, cond, both), expected)


@torch.no_grad()
def test_stabilitys_file(model: Model, tmp_path: Path) -> None:
    """Fused and numbered by what it is for."""
    make_control(tmp_path, "picture alone")
    whole = load_control(tmp_path / FILE, model)
    assert isinstance(whole, SD3ControlNet)
    given = SD3ControlNetConfig.from_json({"num_layers": 2, "joint_attention_dim": None})
    named = revert(load_file(tmp_path / FILE), sd3_controlnet.table(given))
    assert named["transformer_blocks.1.attn.qkv.weight"].shape == (192, 64)
    x, label, cond, picture = inputs()
    pixels = torch.rand(1, 3, 64, 64)
    for kind, prepared in ((CANNY, 127.5 * pixels + 0.5), (2, 2 * pixels - 1)):
        file = tmp_path / f"kind{kind}.safetensors"
        save_file({**named, "control_type": torch.tensor([kind], dtype=torch.int32)}, file)
        ours = load_control(file, model)
        assert isinstance(ours, SD3ControlNet)
        torch.testing.assert_close(ours.prepared(pixels), prepared)
        for one, other in zip(
            ours(x, label, cond, ours.embedded(picture)).blocks[0],
            whole(x, label, cond, whole.embedded(picture)).blocks[0],
            strict=True,
        ):
            torch.testing.assert_close(one, other)
    (tmp_path / FILE).rename(tmp_path / "large-canny.safetensors")
    assert read_control(open_tensors(tmp_path / "large-canny.safetensors"))[0].control_type == CANNY  # type: ignore[union-attr]


CASES: dict[str, tuple[tuple[str, ...], dict[str, Any], list[dict[str, Any]]]] = {
    "one": (("text",), {"controlnet_conditioning_scale": 0.8}, [{"weight": 0.8}]),
    "picture alone": (("picture alone",), {"controlnet_conditioning_scale": 1.0}, [{}]),
    "two, in parts of the steps": (
        ("text", "no positions"),
        {
            "controlnet_conditioning_scale": [0.9, 0.5],
            "control_guidance_start": [0.0, 0.3],
            "control_guidance_end": [0.5, 1.0],
        },
        [{"weight": 0.9, "end": 0.5}, {"weight": 0.5, "start": 0.3}],
    ),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.usefixtures("means")
def test_same_picture_of_sd3(
    case: str, sd3: tuple[StableDiffusion3Pipeline, Path], pictures: list[Image.Image], tmp_path: Path
) -> None:
    forms, theirs_options, ours_options = CASES[case]
    nets: Any = [make_control(tmp_path / f"net{i}", form, seed=i) for i, form in enumerate(forms)]
    many = len(nets) > 1
    parts = {
        name: part for name, part in sd3[0].components.items() if name not in ("image_encoder", "feature_extractor")
    }
    pipeline = StableDiffusion3ControlNetPipeline(**parts, controlnet=nets if many else nets[0])
    pipeline.set_progress_bar_config(disable=True)
    options: dict[str, Any] = {"width": 64, "height": 64}
    with torch.no_grad():
        theirs = pipeline(
            PROMPT,
            negative_prompt=NEGATIVE,
            control_image=pictures[: len(nets)] if many else pictures[0],
            num_inference_steps=4,
            guidance_scale=5.0,
            generator=torch.Generator().manual_seed(SEED),
            output_type="np",
            **options,
            **theirs_options,
        ).images[0]
    studio = Studio(sd3[1], precision="fp32", device="cpu")
    options = {"negative": NEGATIVE, "steps": 4, "guidance": 5.0, "seed": SEED, **options}
    controls = [
        Control(model=str(tmp_path / f"net{i}"), image=pictures[i], **own) for i, own in enumerate(ours_options)
    ]
    ours = studio.txt2img(PROMPT, controls=controls, **options)
    assert_same_picture(ours[0], theirs)
    plain = np.asarray(studio.txt2img(PROMPT, **options)[0], int)
    assert np.abs(plain - np.asarray(ours[0], int)).max() > 16


@torch.no_grad()
def test_what_does_not_fit_sd3(model: Model, tmp_path: Path, pictures: list[Image.Image]) -> None:
    def made(**options: Any) -> Path:
        sizes = {"sample_size": 16, "num_layers": 1, "attention_head_dim": 64, "num_attention_heads": 1}
        text = {"joint_attention_dim": 96, "caption_projection_dim": 64, "pooled_projection_dim": 80}
        folder = tmp_path / "-".join(options)
        SD3ControlNetModel(**{**sizes, **text, "pos_embed_max_size": 12, **options}).save_pretrained(folder)
        return folder / FILE

    for options, message in (
        ({"joint_attention_dim": 32}, r"for tokens of the text of width 32, and model .* has 96; give one made for"),
        ({"extra_conditioning_channels": 1}, r"for a picture of channels beside its latents: 1, and"),
        ({"num_attention_heads": 2, "caption_projection_dim": 128}, r"for tokens of the picture of width 128, and"),
    ):
        with pytest.raises(CheckpointError, match=message):
            load_control(made(**options), model)
    few = made(pos_embed_max_size=2).parent
    with pytest.raises(RequestError, match="knows positions up to 32 pixels a side, and the picture has 64"):
        Studio(model.path, precision="fp32", device="cpu").txt2img(
            "a", size="64x64", steps=1, controls=[Control(model=str(few), image=pictures[0])]
        )


def test_a_picture_is_not_looked_at(model: Model, pictures: list[Image.Image]) -> None:
    with pytest.raises(
        RequestError, match="like is given without like_model, and model has no U-Net: without an IP-Ada"
    ):
        Studio(model.path, precision="fp32", device="cpu").txt2img("a", steps=1, like=pictures[0])


@torch.no_grad()
def test_of_another_kind_of_network(sd1: tuple[Any, Path], tmp_path: Path) -> None:
    make_control(tmp_path, "text")
    unet = load_folder(sd1[1], dtype=torch.float32, device=torch.device("cpu"))
    with pytest.raises(CheckpointError, match=r"steers a transformer; model \(.*\) has none; give one made for"):
        load_control(tmp_path / FILE, unet)
