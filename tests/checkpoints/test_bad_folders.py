"""Foreign, damaged and mismatched models: each is refused by one clear line that names the fault."""

import json
import os
import pickle
import shutil
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from sfumato.checkpoints.catalogue import find
from sfumato.checkpoints.folder import load_folder, read_folder
from sfumato.checkpoints.tensor_file import open_tensors
from sfumato.checkpoints.tensors import read_header
from sfumato.errors import CheckpointError, UnknownNameError

UNET = "unet/diffusion_pytorch_model.safetensors"


def load(folder: Path) -> None:
    load_folder(folder, dtype=torch.float32, device=torch.device("cpu"))


def truncate(folder: Path) -> None:
    (folder / UNET).write_bytes((folder / UNET).read_bytes()[:-100])


def truncate_header(folder: Path) -> None:
    (folder / UNET).write_bytes((folder / UNET).read_bytes()[:50])


def lengthen(folder: Path) -> None:
    (folder / UNET).write_bytes((folder / UNET).read_bytes() + b"extra")


def not_safetensors(folder: Path) -> None:
    (folder / UNET).write_bytes(pickle.dumps({"a": 1}) * 10)


def empty_file(folder: Path) -> None:
    (folder / UNET).write_bytes(b"")


def change_tensors(change: Callable[[dict[str, torch.Tensor]], None]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        state = load_file(folder / UNET)
        change(state)
        save_file(state, folder / UNET)

    return damage


def change_json(name: str, **values: Any) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        data = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps(data | values))

    return damage


def remove(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def write(name: str, text: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_text(text) and None


def pickled(folder: Path) -> None:
    (folder / UNET).unlink()
    (folder / "unet/diffusion_pytorch_model.bin").write_bytes(b"\x80\x02")


def variants(folder: Path) -> None:
    weights = (folder / UNET).read_bytes()
    (folder / UNET).unlink()
    for name in ("bf16", "int8"):
        (folder / f"unet/diffusion_pytorch_model.{name}.safetensors").write_bytes(weights)


def pipe(folder: Path) -> None:
    (folder / "unet/config.json").unlink()
    os.mkfifo(folder / "unet/config.json")


def nan(state: dict[str, torch.Tensor]) -> None:
    state["conv_in.weight"][0, 0, 0, 0] = float("nan")


def infinite(state: dict[str, torch.Tensor]) -> None:
    state["conv_in.weight"][0, 0, 0, 0] = float("inf")
    state["conv_in.weight"][0, 0, 0, 1] = float("-inf")


FAULTS: dict[str, tuple[Callable[[Path], None], str]] = {
    "truncated": (truncate, "truncated"),
    "truncated header": (truncate_header, "truncated in its header"),
    "longer": (lengthen, "longer than its header says"),
    "not safetensors": (not_safetensors, "a bare pickle, from before torch 1.6"),
    "empty": (empty_file, "is empty; download or copy it again"),
    "pickled": (pickled, "a bare pickle, from before torch 1.6"),
    "several variants": (variants, "has its weights as bf16, int8; keep one of these variants"),
    "a pipe in place of a configuration": (pipe, "it is a pipe or a device"),
    "missing weights": (remove(UNET), "is missing; copy the whole model folder"),
    "missing part": (remove("vae/config.json"), "lacks its vae; copy the whole folder, or give it with --vae"),
    "missing index": (remove("model_index.json"), "model_index.json is missing"),
    "missing tokenizer": (remove("tokenizer/merges.txt"), "merges.txt is missing"),
    "nan": (change_tensors(nan), "hold NaN or infinity, first 'conv_in.weight'"),
    "infinity": (change_tensors(infinite), "hold NaN or infinity"),
    "missing tensor": (change_tensors(lambda s: s.__delitem__("conv_in.bias")), "missing, first 'conv_in.bias'"),
    "unexpected tensor": (
        change_tensors(lambda s: s.update({"conv_in.wight": torch.zeros(1)})),
        r"unexpected, first 'conv_in.wight' \(nearest: 'conv_in.weight'\)",
    ),
    "another shape": (
        change_tensors(lambda s: s.update({"conv_in.weight": torch.zeros(16, 9, 3, 3)})),
        "another shape, first 'conv_in.weight'",
    ),
    "no pipeline": (change_json("model_index.json", _class_name=None), "names no pipeline"),
    "another pipeline": (change_json("model_index.json", _class_name="FluxPipeline"), "holds a FluxPipeline"),
    "an upscaler": (
        change_json("model_index.json", _class_name="StableDiffusionUpscalePipeline"),
        "names no low_res_scheduler; copy the whole model folder",
    ),
    "another autoencoder": (change_json("vae/config.json", _class_name="VQModel"), "is a VQModel"),
    "values of no kind": (
        change_json("unet/config.json", cross_attention_dim=[16, 32]),
        r"cross_attention_dim=\[16, 32\] is not supported for UNet2DConditionModel, only a whole number",
    ),
    "a text for a number": (change_json("unet/config.json", in_channels="4"), "in_channels='4' is not supported"),
    "heads of other levels": (
        change_json("unet/config.json", attention_head_dim=[2, 2, 2]),
        "attention_head_dim has 3 values for 2 levels",
    ),
    "an unknown block": (
        change_json("unet/config.json", down_block_types=["AttnDownBlock2D", "DownBlock2D"]),
        "a 'AttnDownBlock2D' in down_block_types, only DownBlock2D or CrossAttnDownBlock2D",
    ),
    "a thousand million layers": (
        change_json("unet/config.json", layers_per_block=1_000_000_000),
        "layers_per_block=1000000000 describes no network; at most 1000",
    ),
    "a million layers in all": (
        change_json("unet/config.json", layers_per_block=1000, transformer_layers_per_block=1000),
        "describes no network: more than 100000 tensors",
    ),
    "unsupported value": (change_json("unet/config.json", act_fn="mish"), "act_fn='mish' is not supported"),
    "unknown scheduler": (
        change_json("scheduler/scheduler_config.json", _class_name="MagicScheduler"),
        "'MagicScheduler' is not supported",
    ),
    "unknown prediction": (
        change_json("scheduler/scheduler_config.json", prediction_type="magic"),
        "prediction_type='magic'",
    ),
    "thresholding": (change_json("scheduler/scheduler_config.json", thresholding=True), "thresholding=True"),
    "channels disagree": (
        change_json("vae/config.json", latent_channels=8, use_quant_conv=False, use_post_quant_conv=False),
        "does not fit|different models",
    ),
    "no network": (change_json("unet/config.json", block_out_channels=[16, 24], norm_num_groups=7), "no network"),
    "channels as text": (
        change_json("unet/config.json", block_out_channels="ab"),
        "block_out_channels='ab' is not supported for UNet2DConditionModel, only a list",
    ),
    "another activation": (change_json("text_encoder/config.json", hidden_act="relu"), "hidden_act='relu'"),
    "window too long": (change_json("tokenizer/tokenizer_config.json", model_max_length=77), "window of 77"),
    "unknown betas": (change_json("scheduler/scheduler_config.json", beta_schedule="sigmoid"), "sigmoid"),
    "not json": (write("unet/config.json", "{"), "is not JSON"),
    "a list": (write("unet/config.json", "[]"), "no JSON object"),
    "tokenizer is no json": (write("tokenizer/vocab.json", "[1]"), "CLIP"),
}


SLOW = {"a million layers in all"}  # so many are counted before they are too many


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in FAULTS]
)
def test_refused(name: str, tiny: Path, tmp_path: Path) -> None:
    damage, message = FAULTS[name]
    folder = tmp_path / "model"
    shutil.copytree(tiny, folder)
    load(folder)
    damage(folder)
    with pytest.raises(CheckpointError, match=message) as error:
        load(folder)
    assert "\n" not in str(error.value)


