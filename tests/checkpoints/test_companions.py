"""Checkpoints that lack a part, with the files that have it: the same model as the whole."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from sfumato import Studio
from sfumato.checkpoints.detect import detect
from sfumato.checkpoints.export import export
from sfumato.checkpoints.folder import read_folder
from sfumato.checkpoints.header import METADATA
from sfumato.checkpoints.inspect import inspect
from sfumato.checkpoints.lacking import given
from sfumato.checkpoints.parts import Parts
from sfumato.checkpoints.single import describe, read_file
from sfumato.checkpoints.tensors import read_header
from sfumato.errors import CheckpointError

State = dict[str, Tensor]
UNET, VAE, TEXT = "model.diffusion_model.", "first_stage_model.", "cond_stage_model.transformer."


@pytest.fixture(scope="module")
def plain(single: Path, tmp_path_factory: pytest.TempPathFactory) -> State:
    return load_file(single)


@pytest.fixture(scope="module")
def metadata(single: Path) -> dict[str, str]:
    stated: dict[str, str] = read_header(single)["__metadata__"]
    return stated


def without_prefix(state: State, prefix: str) -> State:
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def same(parts: Parts, state: State) -> bool:
    return parts.state.keys() == state.keys() and all(torch.equal(parts.state[k], v) for k, v in state.items())


def flattened(state: State) -> State:
    """As `LitEma` names the average: the dots of the U-Net's names are gone."""
    average = {f"model_ema.{name.removeprefix('model.').replace('.', '')}": value for name, value in state.items()}
    return {**average, "model_ema.decay": torch.ones(()), "model_ema.num_updates": torch.ones((), dtype=torch.int32)}


FORMS: dict[str, Callable[[State], State]] = {
    "no autoencoder": lambda s: {k: v for k, v in s.items() if not k.startswith(VAE)},
    "no text encoder": lambda s: {k: v for k, v in s.items() if not k.startswith(TEXT)},
    "a U-Net under its prefix": lambda s: {k: v for k, v in s.items() if k.startswith(UNET)},
    "a bare U-Net": lambda s: without_prefix(s, UNET),
    "an average alone": lambda s: (
        {k: v for k, v in s.items() if not k.startswith(UNET)}
        | flattened({k: v for k, v in s.items() if k.startswith(UNET)})
    ),
}


@pytest.mark.parametrize("given", ["given", "found beside it"])
@pytest.mark.parametrize("form", FORMS)
def test_the_whole_of_its_parts(
    form: str, given: str, plain: State, metadata: dict[str, str], single: Path, tmp_path: Path
) -> None:
    file, vae, text = (tmp_path / f"{name}.safetensors" for name in ("net", "vae", "text"))
    save_file(FORMS[form](plain), file, metadata=metadata)
    save_file(without_prefix(plain, VAE), vae)
    if given == "found beside it":
        (tmp_path / "text_encoders").mkdir()
        text = tmp_path / "text_encoders" / "clip_l.safetensors"
    save_file(without_prefix(plain, TEXT), text)
    parts = read_file(file, vae=vae, text_encoders=[text] if given == "given" else [])
    assert same(parts, read_file(single).state)


def test_an_autoencoder_out_of_a_folder(folder: Path, plain: State, metadata: dict[str, str], tmp_path: Path) -> None:
    save_file(FORMS["no autoencoder"](plain), tmp_path / "net.safetensors", metadata=metadata)
    vae = folder / "vae" / "diffusion_pytorch_model.safetensors"
    assert same(read_file(tmp_path / "net.safetensors", vae=vae), read_folder(folder).state)
    whole = export(tmp_path / "net.safetensors", tmp_path / "whole.safetensors", vae=vae)
    assert same(read_file(whole), read_folder(folder).state)


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ("no autoencoder", "is a U-Net without its autoencoder; give an autoencoder with --vae"),
        ("no text encoder", "is a U-Net without its text encoders, whose tokens are 16 wide; put"),
        ("a bare U-Net", "is a U-Net without its autoencoder and text encoders"),
    ],
)
def test_what_is_missing_is_said(form: str, message: str, plain: State, tmp_path: Path) -> None:
    file = tmp_path / "net.safetensors"
    save_file(FORMS[form](plain), file)
    with pytest.raises(CheckpointError, match=message):
        read_file(file)
    assert re.search(message, inspect(file).verdict)


