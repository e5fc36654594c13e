"""Adapters made of adapters act as their sums, parts and differences do."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from sfumato import Studio
from sfumato.adapters.applied import apply, base_of
from sfumato.adapters.requested import Requested, files_of
from sfumato.adapters.surgery import Rank, blended, change_of, extracted, pieces_of, resized
from sfumato.checkpoints.folder import load_folder
from sfumato.cli import main
from sfumato.model import Model
from sfumato.requests import Lora
from tests.adapters.conftest import State, Write, lora, of
from tests.conftest import write_tiny


def weights(model: Model, file: Path, weight: float = 1.0) -> State:
    """What becomes of the model's tensors."""
    after = apply(model, Requested(files_of([Lora(name=str(file), weight=weight)]))).model
    return {f"{part}.{name}": t for part, m in after.components.items() for name, t in m.state_dict().items()}


def test_another_layout_is_the_same_adapter(studio: Studio, write: Write, tiny: Path, tmp_path: Path) -> None:
    """There and back; files are made by the command line."""
    first = write(lora())
    for layout, source in (("kohya", first), ("diffusers", tmp_path / "kohya.safetensors")):
        target = tmp_path / f"{layout}.safetensors"
        assert main(["adapter", "convert", str(source), str(target), "--model", str(tiny), "--layout", layout]) == 0
        ours, theirs = weights(studio.load(), target), weights(studio.load(), first)
        for name, tensor in theirs.items():
            torch.testing.assert_close(ours[name], tensor, atol=2e-3, rtol=2e-3)  # written in fp16
    assert any(name.startswith("lora_te_text_model") for name in load_file(tmp_path / "kohya.safetensors"))
    assert "unet.mid_block.attentions.0.proj_in.lora_A.weight" in load_file(tmp_path / "diffusers.safetensors")


@pytest.mark.parametrize("kind", ["lora", "lora, dora", "loha", "lokr", "ia3", "diff"])
def test_every_kind_at_full_rank_is_itself(kind: str, studio: Studio, write: Write) -> None:
    model = studio.load()
    pieces = pieces_of(write(of(kind)), model)
    found, kept = resized(pieces, model, Rank())
    assert kept.share == pytest.approx(1)
    base = base_of(model)
    torch.testing.assert_close(
        change_of(found[0], base)["weight"], change_of(pieces[0], base)["weight"], atol=1e-4, rtol=1e-4
    )


def test_a_rank_keeps_the_most(studio: Studio, write: Write) -> None:
    """The share that is kept is that of the largest singular values, whichever way the limit is given."""
    model = studio.load()
    pieces = pieces_of(write(of("loha")), model)
    values = torch.linalg.svdvals(change_of(pieces[0], base_of(model))["weight"]).square()
    found, kept = resized(pieces, model, Rank(most=1))
    assert found[0].rank == 1
    assert kept.share == pytest.approx(float(values[0] / values.sum()), rel=1e-4)
    enough, kept = resized(pieces, model, Rank(keep=0.9))
    wanted = int((values.cumsum(0) < 0.9 * values.sum()).sum()) + 1
    assert enough[0].rank == wanted
    assert kept.share >= 0.9


def test_a_blend_is_the_sum(studio: Studio, write: Write) -> None:
    model = studio.load()
    one, other = pieces_of(write(lora(seed=1), "one"), model), pieces_of(write(of("lokr"), "other"), model)
    base = base_of(model)
    sums: dict[str, torch.Tensor] = {}
    for pieces, weight in ((one, 0.7), (other, -0.4)):
        for piece in pieces:
            sums[piece.module] = sums.get(piece.module, torch.zeros(())) + weight * change_of(piece, base)["weight"]
    found, _ = blended([(one, 0.7), (other, -0.4)], model)
    assert {piece.module for piece in found} == sums.keys()
    for piece in found:
        torch.testing.assert_close(change_of(piece, base)["weight"], sums[piece.module], atol=1e-4, rtol=1e-4)
    exact, kept = blended([(one, 1.0), (one, 1.0)], model)
    assert {piece.rank for piece in exact} == {4}
    assert not kept.ranks


def test_a_tuned_model_comes_back(studio: Studio, write: Write, tiny: Path, tmp_path: Path) -> None:
    """A LoRA merged into the model and taken out again paints as the tuned model does."""
    merged = tmp_path / "tuned"
    ink = write(lora(scale=0.3))
    assert main(["adapter", "merge", str(tiny), str(merged), "--lora", str(ink)]) == 0
    tuned = load_folder(merged, dtype=torch.float32, device=torch.device("cpu"))
    found = extracted(tuned, studio.load(), Rank(4))
    assert len(found.pieces) == 4
    assert not found.left_out
    assert found.kept.share > 0.999
    target = tmp_path / "out.safetensors"
    assert main(["adapter", "extract", str(merged), str(target), "--model", str(tiny), "--rank", "4"]) == 0
    ours = weights(studio.load(), target)
    for name, tensor in tuned.network.state_dict().items():
        torch.testing.assert_close(ours[f"unet.{name}"], tensor, atol=5e-3, rtol=5e-3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["resize", "ink", "out.safetensors"], "how far to cut is missing"),
        (["resize", "ink", "out.safetensors", "--keep", "2"], "keep is 2; give a share"),
        (["convert", "ink", "out.bin"], "name it out.safetensors"),
        (["convert", "inc", "out.safetensors"], "unknown lora 'inc'; did you mean ink"),
        (["convert", "ink", "out.safetensors", "--layout", "koya"], "did you mean kohya?"),
        (["blend", "ink", "out.safetensors"], "two adapters or more"),
        (["convert", "kinds", "out.safetensors"], "diffusers loads up and down alone"),
        (["extract", "TINY", "out.safetensors"], "no layer of tiny differs"),
    ],
)
def test_bad_input(
    arguments: list[str],
    message: str,
    write: Write,
    tiny: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    write(lora())
    write(of("lokr"), "kinds")
    given = [str(tiny) if each == "TINY" else each for each in arguments]
    assert main(["adapter", *given, "--model", str(tiny)]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert len(captured.err.splitlines()) == 1
    assert not (tmp_path / "out.safetensors").exists()


def test_models_of_other_forms(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = write_tiny(tmp_path / "one")
    assert main(["adapter", "extract", str(one), str(tmp_path / "out.safetensors"), "--model", "nano"]) == 2
    assert "is not of the form of nano" in capsys.readouterr().err