def raw(header: bytes, data: bytes = b"") -> bytes:
    return struct.pack("<Q", len(header)) + header + data


F32 = '{"dtype":"F32","shape":[2],"data_offsets":[%d,%d]}'


@pytest.mark.parametrize(
    "content",
    [
        raw(b"[]"),
        raw(b"{}x"),
        raw(b"{" * 10_000),
        raw(f'{{"a":{F32 % (0, 8)},"a":{F32 % (0, 8)}}}'.encode(), bytes(8)),
        raw(f'{{"a":{F32 % (0, 4)}}}'.encode(), bytes(4)),
        raw(f'{{"a":{F32 % (8, 16)}}}'.encode(), bytes(16)),
        raw(f'{{"a":{F32 % (0, 8)},"b":{F32 % (4, 12)}}}'.encode(), bytes(12)),
        raw(b'{"a":{"dtype":"F99","shape":[2],"data_offsets":[0,8]}}', bytes(8)),
        raw(b'{"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}', bytes(8)),
        raw(b'{"a":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,2],"data_offsets":[0,8]}}', bytes(8)),
        raw(b'{"a":{"dtype":"F32","shape":"2","data_offsets":[0,8]}}', bytes(8)),
        raw(b'{"a":3}'),
        struct.pack("<Q", 2**62) + b"{}",
        struct.pack("<Q", 0),
    ],
)
def test_hostile_headers(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    with pytest.raises(CheckpointError):
        read_header(path)


def test_names(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SFUMATO_MODELS", str(tiny.parent))
    assert find("tiny") == tiny
    assert find(str(tiny)) == tiny
    with pytest.raises(UnknownNameError, match="did you mean tiny"):
        find("tinny")
    with pytest.raises(CheckpointError, match=r"no model_index\.json"):
        find(tmp_path)
    with pytest.raises(CheckpointError, match="there is no folder or file"):
        find(tmp_path / "none")
    single = tmp_path / "model.safetensors"
    single.write_bytes(b"")
    assert find(single) == single
    (tmp_path / "model.txt").write_bytes(b"notes")
    with pytest.raises(CheckpointError, match="is a text, not a model"):
        find(tmp_path / "model.txt")


def test_a_word_that_the_tokenizer_does_not_know(tiny: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny, folder)
    config = json.loads((folder / "text_encoder/config.json").read_text())
    (folder / "text_encoder/config.json").write_text(json.dumps(config | {"vocab_size": config["vocab_size"] + 2}))
    weights = load_file(folder / "text_encoder/model.safetensors")
    name = "text_model.embeddings.token_embedding.weight"
    weights[name] = torch.cat([weights[name], torch.ones(2, 16)])
    save_file(weights, folder / "text_encoder/model.safetensors")
    load(folder)
    assert [record.getMessage() for record in caplog.records if "knows 2 words more" in record.getMessage()]


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        ({"<a>": 540, "<b>": 540}, "two ids to a token, or one to two"),
        ({"<a>": 3}, "two ids to a token, or one to two"),
        ({"<a>": "x"}, "does not hold a CLIP tokenizer"),
        ({"<a>": 100_000}, "has 100001 tokens but the text encoder only"),
    ],
)
def test_added_tokens_that_cannot_be(tokens: dict[str, Any], message: str, tiny: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny, folder)
    (folder / "tokenizer/added_tokens.json").write_text(json.dumps(tokens))
    with pytest.raises(CheckpointError, match=message):
        load(folder)


