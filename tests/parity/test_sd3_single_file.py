"""Stable Diffusion 3 in one file: through diffusers' own single-file loader, back to a folder, and painted from."""

import json
import logging
import shutil
from dataclasses import replace
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from diffusers import StableDiffusion3Pipeline
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from sfumato import Studio
from sfumato.checkpoints.detect import detect
from sfumato.checkpoints.export import export
from sfumato.checkpoints.header import T5_TOKENIZER
from sfumato.checkpoints.inspect import inspect
from sfumato.checkpoints.parts import Parts
from sfumato.checkpoints.single import check_file, describe, read_file
from sfumato.checkpoints.tensor_file import TensorFile
from sfumato.errors import CheckpointError
from sfumato.models.mmdit import MMDiTConfig
from sfumato.models.t5 import T5Config
from sfumato.published import FLOW
from tests.checkpoints.test_gguf import written
from tests.parity.sd3 import make_sd3, unigram

pytestmark = pytest.mark.parity

Made = tuple[StableDiffusion3Pipeline, Path, Path]
PARTS = ("transformer", "vae", "text_encoder", "text_encoder_2", "text_encoder_3")


def build(folder: Path, form: str) -> Made:
    """A pipeline, its folder, and our file of it."""
    pipeline = make_sd3(folder, form)
    return pipeline, folder / "model", export(folder / "model", folder / "model.safetensors")