def test_a_text_encoder_of_another_width(plain: State, tmp_path: Path) -> None:
    save_file(FORMS["no text encoder"](plain), tmp_path / "net.safetensors")
    text = {name: torch.zeros(49408, 24) if "token_embedding" in name else v for name, v in plain.items()}
    save_file(without_prefix(text, TEXT), tmp_path / "text.safetensors")
    with pytest.raises(CheckpointError, match="16 wide; those at hand make 24"):
        read_file(tmp_path / "net.safetensors", text_encoders=[tmp_path / "text.safetensors"])


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (["down_blocks.0.motion_modules.0.temporal_transformer.norm.weight"], "a motion module of AnimateDiff"),
        (["image_proj.proj.weight", "ip_adapter.1.to_k_ip.weight"], "an IP-Adapter"),
        (["768.0.linear.0.weight"], "a hypernetwork"),
        (["model.1.sub.0.RDB1.conv1.0.weight", "model.0.weight"], "an upscaler of pictures"),
        (["conv_in.weight", "body.0.block1.weight", "body.1.in_conv.weight"], "a T2I-Adapter"),
        (["adapter.conv_in.weight", "adapter.body.0.resnets.0.block1.weight"], "a T2I-Adapter"),
        (["params_ema.conv_first.weight", "params_ema.body.0.rdb1.conv1.weight"], "an upscaler of pictures"),
        (["decoder_unet.down_blocks.0.resnets.0.conv1.weight"], "a consistency decoder"),
        (["vision_model.encoder.layers.0.mlp.fc1.weight"], "an image encoder of CLIP"),
        (["encoder.block.0.layer.0.SelfAttention.q.weight", "shared.weight"], r"a text encoder \(T5\)"),
        (["down_blocks.0.resnets.0.conv1.weight"], "a U-Net out of a diffusers folder"),
        (["transformer_blocks.0.attn.to_q.weight"], "a transformer out of a diffusers folder"),
        (["double_blocks.0.img_attn.qkv.weight"], "a checkpoint of FLUX"),
        (["noise_augmentor.betas", UNET + "input_blocks.0.0.weight"], "a checkpoint of Stable unCLIP"),
        (
            [UNET + "label_emb.weight", UNET + "input_blocks.0.0.weight"],
            "a checkpoint of Stable Diffusion's x4 upscaler",
        ),
        (["what.is.this"], "of no kind that is known here"),
    ],
)
def test_networks_of_other_kinds_are_named(names: list[str], kind: str) -> None:
    assert re.match(kind, describe(detect(dict.fromkeys(names, (4, 4)), {}, "a file")))


def test_a_label_of_no_family_is_refused(single: Path, plain: State, metadata: dict[str, str], tmp_path: Path) -> None:
    """The layout of Stable unCLIP without what only that has."""
    label = {
        f"{UNET}label_emb.0.0.weight": torch.zeros(64, 40),
        f"{UNET}label_emb.0.0.bias": torch.zeros(64),
        f"{UNET}label_emb.0.2.weight": torch.zeros(64, 64),
        f"{UNET}label_emb.0.2.bias": torch.zeros(64),
    }
    save_file(plain | label, tmp_path / "a.safetensors", metadata=metadata)
    with pytest.raises(CheckpointError, match=r"takes a label 40 wide.*is it Stable unCLIP"):
        read_file(tmp_path / "a.safetensors")


def test_a_hypernetwork_is_known_by_its_lists(tmp_path: Path) -> None:
    layer = {"linear.0.weight": torch.ones(2, 2), "linear.0.bias": torch.ones(2)}
    torch.save({"step": 5, 768: (layer, dict(layer))}, tmp_path / "style.pt")
    assert inspect(tmp_path / "style.pt").verdict.startswith("a hypernetwork")


