"""Single files: exact both ways, strict, self-sufficient, and written whole or not at all."""

import contextlib
import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from sfumato import Studio
from sfumato.checkpoints.export import export
from sfumato.checkpoints.folder import load_folder, read_folder
from sfumato.checkpoints.inspect import inspect
from sfumato.checkpoints.save import DTYPES, save_index, save_part, write_tensors
from sfumato.checkpoints.single import load_single, read_file
from sfumato.checkpoints.tensors import read_header
from sfumato.checkpoints.yaml_beside import prediction_beside
from sfumato.cli import main
from sfumato.errors import CheckpointError, OutputError, RequestError
from sfumato.models.autoencoder_kl import AutoencoderKL, AutoencoderKLConfig
from sfumato.models.clip import CLIPTextConfig, CLIPTextEncoder
from sfumato.models.unet import UNet, UNetConfig
from tests.conftest import DDIM

State = dict[str, torch.Tensor]
CPU = torch.device("cpu")
UNET, VAE, TEXT = "model.diffusion_model.", "first_stage_model.", "cond_stage_model.transformer.text_model."


def same(a: State, b: State) -> bool:
    return a.keys() == b.keys() and all(a[k].dtype == b[k].dtype and torch.equal(a[k], b[k]) for k in a)


def changed(single: Path, target: Path, change: Callable[[State], object]) -> Path:
    """The file with its tensors changed and its metadata kept."""
    state = load_file(single)
    change(state)
    save_file(state, target, metadata=read_header(single)["__metadata__"])
    return target


# ------------------------------------------------------------------------------------------------------- both ways


def test_folder_to_file_and_back(folder: Path, single: Path, tmp_path: Path) -> None:
    before, there = read_folder(folder), read_file(single)
    back = read_folder(export(single, tmp_path / "back"))
    for parts in (there, back):
        assert same(parts.state, before.state)
        assert parts.configs == before.configs
        assert parts.scheduler == before.scheduler
        assert parts.tokenizers == before.tokenizers


def test_file_to_folder_and_back(single: Path, tmp_path: Path) -> None:
    again = export(export(single, tmp_path / "little"), tmp_path / "again.safetensors")
    assert again.read_bytes() == export(single, tmp_path / "little.safetensors").read_bytes()
    assert same(load_file(again), load_file(single))


def test_the_file_paints_what_the_folder_paints(folder: Path, single: Path) -> None:
    pictures = [
        Studio(path, device="cpu", precision="fp32").txt2img("a red fox", seed=3, steps=3)[0].tobytes()
        for path in (folder, single)
    ]
    assert pictures[0] == pictures[1]


def test_shapes_are_enough_for_the_form_of_stable_diffusion_1(folder: Path, tmp_path: Path) -> None:
    """A pickled file, which has no metadata, of a model with the family's 8 heads and 32 groups."""
    plain = tmp_path / "plain"
    shutil.copytree(folder, plain)
    torch.manual_seed(1)
    unet = UNetConfig(
        block_out_channels=(32, 64, 64),
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        layers_per_block=1,
        cross_attention_dim=64,
    )
    vae = AutoencoderKLConfig(
        block_out_channels=(32, 64),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        layers_per_block=1,
    )
    text = CLIPTextConfig(
        hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=1, projection_dim=64
    )
    save_part(plain, "unet", UNet(unet), unet, torch.float32)
    save_part(plain, "vae", AutoencoderKL(vae), vae, torch.float32)
    save_part(plain, "text_encoder", CLIPTextEncoder(text), text, torch.float32)
    index = {"unet": UNetConfig, "vae": AutoencoderKLConfig, "text_encoder": CLIPTextConfig}
    pndm = {"_class_name": "PNDMScheduler", "skip_prk_steps": True}
    save_index(plain, index, {**DDIM, **pndm})
    file = export(plain, tmp_path / "plain.safetensors")
    torch.save({"state_dict": load_file(file), "global_step": 1}, tmp_path / "plain.ckpt")
    parts = read_file(tmp_path / "plain.ckpt")
    assert parts.configs == {"unet": unet, "vae": vae, "text_encoder": text}
    pictures = [
        Studio(path, device="cpu", precision="fp32").txt2img("a fox", seed=3, steps=3, width=16, height=16)[0]
        for path in (plain, file, tmp_path / "plain.ckpt")
    ]
    assert pictures[0].tobytes() == pictures[1].tobytes() == pictures[2].tobytes()


