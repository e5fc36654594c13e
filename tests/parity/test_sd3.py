"""Whole Stable Diffusion 3 pictures: diffusers' pipeline against ours from the same folder, seed and scheduler."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, StableDiffusion3Pipeline

from sfumato import Studio
from sfumato.checkpoints.folder import load_folder, read_folder
from sfumato.checkpoints.scheduler import read_scheduler
from sfumato.errors import CheckpointError, RequestError
from sfumato.families import FAMILIES, family_of
from sfumato.model import Model
from sfumato.models.mmdit import MMDiTConfig
from sfumato.prompts.t5 import T5Part
from sfumato.requests import Txt2Img
from sfumato.tasks.session import resolve
from tests.parity import measure
from tests.parity.sd3 import make_sd3

pytestmark = pytest.mark.parity

PROMPT, NEGATIVE, SEED = "a photo of a red fox in the snow", "houses, words", 7
Pair = tuple[StableDiffusion3Pipeline, Path]
FORMS: dict[str, dict[str, Any]] = {"3": {}, "3.5-medium": {"form": "3.5-medium"}, "without-t5": {"with_t5": False}}


@pytest.fixture(scope="module", params=FORMS)
def form(request: pytest.FixtureRequest, sd3: Pair, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    if request.param == "3":
        return sd3
    folder = tmp_path_factory.mktemp(request.param)
    return make_sd3(folder, **FORMS[request.param]), folder / "model"


@pytest.fixture(scope="module")
def model(form: Pair) -> Model:
    return load_folder(form[1], dtype=torch.float32, device=torch.device("cpu"))


def assert_same_picture(pipeline: StableDiffusion3Pipeline, model: Path, **options: Any) -> None:
    """Within 2/255 a pixel; a change of any of the three encoders' words is far more."""
    sides = {name: options[name] for name in ("width", "height") if name in options}
    with torch.no_grad():
        theirs = pipeline(
            PROMPT,
            negative_prompt=NEGATIVE,
            num_inference_steps=4,
            guidance_scale=5.0,
            generator=torch.Generator().manual_seed(SEED),
            output_type="np",
            **sides,
        ).images[0]
    result = Studio(model, precision="fp32", device="cpu").txt2img(
        PROMPT, negative=NEGATIVE, steps=4, guidance=5.0, seed=SEED, **sides
    )
    measure.assert_same_picture(result.images[0], theirs)


def test_same_picture(form: Pair) -> None:
    assert_same_picture(*form)


def test_same_picture_of_another_shape_and_shift(sd3: Pair, tmp_path: Path) -> None:
    pipeline, folder = sd3
    scheduler = FlowMatchEulerDiscreteScheduler(shift=1.7)
    shutil.copytree(folder, tmp_path / "model")
    scheduler.save_config(tmp_path / "model" / "scheduler")
    other = StableDiffusion3Pipeline(**{**pipeline.components, "scheduler": scheduler})
    other.set_progress_bar_config(disable=True)
    assert_same_picture(other, tmp_path / "model", width=48, height=80)


def test_same_picture_by_skipping_layers(tmp_path: Path) -> None:
    """Those of diffusers' own example, in steps 1 and 2 of 12; the picture is another without."""
    pipeline = make_sd3(tmp_path, "3.5-medium", layers=11)
    options: dict[str, Any] = {"num_inference_steps": 12, "guidance_scale": 5.0, "output_type": "np"}
    with torch.no_grad():
        theirs = pipeline(
            PROMPT,
            negative_prompt=NEGATIVE,
            generator=torch.Generator().manual_seed(SEED),
            skip_guidance_layers=[7, 8, 9],
            **options,
        ).images[0]
    studio = Studio(tmp_path / "model", precision="fp32", device="cpu")
    ours, plain = (
        studio.txt2img(PROMPT, negative=NEGATIVE, steps=12, guidance=5.0, seed=SEED, slg=strength).images[0]
        for strength in (2.8, 0.0)
    )
    measure.assert_same_picture(ours, theirs)
    assert np.abs(np.asarray(ours, float) - np.asarray(plain, float)).max() > 8


