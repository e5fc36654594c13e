"""Textual inversion: every kind of file, words in prompts, and what is refused."""

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from sfumato import Studio
from sfumato.adapters.applied import WORDS
from sfumato.adapters.embeddings import misfit, read_embedding
from sfumato.cli import main
from sfumato.errors import CheckpointError, RequestError
from sfumato.metadata.describe import describe
from tests.adapters.conftest import Write, lora, numbers
from tests.adapters.test_applied import is_as_kept, kept

OPTIONS: dict[str, Any] = {"steps": 2, "seed": 1, "guidance": 3.0}


def a1111(vectors: Tensor) -> dict[str, Any]:
    """As the web UI saves it."""
    return {
        "string_to_token": {"*": 265},
        "string_to_param": {"*": torch.nn.Parameter(vectors)},
        "name": "cat",
        "step": 500,
        "sd_checkpoint": "cc6cb27103",
        "sd_checkpoint_name": "v1-5-pruned",
    }


def save(form: str, vectors: Tensor, folder: Path) -> Path:
    from safetensors.torch import save_file

    path = folder / ("ugly.pt" if form == "A1111" else "ugly.bin" if form == "diffusers bin" else "ugly.safetensors")
    match form:
        case "A1111":
            torch.save(a1111(vectors), path)
        case "A1111, safetensors":
            save_file({"emb_params": vectors}, path)
        case "diffusers bin":
            torch.save({"<ugly-thing>": vectors}, path)
        case _:
            save_file({"<ugly-thing>": vectors[0] if len(vectors) == 1 else vectors}, path)
    return path


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("form", ["A1111", "A1111, safetensors", "diffusers bin", "diffusers"])
def test_every_form_is_the_same_word(
    form: str, count: int, studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors = numbers(count, 16)
    path = save(form, vectors, tmp_path)
    embedding = read_embedding(path)
    assert embedding.format == form.removesuffix(" bin")
    assert torch.equal(embedding.vectors["text_encoder"], vectors)
    before = kept(studio.load())
    plain = studio.txt2img("a fox, ugly", **OPTIONS)[0].tobytes()
    named = studio.txt2img("a fox, ugly", embeddings=[str(path)], **OPTIONS)
    monkeypatch.setenv("SFUMATO_EMBEDDINGS", str(tmp_path))
    met = studio.txt2img("a fox, ugly", **OPTIONS)
    assert named[0].tobytes() == met[0].tobytes() != plain
    assert [*met.provenance.embedding_hashes] == ["ugly"]
    assert describe(met.request, met.provenance).fields["TI hashes"].startswith("ugly: ")
    assert studio.txt2img("a fox, uglyish", **OPTIONS).provenance.embedding_hashes == {}
    assert is_as_kept(studio.load(), before)


def test_comfyui_calls_it_by_a_prefix(studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save("A1111", numbers(2, 16), tmp_path)
    by_word = studio.txt2img("a fox, ugly", embeddings=[str(tmp_path / "ugly.pt")], **OPTIONS)
    monkeypatch.setenv("SFUMATO_EMBEDDINGS", str(tmp_path))
    by_prefix = studio.txt2img("a fox, (embedding:x/Ugly.pt:1.0)", prompt_syntax="comfy", **OPTIONS)
    assert by_prefix[0].tobytes() == by_word[0].tobytes()
    assert [*by_prefix.provenance.embedding_hashes] == ["ugly"]
    assert studio.txt2img("a fox, ugly", prompt_syntax="comfy", **OPTIONS).provenance.embedding_hashes == {}


def test_the_vectors_stand_where_the_word_stood(studio: Studio, tiny: Path, tmp_path: Path) -> None:
    """An embedding made of a word's own vectors is that word."""
    model = studio.load()
    ids = model.texts["text_encoder"].tokenizer.words("red green")
    assert len(ids) > 1
    table = model.components["text_encoder"].get_parameter(WORDS)
    path = save("A1111", table[ids].clone(), tmp_path)
    by_words = studio.txt2img("a (red green:1.2) house", negative="red green", **OPTIONS)[0].tobytes()
    other = studio.txt2img("a (ugly:1.2) house", negative="ugly", embeddings=[str(path)], **OPTIONS)[0].tobytes()
    assert other == by_words


def test_a_token_of_diffusers_is_a_name_too(studio: Studio, tmp_path: Path) -> None:
    path = str(save("diffusers", numbers(2, 16), tmp_path))
    by_file, by_token, neither = (
        studio.txt2img(f"a fox, {word}", embeddings=[path], **OPTIONS)[0].tobytes()
        for word in ("ugly", "<ugly-thing>", "pretty")
    )
    assert by_file == by_token != neither


def test_a_pair_is_for_two_text_encoders(write: Write) -> None:
    embedding = read_embedding(write({"clip_l": numbers(2, 768), "clip_g": numbers(2, 1280)}, "pair"))
    assert (embedding.format, embedding.family) == ("SDXL pair", "sdxl")
    assert misfit(embedding, {"text_encoder": 768, "text_encoder_2": 1280}) == ""
    assert "wide, the model's text 768; it was made for sdxl" in misfit(embedding, {"text_encoder": 768})
    single = read_embedding(write({"emb_params": numbers(2, 768)}, "single"))
    assert misfit(single, {"text_encoder": 768, "text_encoder_2": 1280})


def test_what_a_lora_brings_along(studio: Studio, write: Write) -> None:
    bundle = {"bundle_emb.zorp.string_to_param.*": numbers(2, 16), **lora()}
    with_word = write(bundle, "word")
    without = write(lora(), "bare")
    one, other = (studio.txt2img("a zorp", loras=[str(path)], **OPTIONS)[0].tobytes() for path in (with_word, without))
    assert one != other
    same = [studio.txt2img("a fox", loras=[str(path)], **OPTIONS)[0].tobytes() for path in (with_word, without)]
    assert same[0] == same[1]
    wide = write({**bundle, "bundle_emb.zorp.string_to_param.*": numbers(2, 768)}, "wide")
    with pytest.raises(CheckpointError, match="embedding 'zorp' does not fit"):
        studio.txt2img("a fox", loras=[str(wide)], **OPTIONS)


def test_a_word_that_only_happens_to_be_a_name_stays_a_word(
    studio: Studio, write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    plain = studio.txt2img("a fox", **OPTIONS)[0].tobytes()
    path = write({"emb_params": numbers(2, 768)}, "fox")
    assert studio.txt2img("a fox", **OPTIONS)[0].tobytes() == plain
    assert "'fox' stays a plain word" in caplog.text
    with pytest.raises(CheckpointError, match="its vectors are 768 wide, the model's text 16; it was made for sd1"):
        studio.txt2img("a fox", embeddings=[str(path)], **OPTIONS)


def test_pivotal_tuning_has_its_parts_by_number(write: Write) -> None:
    """As diffusers' advanced training writes `embeddings.safetensors`; each vector is a word by itself, too."""
    one, two = numbers(2, 768), numbers(2, 1280)
    embedding = read_embedding(write({"text_encoders_0": one, "text_encoders_1": two}, "toy_emb"))
    assert (embedding.format, embedding.family) == ("pivotal tuning", "sdxl")
    assert embedding.names == ("toy_emb", "<s0><s1>")
    assert embedding.rows == {"<s0>": range(1), "<s1>": range(1, 2)}
    assert torch.equal(embedding.vectors["text_encoder"], one)
    assert torch.equal(embedding.vectors["text_encoder_2"], two)
    alone = read_embedding(write({"text_encoders_0": one}, "alone"))
    assert (alone.family, misfit(alone, {"text_encoder": 768})) == ("sd1", "")
    comfy = read_embedding(write({"clip_l": one}, "clip"))
    assert (comfy.names, misfit(comfy, {"text_encoder": 768})) == (("clip",), "")


def test_vectors_for_t5_are_refused_by_name(write: Write) -> None:
    state = {"clip_l": numbers(2, 768), "clip_g": numbers(2, 1280), "t5xxl": numbers(2, 4096)}
    embedding = read_embedding(write(state, "three"))
    assert embedding.family == "sd3"
    assert misfit(embedding, {"text_encoder": 768, "text_encoder_2": 1280}).startswith("it has vectors for T5")


def test_several_words_in_a_file(studio: Studio, write: Write) -> None:
    path = str(write({"<a>": numbers(1, 16), "<b>": numbers(2, 16, seed=1)}, "both"))
    embedding = read_embedding(Path(path))
    assert embedding.rows == {"<a>": range(1), "<b>": range(1, 3)}
    single = str(write({"<b>": numbers(2, 16, seed=1)}, "second"))
    by_both, by_one = (
        studio.txt2img("a fox, <b>", embeddings=[file], **OPTIONS)[0].tobytes() for file in (path, single)
    )
    assert by_both == by_one
    apart, together = (
        studio.txt2img(f"a fox, {words}", embeddings=[path], **OPTIONS)[0].tobytes() for words in ("<a> <b>", "both")
    )
    assert apart == together != by_one


def test_a_parameter_dict_of_the_first_code(tmp_path: Path) -> None:
    vectors = numbers(3, 16)
    content = {**a1111(vectors), "string_to_param": torch.nn.ParameterDict({"<toy>": vectors})}
    content["string_to_token"] = {"<toy>": torch.tensor(265)}
    torch.save(content, tmp_path / "old.pt")
    embedding = read_embedding(tmp_path / "old.pt")
    assert (embedding.format, embedding.names) == ("A1111", ("old", "<toy>"))
    assert torch.equal(embedding.vectors["text_encoder"], vectors)


class Bomb:
    """Runs a command when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ("boom",))


def test_a_pickle_with_code_is_refused(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({**a1111(numbers(1, 16)), "name": Bomb()}, tmp_path / "zip.pt")
    (tmp_path / "bare.pt").write_bytes(pickle.dumps({"string_to_param": Bomb()}, protocol=2))
    for name, met in (("zip.pt", "print"), ("bare.pt", "bare pickle")):
        with pytest.raises(CheckpointError, match="is refused") as caught:
            read_embedding(tmp_path / name)
        assert met in str(caught.value)
        assert main(["txt2img", "a", "--embedding", str(tmp_path / name), "--model", str(tiny), "--quiet"]) == 2
        assert main(["inspect", str(tmp_path / name)]) == 2
        shown = capsys.readouterr()
        assert shown.out == ""
        assert "boom" not in shown.err
        assert shown.err.count("is refused") == 2


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"emb_params": torch.full((2, 16), float("nan"))}, "hold NaN"),
        ({"emb_params": torch.ones(2, 16), "x": torch.ones(2, 16)}, "is no embedding: it is "),
        ({"<a>": torch.ones(2, 16), "b": torch.ones(2, 16)}, "is no embedding"),
        ({"<a>": torch.ones(2, 16), "<b>": torch.ones(2, 8)}, "are not equally wide"),
        ({"clip_l": torch.ones(2, 16), "text_encoders_0": torch.ones(2, 16)}, "is no embedding"),
        ({"control_model.x.weight": torch.ones(2, 16)}, "is no embedding: it is a ControlNet"),
        ({"emb_params": torch.ones(2, 2, 16)}, "is no embedding"),
        ({"emb_params": torch.ones(2000, 16)}, "is no embedding"),
        ({"emb_params": torch.ones(2, 0)}, "is no embedding"),
        ({"emb_params": torch.ones(2, 16, dtype=torch.int64)}, "is not made of vectors"),
        ({"conv.weight": torch.ones(2, 16)}, "is no embedding"),
    ],
)
def test_what_is_no_embedding(state: dict[str, Tensor], message: str, write: Write) -> None:
    with pytest.raises(CheckpointError, match=message):
        read_embedding(write(state))


def test_a_word_longer_than_a_window(studio: Studio, write: Write) -> None:
    path = write({"emb_params": numbers(15, 16)}, "long")
    with pytest.raises(RequestError, match="15 vectors; a window has room for 14"):
        studio.txt2img("a long fox", embeddings=[str(path)], **OPTIONS)