def test_a_form_that_shapes_do_not_tell_is_refused(single: Path, tmp_path: Path) -> None:
    save_file(load_file(single), tmp_path / "a.safetensors")
    with pytest.raises(CheckpointError, match="16 channels for 8 heads and 32 groups"):
        load_single(tmp_path / "a.safetensors", dtype=torch.float32, device=CPU)


def test_the_command_line(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "new" / "a.safetensors"
    assert main(["convert", str(folder), str(file), "--precision", "bf16"]) == 0
    assert capsys.readouterr().out == f"{file}\n"
    assert main(["inspect", str(file), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["verdict"] == "a checkpoint of custom that loads"
    assert facts["precision"] == {"BF16": facts["tensors"]}
    assert facts["matched"] == facts["tensors"]
    assert main(["convert", str(file), str(tmp_path / "back")]) == 0
    assert same(read_folder(tmp_path / "back").state, read_file(file).state)
    capsys.readouterr()
    assert main(["convert", str(file), str(file)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "dtype"), [("fp16", torch.float16), ("bf16", torch.bfloat16), ("fp32", torch.float32)]
)
def test_precisions(name: str, dtype: torch.dtype, folder: Path, tmp_path: Path) -> None:
    file = export(folder, tmp_path / "a.safetensors", precision=name)  # type: ignore[arg-type]
    stored, original = read_file(file).state, read_folder(folder).state
    assert same(stored, {key: tensor.to(dtype) for key, tensor in original.items()})
    assert inspect(file).precision == {DTYPES[dtype]: len(stored)}
    back = read_folder(export(file, tmp_path / "back", precision="fp32")).state
    assert same(back, {key: tensor.float() for key, tensor in stored.items()})


def test_one_byte_floats_are_read(single: Path, tmp_path: Path) -> None:
    eight = changed(
        single,
        tmp_path / "a.safetensors",
        lambda state: state.update({k: v.to(torch.float8_e4m3fn) for k, v in state.items()}),
    )
    assert load_single(eight, dtype=torch.float32, device=CPU).network.conv_in.weight.dtype == torch.float32


def test_modelspec(single: Path) -> None:
    with safe_open(single, framework="pt") as file:
        metadata = file.metadata()
    assert metadata["modelspec.sai_model_spec"] == "1.0.1"
    assert metadata["modelspec.architecture"] == "stable-diffusion-v1"
    assert metadata["modelspec.title"] == "little"
    assert metadata["modelspec.resolution"] == "16x16"
    assert metadata["modelspec.prediction_type"] == "epsilon"
    raw = single.read_bytes()
    data = raw[8 + int.from_bytes(raw[:8], "little") :]
    assert metadata["modelspec.hash_sha256"] == "0x" + hashlib.sha256(data).hexdigest()
    assert (len(raw) - len(data)) % 8 == 0


@pytest.mark.parametrize(
    ("text", "prediction", "warning"),
    [
        ("model:\n  params:\n    parameterization: v\n", "v_prediction", ""),
        ("model:\n  params:\n    parameterization: eps\n", "epsilon", ""),
        ("model:\n  params:\n    linear_start: 0.00085\n", "epsilon", ""),
        ("model:\n  params:\n    parameterization: x0\n", "epsilon", "'x0', which is not known; known: v, eps"),
        ("model: [\n", "epsilon", "is not read"),
        ("- 1\n", "epsilon", ""),
    ],
)
def test_the_configuration_beside_a_file_says_what_it_predicts(
    single: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str, prediction: str, warning: str
) -> None:
    file = tmp_path / "fluff.safetensors"
    shutil.copyfile(single, file)
    file.with_suffix(".yaml").write_text(text, encoding="utf-8")
    assert load_single(file, dtype=torch.float32, device=CPU).sampling.parameterisation.name == prediction
    assert inspect(file).prediction == prediction
    assert warning in caplog.text
    assert bool(warning) == bool(caplog.records)


def test_a_configuration_that_contradicts_the_file_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "a.safetensors"
    file.with_suffix(".yaml").write_text("model: {params: {parameterization: eps}}", encoding="utf-8")
    assert prediction_beside(file, {"v_pred"}) is None
    assert "itself predicts v" in caplog.text


def test_prediction_can_be_said(single: Path, tmp_path: Path) -> None:
    file = export(single, tmp_path / "v.safetensors", prediction="v")
    assert load_single(file, dtype=torch.float32, device=CPU).sampling.parameterisation.name == "v_prediction"
    assert load_single(single, dtype=torch.float32, device=CPU).sampling.parameterisation.name == "epsilon"
    folder = export(file, tmp_path / "folder", prediction="epsilon")
    assert load_folder(folder, dtype=torch.float32, device=CPU).sampling.parameterisation.name == "epsilon"


def test_the_penultimate_layer_is_the_last_we_keep(folder: Path, tmp_path: Path) -> None:
    """A model with OpenCLIP's text encoder, and its file as published: 24 layers and a projection."""
    deep = tmp_path / "deep"
    shutil.copytree(folder, deep)
    config = json.loads((deep / "text_encoder/config.json").read_text())
    (deep / "text_encoder/config.json").write_text(
        json.dumps({**config, "hidden_act": "gelu", "num_hidden_layers": 23})
    )
    weights = deep / "text_encoder/model.safetensors"
    state = load_file(weights)
    layer = {k.split(".layers.0.")[1]: v for k, v in state.items() if ".layers.0." in k}
    for i in range(2, 23):
        state |= {f"text_model.encoder.layers.{i}.{k}": v + i / 100 for k, v in layer.items()}
    save_file(state, weights)
    file = export(deep, tmp_path / "deep.safetensors")
    prefix = "cond_stage_model.model."
    written = load_file(file)
    assert written[prefix + "transformer.resblocks.22.attn.in_proj_weight"].shape == (48, 16)
    extra = {k.replace(".22.", ".23."): v * 2 for k, v in written.items() if ".resblocks.22." in k}
    extra |= {prefix + "text_projection": torch.ones(16, 16), prefix + "logit_scale": torch.ones(())}
    full = changed(file, tmp_path / "full.safetensors", lambda s: s.update(extra))
    assert same(read_file(full).state, read_folder(deep).state)
    assert sum(inspect(full).ignored.values()) == 14


# ---------------------------------------------------------------------------------------------------- autoencoders


@pytest.mark.parametrize(("prefix", "linear"), [("", False), (VAE, True)])
def test_an_autoencoder_in_a_file_of_its_own(
    prefix: str, linear: bool, folder: Path, single: Path, tmp_path: Path
) -> None:
    parts = {k.removeprefix(VAE): v for k, v in load_file(single).items() if k.startswith(VAE)}
    parts = {k: v[:, :, 0, 0] if linear and "attn_1" in k and v.ndim == 4 else v for k, v in parts.items()}
    parts = {k: (v + 1 if k == "decoder.conv_out.bias" else v).contiguous() for k, v in parts.items()}
    parts["loss.logvar"] = torch.zeros(())
    file = tmp_path / "vae.safetensors"
    stated = json.dumps({"vae": json.loads(read_header(single)["__metadata__"]["sfumato.parts"])["vae"]})
    save_file({prefix + k: v for k, v in parts.items()}, file, metadata={"sfumato.parts": stated})
    report = inspect(file)
    assert (report.kind, report.good, report.unexpected) == ("vae", True, 0)
    swapped = read_folder(export(folder, tmp_path / "swapped", vae=file))
    assert torch.equal(swapped.part("vae")["decoder.conv_out.bias"], parts["decoder.conv_out.bias"])
    assert same(swapped.part("unet"), read_folder(folder).part("unet"))
    painted = [
        Studio(path, device="cpu", precision="fp32").txt2img("a fox", steps=1, seed=1, **options)[0]
        for path, options in ((tmp_path / "swapped", {}), (folder, {"vae": str(file)}), (folder, {}))
    ]
    assert painted[0].tobytes() == painted[1].tobytes() != painted[2].tobytes()


@pytest.mark.parametrize(("channels", "task"), [(9, "inpainting"), (8, "editing by instruction"), (5, "by depth")])
def test_networks_of_other_tasks_load(channels: int, task: str, single: Path, tmp_path: Path) -> None:
    wide = {UNET + "input_blocks.0.0.weight": torch.randn(16, channels, 3, 3)}
    file = changed(single, tmp_path / "a.safetensors", lambda state: state.update(wide))
    assert same(read_folder(export(file, tmp_path / "folder")).state, read_file(file).state)
    with pytest.raises(RequestError, match=f"a is made for .*{task}; txt2img needs"):
        Studio(file, device="cpu", precision="fp32").txt2img("a fox")


# ----------------------------------------------------------------------------------------------------------- faults


def damage(name: str) -> Callable[[State], object]:
    def infinite(state: State) -> None:
        state[UNET + "out.2.bias"][0] = float("inf")

    def respell(state: State) -> None:
        state["conditioner.embedders.0.x"] = state.pop(TEXT + "final_layer_norm.weight")
        for key in [key for key in state if key.startswith(TEXT)]:
            del state[key]

    faults: dict[str, Callable[[State], object]] = {
        "missing": lambda s: s.pop(UNET + "time_embed.2.bias"),
        "missing at the root": lambda s: s.pop(UNET + "input_blocks.0.0.weight"),
        "unexpected": lambda s: s.update({UNET + "out.2.wight": torch.zeros(1)}),
        "shape": lambda s: s.update({UNET + "out.0.bias": torch.zeros(3)}),
        "shape at the root": lambda s: s.update({UNET + "out.2.weight": torch.zeros(())}),
        "width": lambda s: s.update({UNET + "input_blocks.1.0.in_layers.2.weight": torch.zeros(24, 16, 3, 3)}),
        "no autoencoder": lambda s: [s.pop(k) for k in list(s) if k.startswith(VAE)],
        "infinity": infinite,
        "another family": respell,
        "tokens": lambda s: s.update({TEXT + "embeddings.token_embedding.weight": torch.zeros(50, 16)}),
    }
    return faults[name]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing", "1 tensors are missing, first 'model.diffusion_model.time_embed.2.bias'"),
        ("missing at the root", "'model.diffusion_model.input_blocks.0.0.weight' is missing"),
        (
            "unexpected",
            r"unexpected, first 'model.diffusion_model.out.2.wight' \(nearest: 'model.diffusion_model.out.2",
        ),
        ("shape", r"another shape, first 'model.diffusion_model.out.0.bias': \(3,\) for \(16,\)"),
        ("shape at the root", r"'model.diffusion_model.out.2.weight' has the shape \(\)"),
        ("width", "another shape, first"),
        ("no autoencoder", "a U-Net without its autoencoder; give an autoencoder with --vae"),
        ("infinity", "1 tensors hold NaN or infinity, first 'unet.conv_out.bias'"),
        ("another family", "a checkpoint of SDXL; give a Stable Diffusion checkpoint"),
        ("tokens", "reads 50 tokens; CLIP has 49408"),
    ],
)
def test_refused(name: str, message: str, single: Path, tmp_path: Path) -> None:
    file = changed(single, tmp_path / "a.safetensors", damage(name))
    with pytest.raises(CheckpointError, match=message) as error:
        load_single(file, dtype=torch.float32, device=CPU)
    assert "\n" not in str(error.value)
    if name != "tokens":
        assert not inspect(file).good


@pytest.mark.parametrize(
    "metadata",
    [
        "[]",
        "{",
        '{"unet": 3}',
        '{"unet": {"block_out_channels": [9999999]}}',
        '{"unet": {"norm_num_groups": 0}}',
        '{"unet": {"attention_head_dim": []}}',
        '{"unet": {"attention_head_dim": "many"}}',
        '{"vae": {"norm_num_groups": 0}}',
        '{"text_encoder": {"num_attention_heads": 3}}',
        '{"text_encoder": {"hidden_act": 5}}',
        '{"padding": 5}',
        '{"padding": {"text_encoder": 5}}',
        '{"padding": {"text_encoder": "no such token"}}',
        '{"unet": {"transformer_layers_per_block": 1000000000}}',
        '{"scheduler": {"_class_name": "Magic"}}',
    ],
)
def test_hostile_metadata(metadata: str, single: Path, tmp_path: Path) -> None:
    stated = json.loads(read_header(single)["__metadata__"]["sfumato.parts"])
    with contextlib.suppress(ValueError, AttributeError):  # some are meant to be no object
        metadata = json.dumps(
            stated | {k: {**stated[k], **v} if isinstance(v, dict) else v for k, v in json.loads(metadata).items()}
        )
    file = tmp_path / "a.safetensors"
    save_file(load_file(single), file, metadata={"sfumato.parts": metadata})
    with pytest.raises(CheckpointError):
        load_single(file, dtype=torch.float32, device=CPU)


def test_truncated(single: Path, tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(single.read_bytes()[:-10])
    with pytest.raises(CheckpointError, match="truncated"):
        load_single(tmp_path / "a.safetensors", dtype=torch.float32, device=CPU)


def test_old_spelling_of_the_text_encoder(single: Path, tmp_path: Path) -> None:
    def respell(state: State) -> None:
        for name in [name for name in state if name.startswith(TEXT)]:
            state[name.replace(".text_model.", ".")] = state.pop(name)

    assert same(read_file(changed(single, tmp_path / "a.safetensors", respell)).state, read_file(single).state)


# ---------------------------------------------------------------------------------------------------------- writing


def test_what_is_there_stays(folder: Path, tmp_path: Path) -> None:
    for target in (tmp_path / "a.safetensors", tmp_path / "a"):
        if target.suffix:
            target.write_bytes(b"mine")
        else:
            target.mkdir()
            (target / "mine").touch()
        with pytest.raises(OutputError, match="is there already"):
            export(folder, target)
    assert (tmp_path / "a.safetensors").read_bytes() == b"mine"
    with pytest.raises(OutputError, match="would be a pickle"):
        export(folder, tmp_path / "a.ckpt")


@pytest.mark.parametrize("name", ["a.safetensors", "a"])
def test_a_full_disk_leaves_nothing(name: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="No space left on device; free space and run it again"):
        export(folder, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_numbers_too_large_for_half_precision(single: Path, tmp_path: Path) -> None:
    large = changed(single, tmp_path / "a.safetensors", lambda s: s[UNET + "out.2.bias"].fill_(1e6))
    with pytest.raises(CheckpointError, match="too large for float16; use bf16"):
        export(large, tmp_path / "b.safetensors", precision="fp16")
    assert list(tmp_path.iterdir()) == [large]


def test_a_tokenizer_of_its_own_has_no_place(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no place for a tokenizer"):
        export(tiny, tmp_path / "a.safetensors")


def test_every_kind_of_number_is_written(tmp_path: Path) -> None:
    state = {str(dtype): torch.ones(3, 2).to(dtype) for dtype in DTYPES} | {"scalar": torch.tensor(2.0)}
    state["none"] = torch.zeros(0, 4)
    write_tensors(tmp_path / "a.safetensors", state, {})
    read = load_file(tmp_path / "a.safetensors")
    assert {k: (v.dtype, v.shape) for k, v in read.items()} == {k: (v.dtype, v.shape) for k, v in state.items()}


def test_what_a_file_predicts_may_be_told_to_the_studio(single: Path) -> None:
    """It is a part of the request, so that the picture is painted again alike."""
    studio = Studio(single, device="cpu", precision="fp32")
    size = 32
    told = studio.txt2img("a fox", seed=1, steps=2, prediction="v", width=size, height=size)
    plain = studio.txt2img("a fox", seed=1, steps=2, width=size, height=size)
    assert told[0].tobytes() != plain[0].tobytes()
    assert studio.run(told.request)[0].tobytes() == told[0].tobytes()