@torch.no_grad()
def test_conditions(form: Pair, model: Model) -> None:
    """Tokens and pooled vectors of a prompt and of none; an empty prompt is encoded, not zeros."""
    assert not model.zero_empty
    theirs = form[0].encode_prompt(PROMPT, None, None, negative_prompt="")
    for text, tokens, pooled in ((PROMPT, theirs[0], theirs[2]), ("", theirs[1], theirs[3])):
        ours = model.encode_text([text])
        assert ours.pooled is not None
        assert float((ours.tokens - tokens).norm() / tokens.norm()) < 1e-4
        assert float((ours.pooled - pooled).norm() / pooled.norm()) < 1e-4


def test_the_model_tells_its_kind(form: Pair, model: Model) -> None:
    dual = bool(form[0].transformer.config.dual_attention_layers)
    assert model.family.name == ("sd3.5-medium" if dual else "sd3")
    assert (model.size, model.grain, model.largest) == ((64, 64), 16, 192)
    assert [type(part) is T5Part for part in model.texts.values()] == [False, False, True][: len(model.texts)]
    assert set(model.components) == {"transformer", *model.texts}
    assert (model.micro_conditioning, model.guidance_embedding, model.task) == (0, False, None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 72}, "width is 72; .* multiples of 16, for example 64"),
        ({"height": 208}, "height is 208; .* up to 192"),
        ({"clip_skip": 3}, "clip_skip is 3"),
        ({"original_size": (64, 64)}, "has no original_size conditioning"),
    ],
)
def test_requests_that_do_not_fit(options: dict[str, Any], message: str, model: Model) -> None:
    with pytest.raises(RequestError, match=message):
        resolve(model, Txt2Img(prompt=PROMPT, **options))
    exact = resolve(model, Txt2Img(prompt=PROMPT))
    assert (exact.width, exact.height) == (64, 64)


@pytest.mark.parametrize(
    ("name", "steps", "guidance"),
    [("sd3", 28, 7.0), ("sd3.5-medium", 40, 4.5), ("sd3.5-large", 28, 3.5), ("sd3.5-large-turbo", 4, 1.0)],
)
def test_published_families(name: str, steps: int, guidance: float) -> None:
    """Each is known by its own configuration, of whatever size, and read by its own scheduler."""
    row = next(family for family in FAMILIES if family.name == name)
    assert (row.steps, row.guidance, row.zero_empty, row.pipeline) == (steps, guidance, False, "StableDiffusion3")
    assert isinstance(row.network, MMDiTConfig)
    assert family_of(replace(row.network, num_layers=3), row.texts, row.scheduler, named=name) is row
    sampling = read_scheduler(row.scheduler)
    theirs = FlowMatchEulerDiscreteScheduler(shift=3.0)
    theirs.set_timesteps(steps)
    assert (sampling.sampler, sampling.parameterisation.name) == ("euler", "flow")
    assert torch.allclose(sampling.sigmas(steps, None), theirs.sigmas, atol=1e-6)
    assert sum(config.projection_dim for config in row.texts.values()) == row.network.pooled_projection_dim


def damaged(folder: Path, target: Path, part: str, **values: object) -> Path:
    """The model with other values in a part's configuration."""
    shutil.copytree(folder, target)
    path = target / part / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))
    return target


@pytest.mark.parametrize(
    ("part", "values", "message"),
    [
        ("transformer", {"joint_attention_dim": 64}, "tokens of 64 and a pooled vector of 80"),
        ("transformer", {"pooled_projection_dim": 32}, "tokens of 96 and a pooled vector of 32"),
        ("transformer", {"caption_projection_dim": 32}, "describes no network"),
        ("transformer", {"qk_norm": "layer_norm"}, "qk_norm='layer_norm' is not supported"),
        ("transformer", {"out_channels": 4}, "paints 4 channels"),
        ("transformer", {"num_layers": 3}, "tensors are missing"),
        ("text_encoder", {"architectures": ["CLIPTextModel"]}, "two projected CLIP encoders"),
        ("text_encoder_3", {"vocab_size": 100}, "T5 reads 100 tokens"),
        ("text_encoder_3", {"feed_forward_proj": "relu"}, "feed_forward_proj='relu' is not supported"),
    ],
)
def test_bad_folders(part: str, values: dict[str, object], message: str, sd3: Pair, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=message):
        read_folder(damaged(sd3[1], tmp_path / "model", part, **values))
