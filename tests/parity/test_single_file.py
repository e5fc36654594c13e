"""Our single files through diffusers' own single-file loader: the same tensors, the same pictures."""

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionPipeline

from sfumato import Studio
from sfumato.checkpoints.export import export
from sfumato.checkpoints.single import read_file
from tests.parity import measure

pytestmark = pytest.mark.parity

Pair = tuple[StableDiffusionPipeline, Path]
PROMPT = "a photograph of an astronaut riding a horse"


@pytest.mark.parametrize("form", ["sd1", "sd2"])
def test_diffusers_reads_what_we_write(form: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """With the folder beside it for configurations alone; every tensor comes out of the file."""
    pipeline, folder = request.getfixturevalue(form)
    file = export(folder, tmp_path / "model.safetensors")
    ours = read_file(file)
    theirs = (
        StableDiffusionPipeline.from_single_file(
            str(file), config=str(folder), local_files_only=True, safety_checker=None
        ),
        StableDiffusionPipeline.from_pretrained(  # type: ignore[no-untyped-call]
            export(file, tmp_path / "back"), local_files_only=True
        ),
    )
    assert theirs[1].scheduler.config.prediction_type == pipeline.scheduler.config.prediction_type
    for part in ("unet", "vae", "text_encoder"):
        original = getattr(pipeline, part).state_dict()
        for loaded in theirs:
            read = getattr(loaded, part).state_dict()
            assert original.keys() == read.keys()
            assert all(torch.equal(original[name], read[name]) for name in original)
        prefix = "" if part != "text_encoder" or next(iter(original)).startswith("text_model.") else "text_model."
        mine = ours.part(part)
        assert mine.keys() == {prefix + name for name in original}
        assert all(torch.equal(mine[prefix + name], original[name]) for name in original)


@pytest.mark.parametrize("form", ["sd1", "sd2"])
def test_the_same_picture_from_folder_and_file(form: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    pipeline, folder = request.getfixturevalue(form)
    file = export(folder, tmp_path / "model.safetensors")
    options: dict[str, Any] = {"negative": "blurry", "steps": 5, "guidance": 7.5, "seed": 7}
    pictures = [Studio(path, precision="fp32", device="cpu").txt2img(PROMPT, **options)[0] for path in (folder, file)]
    assert pictures[0].tobytes() == pictures[1].tobytes()
    with torch.no_grad():
        theirs = pipeline(
            PROMPT,
            negative_prompt="blurry",
            num_inference_steps=5,
            guidance_scale=7.5,
            generator=torch.Generator().manual_seed(7),
            output_type="np",
        ).images[0]
    measure.assert_same_picture(pictures[1], theirs)