WHOLE = "diffusion_pytorch_model.safetensors"


def as_bin(folder: Path) -> None:
    for file in folder.rglob("*.safetensors"):
        stem = "pytorch_model" if file.name == "model.safetensors" else "diffusion_pytorch_model"
        torch.save(load_file(file), file.with_name(f"{stem}.bin"))
        file.unlink()


def as_shards_of_bin(folder: Path) -> None:
    file = folder / UNET
    state = load_file(file)
    file.unlink()
    places = {name: f"part-{number % 2}.bin" for number, name in enumerate(state)}
    for part in set(places.values()):
        torch.save({name: state[name] for name in state if places[name] == part}, file.with_name(part))
    index = file.with_name("diffusion_pytorch_model.bin.index.json")
    index.write_text(json.dumps({"weight_map": places}))


def as_variant(folder: Path) -> None:
    for file in folder.rglob("*.safetensors"):
        file.rename(file.with_name(f"{file.stem}.bf16.safetensors"))


def as_another_pipeline(folder: Path) -> None:
    change_json("model_index.json", _class_name="StableDiffusionPAGPipeline")(folder)


@pytest.mark.parametrize("form", [as_bin, as_shards_of_bin, as_variant, as_another_pipeline])
def test_other_forms_of_a_folder_are_the_same_model(form: Callable[[Path], None], tiny: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny, folder)
    form(folder)
    ours, same = read_folder(folder).state, read_folder(tiny).state
    assert ours.keys() == same.keys()
    assert all(torch.equal(ours[name], same[name]) for name in same)


NO_WEIGHTS = {
    "lfs": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n",
        "Git LFS.*git lfs pull",
    ),
    "html": (b"\n<!DOCTYPE html><html>Log in</html>", r"a web page \(HTML\)"),
    "json": (b'{"error":"Unauthorized","message":"log in"}', "a text of JSON.*Unauthorized.*log in and download"),
    "empty": (b"", "is empty"),
    "zeros": (bytes(4096), "begins with zeros: a download that broke off"),
    "gguf": (b"GGUF\x01\0\0\0" + bytes(100), "a GGUF file with a broken header .*version 1"),
    "text": (b"just words", "is a text, not a model"),
    "picture": (b"\x89PNG\r\n\x1a\n" + bytes(50), r"is a picture \(PNG\)"),
    "gzip": (b"\x1f\x8b\x08" + bytes(50), "compressed with gzip; unpack it"),
    "other": (b"\x01\x02\xff" * 30, "is not a safetensors file"),
}


@pytest.mark.parametrize("kind", NO_WEIGHTS)
@pytest.mark.parametrize("name", ["a.safetensors", "a.ckpt"])
def test_a_file_of_no_weights_is_named(kind: str, name: str, tmp_path: Path) -> None:
    content, message = NO_WEIGHTS[kind]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=message) as error:
        open_tensors(tmp_path / name)
    assert "\n" not in str(error.value)


def test_an_archive_of_other_things(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.safetensors", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(CheckpointError, match="a zip archive of other things; unpack it"):
        open_tensors(tmp_path / "a.safetensors")


def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.safetensors")
    for look in (open_tensors, read_header):
        with pytest.raises(CheckpointError, match="it is a pipe or a device, not a file"):
            look(tmp_path / "a.safetensors")
    with pytest.raises(CheckpointError, match="it is a folder"):
        open_tensors(tmp_path)


@pytest.mark.parametrize("shape", [[2**70, 0], [True, True], "", [2**62, 2**62, 0], None, [1.0]])
def test_shapes_that_cannot_be(shape: Any, tmp_path: Path) -> None:
    header = json.dumps({"a": {"dtype": "F32", "shape": shape, "data_offsets": [0, 0]}}).encode()
    (tmp_path / "a.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    with pytest.raises(CheckpointError, match="broken header"):
        open_tensors(tmp_path / "a.safetensors")
