"""``sfumato inspect`` of adapters: what they are, what they fit, how strongly they act, and the exit code."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from sfumato.cli import main
from tests.adapters.conftest import State, Write, lora, numbers, of

Capture = pytest.CaptureFixture[str]


def facts(arguments: list[str], capsys: Capture, code: int) -> dict[str, Any]:
    assert main(["inspect", *arguments, "--json"]) == code
    shown = capsys.readouterr()
    assert shown.err == ""
    found: dict[str, Any] = json.loads(shown.out)
    assert found["good"] == (code == 0)
    return found


def test_a_file_alone(write: Write, capsys: Capture) -> None:
    state = {
        **lora(rank=3),
        "unet.conv_out.diff": numbers(4, 16, 3, 3).half(),
        "unet.conv_norm_out.w_norm": numbers(16),
    }
    found = facts([str(write(state, ss_network_dim="3"))], capsys, 0)
    assert (found["kind"], found["format"], found["model"], found["matched"]) == ("lora", "diffusers", None, None)
    assert found["kinds"] == {"lora": 2, "locon": 2, "diff": 1, "norm": 1}
    assert found["ranks"] == {"3": 4}
    assert found["precision"] == {"F32": 9, "F16": 1}
    assert found["metadata"] == {"ss_network_dim": "3"}


RANKS = {"oft": 4, "oft, diagonal": 4, "oft, columns": 2, "glora": 2, "lora, dora": 2, "ia3": None}
"""Of `KINDS`; of rotations, how many blocks there are."""


@pytest.mark.parametrize("kind", RANKS)
def test_each_kind_is_told(kind: str, tiny: Path, write: Write, capsys: Capture) -> None:
    found = facts([str(write(of(kind))), "--model", str(tiny)], capsys, 0)
    label = kind if kind == "lora, dora" else kind.partition(",")[0]
    assert (found["format"], found["kinds"]) == ("kohya", {label: 1})
    assert found["ranks"] == ({} if RANKS[kind] is None else {str(RANKS[kind]): 1})
    assert (found["matched"], found["unmatched"], found["misshapen"]) == (len(of(kind)), 0, 0)
    assert found["strength"]["unet"] > 0
    other = {name.replace("to_k", "to_z"): tensor for name, tensor in of(kind).items()}
    found = facts([str(write({**of("lora"), **other})), "--model", str(tiny)], capsys, 2)
    assert (found["matched"], found["unmatched"]) == (2, len(other))
    wrong = {name.replace("attn2_to_k", "ff_net_0_proj"): tensor for name, tensor in of(kind).items()}
    found = facts([str(write({**of("lora"), **wrong})), "--model", str(tiny)], capsys, 2)
    assert (found["matched"], found["unmatched"], found["misshapen"]) == (2, 0, 1)
    assert "1 of its modules have other shapes" in found["verdict"]


def test_against_a_model(tiny: Path, write: Write, capsys: Capture) -> None:
    path = str(write(lora()))
    found = facts([path, "--model", str(tiny)], capsys, 0)
    assert (found["matched"], found["unmatched"], found["misshapen"], found["model"]) == (8, 0, 0, "tiny")
    assert found["verdict"] == "a LoRA that fits tiny"
    assert set(found["strength"]) == {"unet", "text_encoder"}
    assert found["strength"]["unet"] > 0
    stronger = facts([str(write(lora(scale=0.2))), "--model", str(tiny)], capsys, 0)
    assert stronger["strength"]["unet"] == pytest.approx(2 * found["strength"]["unet"], rel=1e-4)
    assert main(["inspect", path, "--model", str(tiny)]) == 0
    assert "a LoRA that fits tiny" in capsys.readouterr().out


IN = "unet.mid_block.attentions.0.proj_in"
UNSOUND: dict[str, tuple[State, dict[str, Any], str]] = {
    "unmatched": (
        {**lora(), "unet.none.diff": torch.ones(2)},
        {"matched": 8, "unmatched": 1, "names": {"unmatched": ["unet.none.diff"]}},
        "a LoRA that does not fit tiny: 1 of its tensors match no module",
    ),
    "misshapen": (
        {**lora(), f"{IN}.lora_A.weight": numbers(2, 7, 1, 1)},
        {"matched": 6, "misshapen": 1},
        "1 of its modules have other shapes",
    ),
    "another family": (
        {"lora_te2_text_model_encoder_layers_0_mlp_fc1.diff": numbers(2, 2)},
        {"matched": 0, "unmatched": 1, "family": "sdxl"},
        "it was made for sdxl and tiny is custom",
    ),
    "NaN": ({f"{IN}.diff": torch.full((32, 32, 1, 1), float("nan"))}, {"non_finite": 1, "strength": {}}, "NaN"),
    "without effect": (lora(scale=0.0), {"matched": 8}, "it changes nothing"),
}


@pytest.mark.parametrize("name", UNSOUND)
def test_unsound_files_end_with_2(name: str, tiny: Path, write: Write, capsys: Capture) -> None:
    state, expected, verdict = UNSOUND[name]
    found = facts([str(write(state)), "--model", str(tiny)], capsys, 2)
    assert {key: found[key] for key in expected} == expected
    assert verdict in found["verdict"]


def test_a_method_that_is_not_read_is_named(tiny: Path, write: Write, capsys: Capture) -> None:
    path = str(write({"base_model.model.mid_block.attentions.0.proj_in.boft_R": numbers(2, 2)}))
    for arguments in ([path], [path, "--model", str(tiny)]):
        found = facts(arguments, capsys, 2)
        assert found["verdict"].startswith("BOFT of PEFT; LoRA, LoCon, ")


def test_what_is_changed_is_told_in_full(tiny: Path, write: Write, capsys: Capture) -> None:
    """New weights and biases are kinds of their own; an alpha that had to be assumed is in the verdict."""
    root = "base_model.model.mid_block.attentions.0"
    state = {
        f"{root}.proj_in.lora_A.weight": numbers(2, 32, 1, 1),
        f"{root}.proj_in.lora_B.weight": numbers(32, 2, 1, 1),
        f"{root}.proj_in.lora_B.bias": numbers(32),
        f"{root}.norm.weight": numbers(32),
        f"{root}.proj_out.base_layer.bias": numbers(32),
    }
    found = facts([str(write(state)), "--model", str(tiny)], capsys, 0)
    assert (found["kinds"], found["matched"]) == ({"locon": 1, "set": 2}, 5)
    assert "a LoRA that fits tiny; adapter_config.json, in which PEFT writes alpha, is not" in found["verdict"]


def test_a_pair_torn_apart_is_seen_without_a_model(write: Write, capsys: Capture) -> None:
    found = facts([str(write({f"{IN}.lora_A.weight": numbers(2, 32), f"{IN}.diff": numbers(2)}))], capsys, 2)
    assert found["misshapen"] == 1
    assert "make no whole" in found["verdict"]


def test_embeddings(tiny: Path, write: Write, capsys: Capture) -> None:
    path = str(write({"emb_params": 2 * torch.eye(3, 16)}, "word"))
    found = facts([path, "--model", str(tiny)], capsys, 0)
    assert (found["kind"], found["format"], found["ranks"]) == ("embedding", "A1111, safetensors", {"16": 3})
    assert found["strength"] == {"text_encoder": 2.0}
    assert found["verdict"] == "an embedding that fits tiny"
    assert found["names"] == {"words": ["word"]}
    several = str(write({"<a>": numbers(1, 16), "<b>": numbers(2, 16)}, "both"))
    found = facts([several, "--model", str(tiny)], capsys, 0)
    assert found["names"] == {"words": ["both", "<a>", "<b>"]}
    wide = str(write({"emb_params": numbers(1, 768)}, "wide"))
    assert facts([wide], capsys, 0)["family"] == "sd1"
    assert "768 wide" in facts([wide, "--model", str(tiny)], capsys, 2)["verdict"]


def test_only_adapters_are_held_against_models(tiny: Path, capsys: Capture) -> None:
    unet = tiny / "unet" / "diffusion_pytorch_model.safetensors"
    assert main(["inspect", str(unet), "--model", str(tiny)]) == 2
    assert "is no LoRA or embedding" in capsys.readouterr().err
    assert main(["inspect", str(unet), "--model", "nani"]) == 2
    assert "unknown model 'nani'" in capsys.readouterr().err
