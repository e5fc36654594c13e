"""A studio wears what a request asks for, exactly and no longer."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from sfumato import Studio
from sfumato.adapters.applied import apply, lora_hash
from sfumato.adapters.requested import Requested, files_of, requested
from sfumato.cli import main
from sfumato.errors import RequestError, SfumatoError
from sfumato.metadata.carriers import PARAMETERS, load, read
from sfumato.metadata.describe import describe
from sfumato.metadata.infotext import parse
from sfumato.metadata.provenance import Provenance
from sfumato.model import Model
from sfumato.requests import Lora, Txt2Img
from tests.adapters.conftest import KINDS, Write, lora, numbers, of

OPTIONS: dict[str, Any] = {"steps": 2, "seed": 1, "guidance": 3.0}
Kept = dict[str, tuple[int, tuple[int, ...], Tensor]]


def tensors(model: Model) -> Iterator[tuple[str, Tensor]]:
    for part, module in model.components.items():
        for name, tensor in module.state_dict().items():
            yield f"{part}.{name}", tensor


def kept(model: Model) -> Kept:
    """Place, layout and content of each tensor."""
    return {name: (tensor.data_ptr(), tensor.stride(), tensor.clone()) for name, tensor in tensors(model)}


def is_as_kept(model: Model, before: Kept) -> bool:
    now = {name: (tensor.data_ptr(), tensor.stride()) for name, tensor in tensors(model)}
    equal = all(torch.equal(tensor, before[name][2]) for name, tensor in tensors(model))
    return equal and now == {name: entry[:2] for name, entry in before.items()}


def applied(studio: Studio) -> Model:
    """The model with the adapters that were painted with last."""
    assert studio._applied is not None
    return studio._applied.model


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_removal_is_exact(precision: str, tiny: Path, write: Write) -> None:
    path = write({**lora(), "unet.conv_norm_out.w_norm": numbers(16), "unet.conv_out.diff_b": numbers(4)})
    studio = Studio(tiny, device="cpu", precision=precision)  # type: ignore[arg-type]
    before = kept(studio.load())
    plain = studio.txt2img("a fox", **OPTIONS)[0].tobytes()
    inked = studio.txt2img("a fox", loras=[str(path)], **OPTIONS)[0].tobytes()
    changed = {name: tensor for name, tensor in tensors(applied(studio)) if tensor.data_ptr() != before[name][0]}
    assert len(changed) == 6
    assert all(
        tensor.stride() == before[name][1] and tensor.dtype == before[name][2].dtype for name, tensor in changed.items()
    )
    assert studio.txt2img("a fox", **OPTIONS)[0].tobytes() == plain != inked
    assert is_as_kept(studio.load(), before)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_worn_beside_another_and_comes_off_to_the_bit(kind: str, studio: Studio, write: Write) -> None:
    """Both changes are of the bare weight, also where they are products with it."""
    model = studio.load()
    before = kept(model)
    name = "unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_k.weight"
    alone = []
    for i, state in enumerate((of(kind), lora())):
        one = apply(model, Requested(files_of([Lora(name=str(write(state, str(i))), weight=0.5)]))).model
        alone.append(dict(tensors(one))[name] - before[name][2])
    paths = [write(state, str(i)) for i, state in enumerate((of(kind), lora()))]
    both = apply(model, Requested(files_of([Lora(name=str(path), weight=0.5) for path in paths]))).model
    now = dict(tensors(both))
    torch.testing.assert_close(now[name], before[name][2] + alone[0] + alone[1])
    assert not torch.allclose(alone[0], torch.zeros(()), atol=1e-3)
    assert len([key for key, tensor in now.items() if tensor.data_ptr() != before[key][0]]) == 4
    assert is_as_kept(model, before)


def test_loading_gives_the_bare_model_and_a_failure_leaves_it(studio: Studio, write: Write) -> None:
    before = kept(studio.load())
    good = write(lora())
    studio.txt2img("a fox", loras=[str(good)], **OPTIONS)
    assert is_as_kept(studio.load(), before)
    bad = write({**lora(), "unet.none.diff": torch.ones(1)}, "bad")
    studio.txt2img("a fox", loras=[str(good)], **OPTIONS)
    with pytest.raises(
        SfumatoError, match=r"does not fit tiny: 1 of its tensors match no module, first 'unet.none.diff'"
    ):
        studio.txt2img("a fox", loras=[str(good), str(bad)], **OPTIONS)
    assert is_as_kept(studio.load(), before)


def test_equal_sets_stay_on_and_a_changed_file_is_read_again(studio: Studio, write: Write) -> None:
    path = write(lora())
    first = studio.txt2img("a fox", loras=[str(path)], **OPTIONS)[0].tobytes()
    places = [tensor.data_ptr() for _, tensor in tensors(applied(studio))]
    assert studio.txt2img("a fox", loras=[str(path)], **OPTIONS)[0].tobytes() == first
    assert [tensor.data_ptr() for _, tensor in tensors(applied(studio))] == places
    write({**lora(seed=5), "unet.conv_out.diff_b": numbers(4)})
    assert studio.txt2img("a fox", loras=[str(path)], **OPTIONS)[0].tobytes() != first


def test_a_tag_in_the_prompt_is_the_option(studio: Studio, write: Write) -> None:
    path = write(lora())
    by_tag = studio.txt2img("a fox <lora:ink:0.5:0.8>", **OPTIONS)[0].tobytes()
    by_option = studio.txt2img("a fox ", loras=[{"name": "ink", "weight": 0.8, "text_weight": 0.5}], **OPTIONS)
    by_path = studio.txt2img("a fox ", loras=[f"{path}:0.8:0.5"], **OPTIONS)
    assert by_tag == by_option[0].tobytes() == by_path[0].tobytes()
    others = {
        studio.txt2img(f"a fox <lora:ink:{w}>", **OPTIONS)[0].tobytes() for w in ("0.5", "0.8", "0:1", "1:0", "0")
    }
    assert len({*others, by_tag}) == 6
    plain = studio.txt2img("a fox ", **OPTIONS)[0].tobytes()
    assert plain in others
    base_alone = studio.txt2img("a fox <lora:ink:0.5:0.8:lbw=" + ",".join("1" + "0" * 16) + ">", **OPTIONS)
    assert base_alone[0].tobytes() == studio.txt2img("a fox <lora:ink:0.5:0>", **OPTIONS)[0].tobytes()
    assert studio.run(by_option.request)[0].tobytes() == by_tag
    assert studio.txt2img("a fox <lora:ink:1>", prompt_syntax="plain", **OPTIONS)[0].tobytes() != by_tag


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ("a <lora:ik:1>", "unknown lora 'ik'; did you mean ink?"),
        ("a <hypernet:ink:1>", "asks for hypernet 'ink'"),
        ("a <lora:ink:1:1:4>", "cuts 'ink' to rank 4"),
    ],
)
def test_networks_that_cannot_be_worn(prompt: str, message: str, write: Write) -> None:
    write(lora())
    with pytest.raises(RequestError) as caught:
        requested(Txt2Img.build(prompt=prompt))
    assert message in str(caught.value)


def test_metadata(studio: Studio, write: Write, tmp_path: Path) -> None:
    write(lora())
    [file] = studio.txt2img("a fox", loras=["ink:0.5"], **OPTIONS).save(tmp_path / "fox.png")
    info = parse(read(load(file)).texts[PARAMETERS])
    digits = lora_hash(tmp_path / "ink.safetensors")
    assert info.prompt == "a fox <lora:ink:0.5>"
    assert info.fields["Lora hashes"] == f"ink: {digits}"
    painter = Provenance.read(info)
    assert painter is not None
    assert painter.lora_hashes == {"ink": digits}
    plain = studio.txt2img("a fox", **OPTIONS).provenance
    assert any(words.startswith(f"LoRA hashes ink: {digits}, now none") for words in painter.differences(plain))
    both = Txt2Img.build(prompt="a", loras=["x/ink.safetensors:1:0.5", "b"])
    assert describe(both).prompt == "a <lora:ink:0.5:1> <lora:b:1>"
    assert describe(both.changed(prompt_syntax="plain")).prompt == "a"


def test_the_hash_is_of_the_tensors_alone(write: Write) -> None:
    first = lora_hash(write(lora()))
    assert lora_hash(write(lora(), "b", ss_steps="100")) == first
    assert lora_hash(write(lora(seed=1))) != first
    assert len(first) == 12


def test_merged_is_worn(
    studio: Studio, tiny: Path, write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(lora())
    after = dict(kept_under(studio, path))
    for name in ("unet", "text_encoder"):
        assert after[name]
    target = tmp_path / "merged"
    assert main(["convert", str(tiny), str(target), "--lora", f"{path}:0.5:-1"]) == 0
    capsys.readouterr()
    files = {"unet": "diffusion_pytorch_model", "text_encoder": "model"}
    for part, state in after.items():
        merged = load_file(target / part / f"{files[part]}.safetensors")
        assert merged.keys() == state.keys()
        assert all(torch.equal(merged[name], state[name]) for name in state)
    bad = write({**lora(), "unet.none.diff": torch.ones(1)}, "bad")
    assert main(["convert", str(tiny), str(tmp_path / "no"), "--lora", str(bad)]) == 2
    assert "match no module, first 'unet.none.diff'" in capsys.readouterr().err
    assert not (tmp_path / "no").exists()


def kept_under(studio: Studio, path: Path) -> Iterator[tuple[str, dict[str, Tensor]]]:
    applied = apply(studio.load(), Requested(files_of([Lora(name=str(path), weight=0.5, text_weight=-1.0)])))
    for part, module in applied.model.components.items():
        yield part, dict(module.state_dict())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a", "--lora", "none.safetensors"], "there is no file none.safetensors"),
        (["a", "--lora", "in"], "unknown lora 'in'; did you mean ink?"),
        (["a", "--lora", "ink:5000"], "loras has weight 5000.0 must be -1000 to 1000"),
        (["a <lora:none:1>"], "unknown lora 'none'"),
        (["a", "--embedding", "none"], "unknown embedding 'none'"),
        (["a", "--lora", "bad"], "does not fit tiny: 1 of its tensors match no module, first 'unet.none.diff'"),
    ],
)
def test_faults_on_the_command_line(
    arguments: list[str], message: str, tiny: Path, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    write(lora())
    write({**lora(), "unet.none.diff": torch.ones(1)}, "bad")
    assert main(["txt2img", *arguments, "--model", str(tiny), "--quiet", "--precision", "fp32"]) == 2
    shown = capsys.readouterr()
    assert message in shown.err
    assert shown.err.count("\n") == 1


def test_a_picture_from_the_command_line(
    tiny: Path, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(lora())
    monkeypatch.chdir(tmp_path)
    more = ["--model", str(tiny), "--quiet", "--precision", "fp32", "--steps", "1", "--seed", "1"]
    for name, options in (("plain", []), ("inked", ["--lora", "ink:0.5:1"])):
        assert main(["txt2img", "a fox", *more, *options, "-o", f"{name}.png"]) == 0
    assert Path("plain.png").read_bytes() != Path("inked.png").read_bytes()
    assert main(["replay", "inked.png", "--quiet"]) == 0