def test_a_studio_paints_with_the_autoencoder_that_a_checkpoint_lacks(
    plain: State, metadata: dict[str, str], single: Path, tmp_path: Path
) -> None:
    net, vae = tmp_path / "net.safetensors", tmp_path / "vae.safetensors"
    save_file(FORMS["no autoencoder"](plain), net, metadata=metadata)
    stated = json.dumps({"vae": json.loads(metadata[METADATA])["vae"]})
    save_file(without_prefix(plain, VAE), vae, metadata={METADATA: stated})
    studio = Studio(net, device="cpu", precision="fp32")
    painted = studio.txt2img("a fox", steps=2, seed=1, vae=str(vae))[0]
    whole = Studio(single, device="cpu", precision="fp32").txt2img("a fox", steps=2, seed=1)[0]
    assert painted.tobytes() == whole.tobytes()
    with pytest.raises(CheckpointError, match="without its autoencoder"):
        studio.txt2img("a fox", steps=2, seed=1)


def test_damaged_positions_are_said(plain: State, metadata: dict[str, str], tmp_path: Path) -> None:
    name = f"{TEXT}text_model.embeddings.position_ids"
    for number, places in enumerate((torch.arange(77), torch.arange(77).half() * 1.01)):
        save_file(plain | {name: places[None].contiguous()}, tmp_path / "a.safetensors", metadata=metadata)
        report = inspect(tmp_path / "a.safetensors")
        assert (report.good, "position_ids" in report.verdict) == (True, bool(number))
        (tmp_path / "a.safetensors").unlink()


# ------------------------------------------------------------------------------------------------------- folders


def without(folder: Path, copy: Path, *parts: str) -> Path:
    """The folder without parts of it."""
    return shutil.copytree(folder, copy, ignore=lambda place, names: parts if Path(place) == folder else ())


@pytest.mark.parametrize("form", ["diffusers", "in one file"])
@pytest.mark.parametrize("gone", [["vae"], ["text_encoder"], ["text_encoder", "tokenizer", "vae"]])
def test_a_folder_is_the_whole_with_the_part_that_it_lacks(
    gone: list[str], form: str, folder: Path, plain: State, metadata: dict[str, str], tmp_path: Path
) -> None:
    bare = without(folder, tmp_path / "bare", *gone)
    vae, text = folder / "vae" / "diffusion_pytorch_model.safetensors", folder / "text_encoder" / "model.safetensors"
    if form == "in one file":
        vae, text = tmp_path / "vae.safetensors", tmp_path / "clip_l.safetensors"
        save_file(without_prefix(plain, VAE), vae, metadata=metadata)  # which shapes do not tell at this size
        save_file(without_prefix(plain, TEXT), text)
    texts = [text] if "text_encoder" in gone else []
    found = read_folder(bare, given=given(bare, vae=vae, text_encoders=texts))
    whole = read_folder(folder)
    assert same(found, whole.state)
    if form == "diffusers":
        assert found.configs == whole.configs
        [ours], [theirs] = found.tokenizers.values(), whole.tokenizers.values()
        assert ours(["a red fox"]).equal(theirs(["a red fox"]))
    with pytest.raises(
        CheckpointError, match=re.escape(f"{bare} lacks its {gone[-1]}; copy the whole folder, or give")
    ):
        read_folder(bare)
    if gone == ["vae"]:
        assert same(read_folder(export(bare, tmp_path / "whole", vae=vae)), whole.state)


def test_a_studio_paints_with_what_a_folder_lacks(folder: Path, tmp_path: Path) -> None:
    bare = without(folder, tmp_path / "bare", "vae", "text_encoder")
    index = bare / "model_index.json"
    index.write_text(json.dumps({**json.loads(index.read_text()), "text_encoder": [None, None]}))
    more = {"vae": str(folder / "vae"), "text_encoders": [str(folder / "text_encoder" / "model.safetensors")]}
    options: dict[str, Any] = {"steps": 1, "seed": 1, "width": 16, "height": 16}
    studios = Studio(bare, device="cpu", precision="fp32"), Studio(folder, device="cpu", precision="fp32")
    ours, plain = studios[0].txt2img("a fox", **options, **more), studios[1].txt2img("a fox", **options)
    assert ours[0].tobytes() == plain[0].tobytes()
    with pytest.raises(CheckpointError, match="lacks no text encoder, and is given 1; leave out what it has"):
        studios[1].txt2img("a fox", **options, text_encoders=more["text_encoders"])
