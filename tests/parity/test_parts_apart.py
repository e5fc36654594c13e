"""Single files whose parts lie apart, and forms of SDXL that a mark in the file tells: against diffusers' folders."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import EDMDPMSolverMultistepScheduler, EDMEulerScheduler, StableDiffusionXLPipeline
from safetensors.torch import load_file, save_file

from sfumato import Studio
from sfumato.checkpoints.export import export
from sfumato.checkpoints.folder import read_folder
from sfumato.checkpoints.header import METADATA
from sfumato.checkpoints.lacking import given
from sfumato.checkpoints.single import read_file
from sfumato.checkpoints.tensors import read_header
from tests.parity.measure import assert_same_picture
from tests.parity.test_sdxl import NEGATIVE, PROMPT, SEED, parts, saved, unet

pytestmark = pytest.mark.parity

UNET, VAE = "model.diffusion_model.", "first_stage_model."


def stated(file: Path, *, scheduler: bool = True) -> dict[str, str]:
    metadata: dict[str, str] = read_header(file)["__metadata__"]
    ours = json.loads(metadata[METADATA])
    if not scheduler:
        del ours["scheduler"]
    return {METADATA: json.dumps(ours)}


@pytest.mark.parametrize("form", ["sd1", "sd2", "sdxl"])
def test_a_unet_with_the_parts_of_a_folder(form: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Text encoders as transformers names them, into the layout of OpenCLIP where the family has that."""
    _, folder = request.getfixturevalue(form)
    whole = export(folder, tmp_path / "whole.safetensors")
    bare = {name.removeprefix(UNET): value for name, value in load_file(whole).items() if name.startswith(UNET)}
    save_file(bare, tmp_path / "unet.safetensors", metadata=stated(whole))
    texts = sorted(folder.glob("text_encoder*/model.safetensors"), reverse=True)
    vae = folder / "vae" / "diffusion_pytorch_model.safetensors"
    joined, once = read_file(tmp_path / "unet.safetensors", vae=vae, text_encoders=texts), read_file(whole)
    assert joined.state.keys() == once.state.keys()
    assert all(torch.equal(joined.state[name], value) for name, value in once.state.items())
    assert joined.configs == once.configs


MEAN, STD = (-1.6, 1.0, 2.6, -0.2), (8.4, 5.9, 5.3, 6.2)


def edm(form: str, folder: Path) -> tuple[Any, Path, dict[str, torch.Tensor]]:
    """diffusers' pipeline, its folder, and the marks that its single file has."""
    torch.manual_seed(0)
    if form == "CosXL":
        scheduler: Any = EDMEulerScheduler(
            sigma_min=0.002,
            sigma_max=120.0,
            sigma_data=1.0,
            sigma_schedule="exponential",
            prediction_type="v_prediction",
        )
        marks = {"edm_vpred.sigma_max": torch.tensor(120.0), "edm_vpred.sigma_min": torch.tensor(0.002)}
    else:
        scheduler = EDMDPMSolverMultistepScheduler(sigma_min=0.002, sigma_max=80.0, sigma_data=0.5)
        marks = {"edm_mean": torch.tensor(MEAN).view(1, 4, 1, 1), "edm_std": torch.tensor(STD).view(1, 4, 1, 1)}
    made = parts(unet(), scheduler)
    if form != "CosXL":
        made["vae"].register_to_config(scaling_factor=0.5, latents_mean=list(MEAN), latents_std=list(STD))
    pipeline, path = saved(StableDiffusionXLPipeline(**made, add_watermarker=False), folder)
    return pipeline, path, marks


@pytest.mark.parametrize("form", ["CosXL", pytest.param("Playground v2.5", marks=pytest.mark.slow)])
def test_same_picture_of_edm_models(form: str, tmp_path: Path) -> None:
    pipeline, folder, marks = edm(form, tmp_path)
    with torch.no_grad():
        theirs = pipeline(
            PROMPT,
            negative_prompt=NEGATIVE,
            num_inference_steps=4,
            guidance_scale=5.0,
            generator=torch.Generator().manual_seed(SEED),
            output_type="np",
        ).images[0]
    whole = export(folder, tmp_path / "whole.safetensors")
    marked = tmp_path / "marked.safetensors"
    save_file(load_file(whole) | marks, marked, metadata=stated(whole, scheduler=False))
    for path in (folder, whole, marked):
        studio = Studio(path, precision="fp32", device="cpu")
        ours = studio.txt2img(PROMPT, negative=NEGATIVE, steps=4, guidance=5.0, seed=SEED)
        assert_same_picture(np.asarray(ours.images[0], dtype=np.float32) / 255, theirs)


@pytest.mark.parametrize("form", ["sd1", "sd2", "sdxl", "sd3"])
def test_a_folder_with_parts_of_others(form: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Without its autoencoder and text encoders, which come by themselves as the files of their folders."""
    _, folder = request.getfixturevalue(form)
    gone = [path.name for path in folder.iterdir() if path.name == "vae" or path.name.startswith("text_encoder")]
    bare = shutil.copytree(folder, tmp_path / "bare", ignore=lambda place, _: gone if Path(place) == folder else [])
    texts = sorted((folder / name / "model.safetensors" for name in gone if name != "vae"), reverse=True)
    vae = folder / "vae" / "diffusion_pytorch_model.safetensors"
    found, whole = read_folder(bare, given=given(bare, vae=vae, text_encoders=texts)), read_folder(folder)
    assert found.configs == whole.configs
    assert found.state.keys() == whole.state.keys()
    assert all(torch.equal(found.state[name], value) for name, value in whole.state.items())