@pytest.fixture(scope="module")
def plain_sd3(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return build(tmp_path_factory.mktemp("sd3"), "3")


@pytest.fixture(scope="module", params=["3", "3.5-medium"])
def made(request: pytest.FixtureRequest, plain_sd3: Made, tmp_path_factory: pytest.TempPathFactory) -> Made:
    return plain_sd3 if request.param == "3" else build(tmp_path_factory.mktemp("sd35"), request.param)


def metadata_of(file: Path) -> dict[str, str]:
    with safe_open(file, framework="pt") as opened:
        return dict(opened.metadata())


def paint(path: Path) -> np.ndarray:
    picture = Studio(path, precision="fp32", device="cpu").txt2img("a red fox", steps=2, guidance=4.0, seed=3)[0]
    return np.asarray(picture, dtype=np.int64)


def apart(one: np.ndarray, other: np.ndarray) -> int:
    """The largest difference of a pixel in 255ths. The same weights make 1 where rounding meets their alignment."""
    return int(np.abs(one - other).max())


def assert_holds(pipeline: StableDiffusion3Pipeline, parts: Parts) -> None:
    for name in PARTS:
        original = getattr(pipeline, name).state_dict()
        mine = parts.part(name)
        assert mine.keys() == original.keys() - {"encoder.embed_tokens.weight"}
        assert all(torch.equal(tensor, original[key]) for key, tensor in mine.items())


def test_diffusers_reads_what_we_write(made: Made, tmp_path: Path) -> None:
    pipeline, folder, file = made
    assert_holds(pipeline, read_file(file))
    from_file = StableDiffusion3Pipeline.from_single_file(str(file), config=str(folder), local_files_only=True)
    back = export(file, tmp_path / "back")
    for theirs in (from_file, StableDiffusion3Pipeline.from_pretrained(back, local_files_only=True)):
        for name in PARTS:
            expected, read = (getattr(each, name).state_dict() for each in (pipeline, theirs))
            assert expected.keys() == read.keys()
            assert all(torch.equal(expected[key], read[key]) for key in expected)
    again = load_file(export(back, tmp_path / "again.safetensors"))
    first = load_file(file)
    assert again.keys() == first.keys()
    assert all(torch.equal(again[key], tensor) for key, tensor in first.items())


def test_names_in_the_file(made: Made) -> None:
    pipeline, _, file = made
    names = load_file(file).keys()
    assert "model.diffusion_model.joint_blocks.0.context_block.adaLN_modulation.1.bias" in names
    assert "text_encoders.clip_g.transformer.text_projection.weight" in names
    assert "text_encoders.clip_l.transformer.text_projection.weight" not in names, "it is the identity"
    assert "text_encoders.t5xxl.transformer.shared.weight" in names
    report = inspect(file)
    dual = bool(pipeline.transformer.config.dual_attention_layers)
    assert (report.good, report.family) == (True, "sd3.5-medium" if dual else "sd3")
    assert (report.kind, report.prediction, report.missing, report.unexpected) == ("checkpoint", "flow", 0, 0)
    told = metadata_of(file)
    assert told["modelspec.architecture"] == f"stable-diffusion-{'v3.5-medium' if dual else 'v3-medium'}"
    assert "modelspec.prediction_type" not in told


def test_the_same_picture_from_folder_and_file(made: Made) -> None:
    assert apart(paint(made[1]), paint(made[2])) <= 1


def test_a_projection_that_is_not_the_identity_is_kept(plain_sd3: Made, tmp_path: Path) -> None:
    shutil.copytree(plain_sd3[1], tmp_path / "model")
    weights = tmp_path / "model" / "text_encoder" / "model.safetensors"
    state = load_file(weights)
    name = next(name for name in state if name.endswith("text_projection.weight"))
    save_file({**state, name: 2 * state[name]}, weights, {"format": "pt"})
    file = export(tmp_path / "model", tmp_path / "model.safetensors")
    assert torch.equal(read_file(file).part("text_encoder")["text_projection.weight"], 2 * torch.eye(32))


def test_t5_wants_its_tokenizer(plain_sd3: Made, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A file of others has none: T5 is left out, said aloud, until the tokenizer lies beside."""
    _, folder, file = plain_sd3
    plain = tmp_path / "plain.safetensors"
    save_file(load_file(file), plain, {key: value for key, value in metadata_of(file).items() if key != T5_TOKENIZER})
    with caplog.at_level(logging.WARNING):
        parts = read_file(plain)
    assert "no tokenizer for its T5" in caplog.text
    assert (parts.t5_tokenizer, "text_encoder_3" in parts.configs) == (None, False)
    without = paint(plain)
    index = json.loads((export(plain, tmp_path / "without") / "model_index.json").read_text())
    assert (index["text_encoder_3"], index["tokenizer_3"]) == ([None, None], [None, None])
    assert apart(paint(tmp_path / "without"), without) <= 1
    shutil.copytree(folder / "tokenizer_3", tmp_path / "tokenizer_3")
    assert apart(paint(plain), whole := paint(file)) <= 1
    assert apart(whole, without) > 20


def published_apart(file: Path, folder: Path) -> Path:
    """The files of that checkpoint as Stable Diffusion 3.5's are published: its text encoders below text_encoders/."""
    whole = load_file(file)
    names = {"clip_l": "clip_l", "clip_g": "clip_g", "t5xxl": "t5xxl_fp16"}
    (folder / "text_encoders").mkdir(parents=True)
    for part, name in names.items():
        start = f"text_encoders.{part}.transformer."
        own = {key.removeprefix(start): whole.pop(key) for key in list(whole) if key.startswith(start)}
        save_file(own, folder / "text_encoders" / f"{name}.safetensors")
    told = {key: value for key, value in metadata_of(file).items() if key != T5_TOKENIZER}
    save_file(whole, folder / "sd3.5_medium.safetensors", told)
    return folder / "sd3.5_medium.safetensors"


def test_text_encoders_in_files_of_their_own(made: Made, tmp_path: Path) -> None:
    _, folder, file = made
    apart_file = published_apart(file, tmp_path / "apart")
    shutil.copytree(folder / "tokenizer_3", tmp_path / "apart" / "text_encoders" / "tokenizer_3")
    theirs, ours = read_file(file), read_file(apart_file)
    for name in PARTS:
        expected = theirs.part(name)
        assert expected.keys() == (got := ours.part(name)).keys()
        assert all(torch.equal(got[key], tensor) for key, tensor in expected.items())
    assert inspect(apart_file).good
    assert apart(paint(apart_file), paint(file)) <= 1


def test_text_encoders_that_are_given(plain_sd3: Made, tmp_path: Path) -> None:
    """In any order and under any names."""
    _, folder, file = plain_sd3
    apart_file = published_apart(file, tmp_path / "apart")
    (tmp_path / "elsewhere").mkdir()
    given = []
    for number, encoder in enumerate(
        sorted((tmp_path / "apart" / "text_encoders").glob("*.safetensors"), reverse=True)
    ):
        given.append(encoder.rename(tmp_path / "elsewhere" / f"{number}.safetensors"))
    shutil.copytree(folder / "tokenizer_3", tmp_path / "apart" / "text_encoders" / "tokenizer_3")
    theirs, ours = read_file(file).state, read_file(apart_file, text_encoders=given).state
    assert theirs.keys() == ours.keys()
    assert all(torch.equal(ours[name], tensor) for name, tensor in theirs.items())
    with pytest.raises(CheckpointError, match="without its text encoders"):
        read_file(apart_file, text_encoders=given[:1])


@pytest.mark.parametrize(("gone", "wanted"), [("clip_g", "put clip_g.safetensors beside"), ("clip", "and clip_g")])
def test_text_encoders_that_are_nowhere(gone: str, wanted: str, plain_sd3: Made, tmp_path: Path) -> None:
    file = published_apart(plain_sd3[2], tmp_path / "apart")
    for encoder in (tmp_path / "apart" / "text_encoders").glob(f"{gone}*"):
        encoder.unlink()
    with pytest.raises(CheckpointError, match=wanted):
        read_file(file)
    report = inspect(file)
    assert (report.good, "without its text encoders" in report.verdict) == (False, True)


def test_t5_in_a_file_of_its_own_may_be_missing(plain_sd3: Made, tmp_path: Path) -> None:
    file = published_apart(plain_sd3[2], tmp_path / "models" / "checkpoints")
    encoders = file.parent / "text_encoders"
    (encoders / "t5xxl_fp16.safetensors").unlink()
    shutil.move(encoders, tmp_path / "models" / "clip")  # as ComfyUI has them
    assert "text_encoder_3" not in read_file(file).configs


def shapes_of(file: Path) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in load_file(file).items()}


def test_shapes_tell_enough_at_published_sizes(plain_sd3: Made) -> None:
    """Without our metadata: heads 64 wide, the family's scheduler, the numbers of its autoencoder."""
    pipeline, _, file = plain_sd3
    layout = detect(shapes_of(file), {}, "a file").layout
    assert layout is not None
    assert (layout.scheduler, layout.zero_empty) == (FLOW, False)
    transformer, t5 = MMDiTConfig.from_json(pipeline.transformer.config), layout.configs["text_encoder_3"]
    assert layout.configs["transformer"] == replace(transformer, sample_size=128)
    assert t5 == T5Config.from_json(pipeline.text_encoder_3.config.to_dict())
    numbers = vars(layout.configs["vae"])
    assert (numbers["scaling_factor"], numbers["shift_factor"], numbers["latent_channels"]) == (1.5305, 0.0609, 16)


@pytest.mark.parametrize(
    ("source", "metadata", "family"),
    [
        ("sd3.5_large.safetensors", {}, "sd3.5-large"),
        ("sd3.5_large_turbo.safetensors", {}, "sd3.5-large-turbo"),
        ("x.safetensors", {"modelspec.architecture": "stable-diffusion-v3.5-large-turbo"}, "sd3.5-large-turbo"),
    ],
)
def test_large_and_its_turbo(source: str, metadata: dict[str, str], family: str, plain_sd3: Made) -> None:
    """Large is known by its norms, turbo by its name alone."""
    start = "model.diffusion_model.joint_blocks.0.x_block.attn.ln_q.weight"
    found = detect({**shapes_of(plain_sd3[2]), start: (64,)}, metadata, source)
    assert found.family == family


BROKEN = [
    ("text_encoders.clip_g.", "a transformer of SD3 without"),
    ("first_stage_model.", "a transformer of SD3 without"),
    ("model.diffusion_model.pos_embed", "'model.diffusion_model.pos_embed' is missing"),
    ("model.diffusion_model.joint_blocks.0.x_block.attn.qkv.weight", "no first block"),
    ("model.diffusion_model.joint_blocks.0.x_block.mlp.fc2", "2 tensors are missing"),
    ("text_encoders.t5xxl.transformer.shared", "shared.weight' is missing"),
]


def verdict(shapes: dict[str, tuple[int, ...]]) -> str:
    """What is wrong with a file of these shapes."""
    try:
        found = detect(shapes, {}, "a file")
    except CheckpointError as error:
        return str(error)
    if found.layout is None:
        return describe(found)
    return check_file(TensorFile(Path("a file"), "safetensors", shapes, {}, {}, dict), found).report


@pytest.mark.parametrize(("gone", "message"), BROKEN)
def test_files_with_something_missing(gone: str, message: str, plain_sd3: Made) -> None:
    whole = shapes_of(plain_sd3[2])
    assert verdict(whole) == ""
    assert message in verdict({name: shape for name, shape in whole.items() if not name.startswith(gone)})


def test_a_transformer_and_a_t5_in_gguf(plain_sd3: Made, tmp_path: Path) -> None:
    """As they are published: LDM's names without a prefix, llama.cpp's names of T5, whose tokenizer is inside."""
    _, _, whole = plain_sd3
    state, stated = load_file(whole), metadata_of(whole)
    del stated[T5_TOKENIZER]

    def under(prefix: str) -> dict[str, torch.Tensor]:
        return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}

    written(tmp_path / "sd3.gguf", under("model.diffusion_model."), stated)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.T5ENCODER, 2)
    t5 = under("text_encoders.t5xxl.transformer.")
    t5.pop("encoder.embed_tokens.weight", None)  # the same as `shared`
    called = {names.get_name(name, try_suffixes=(".weight",)): value for name, value in t5.items()}
    assert None not in called
    pieces = [*unigram(), *((f"<extra_id_{i}>", 0.0) for i in reversed(range(100)))]

    def with_tokenizer(writer: gguf.GGUFWriter) -> None:
        writer.add_tokenizer_model("t5")
        writer.add_token_list([piece for piece, _ in pieces])
        writer.add_token_scores([score for _, score in pieces])

    written(tmp_path / "t5.gguf", {str(name): value for name, value in called.items()}, more=with_tokenizer)
    clips = []
    for name in ("clip_l", "clip_g"):
        clips.append(tmp_path / f"{name}.safetensors")
        save_file(under(f"text_encoders.{name}.transformer."), clips[-1])
    save_file(under("first_stage_model."), tmp_path / "vae.safetensors")
    parts = read_file(
        tmp_path / "sd3.gguf", vae=tmp_path / "vae.safetensors", text_encoders=[*clips, tmp_path / "t5.gguf"]
    )
    same = read_file(whole)
    assert parts.configs == same.configs
    assert all(torch.equal(parts.state[name].float(), value.float()) for name, value in same.state.items())
    assert parts.t5_tokenizer is not None
    assert same.t5_tokenizer is not None
    for words in ("a photo of a red fox", "hello,  world!", "<extra_id_3> of the end</s>"):
        assert parts.t5_tokenizer.words(words) == same.t5_tokenizer.words(words)
