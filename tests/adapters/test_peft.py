"""What PEFT says beside an adapter's tensors is followed, or its contradiction is an error."""

import json
import logging
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from sfumato import Studio
from sfumato.adapters.applied import base_of
from sfumato.adapters.apply import Base, Weighted, changed, fit
from sfumato.adapters.formats import read_adapter
from sfumato.errors import CheckpointError
from tests.adapters.conftest import State, Write, lora, numbers

IN = "unet.mid_block.attentions.0.proj_in"
NAMES = ("mid_block.attentions.0.proj_in", "down_blocks.1.attentions.0.proj_in", "up_blocks.0.proj_in2")


@pytest.fixture(scope="module")
def base(studio: Studio) -> Base:
    return base_of(studio.load())


def by_peft(rank: int = 2) -> State:
    """A LoRA in PEFT's spelling."""
    return {
        f"base_model.model.{name}.lora_{side}.weight": numbers(*((rank, 8) if side == "A" else (8, rank)))
        for name in NAMES
        for side in "AB"
    }


def beside(write: Write, config: dict[str, Any], name: str = "adapter_model", state: State | None = None) -> Path:
    path = write(by_peft() if state is None else state, name)
    path.with_name("adapter_config.json").write_text(json.dumps(config))
    return path


def scales(path: Path) -> list[float]:
    """By the order of `NAMES`."""
    adapter = read_adapter(path)
    assert adapter.faults == ()
    found = {piece.module.removeprefix("unet."): piece.scale for piece in adapter.pieces}
    return [found[name] for name in NAMES]


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        ({"proj_in": 6}, [3, 3, 1]),
        ({"in": 6}, [1, 1, 1]),
        ({r".*_blocks\.\d.*proj_in": 6, r"mid_block.*": 8}, [4, 3, 1]),
        ({"attentions.0.proj_in|proj_in2": 8, "proj_in": 6}, [4, 4, 4]),
        ({"^mid_block": 6, "^mid_block.attentions.0.proj_in": 8}, [4, 1, 1]),
        ({"blocks.1.attentions.0.proj_in": 6}, [1, 1, 1]),
    ],
)
def test_patterns_are_regular_expressions(patterns: dict[str, int], expected: list[float], write: Write) -> None:
    """The first that matches the last parts of a name counts; their values are those of `get_pattern_key` in PEFT."""
    config = {"peft_type": "LORA", "r": 2, "lora_alpha": 2, "alpha_pattern": patterns}
    assert scales(beside(write, config)) == expected
    metadata = json.dumps({f"unet.{key}": value for key, value in config.items()})
    state = {name.replace("base_model.model", "unet"): tensor for name, tensor in by_peft().items()}
    assert scales(write(state, "other", lora_adapter_metadata=metadata)) == expected
    alone = {name.removeprefix("unet."): tensor for name, tensor in state.items()}  # as `save_lora_adapter` writes it
    assert scales(write(alone, "third", lora_adapter_metadata=json.dumps(config))) == expected


CONTRADICTIONS: dict[str, tuple[dict[str, Any], str]] = {
    "rank": ({"r": 4, "lora_alpha": 4}, "its rank is 2 and its configuration says 4"),
    "rank by pattern": ({"r": 2, "lora_alpha": 4, "rank_pattern": {"proj_in": 3}}, "rank is 2 and .* says 3"),
    "DoRA": ({"r": 2, "lora_alpha": 2, "use_dora": True}, "DoRA's magnitudes are missing and .* use_dora=True"),
    "alpha": ({"lora_alpha": "8"}, "its lora_alpha is '8', no number"),
    "patterns": ({"lora_alpha": 8, "alpha_pattern": ["proj_in"]}, "its alpha_pattern is .*, no table"),
    "no expression": ({"lora_alpha": 8, "alpha_pattern": {"proj_(in": 3}}, r"'\(\.\*.* is no regular expression"),
    "long": ({"lora_alpha": 8, "alpha_pattern": {"a" * 3000: 3}}, "has 30.. characters"),
}


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_what_the_tensors_contradict_is_an_error(name: str, base: Base, write: Write) -> None:
    config, message = CONTRADICTIONS[name]
    with pytest.raises(CheckpointError, match=message) as caught:
        changed(base, [Weighted(fit(read_adapter(beside(write, config)), base))])
    assert "\n" not in str(caught.value)


def test_an_alpha_that_is_told_twice(base: Base, write: Write) -> None:
    state = {**lora(), f"{IN}.alpha": torch.tensor(3.0)}
    for alpha, fits in ((3, True), (4, False)):
        path = write(state, lora_adapter_metadata=json.dumps({"unet.lora_alpha": alpha}))
        assert (read_adapter(path).faults == ()) is fits
    assert "alpha is 3 and its configuration says 4" in read_adapter(path).faults[0]


def test_a_pattern_that_never_ends_is_stopped(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sfumato.adapters.peft.MATCHING_SECONDS", 0.05)
    begun = time.monotonic()
    adapter = read_adapter(beside(write, {"r": 2, "lora_alpha": 2, "alpha_pattern": {r"(.|\w)+[A-Z]": 3}}))
    assert all("takes too long to match" in fault for fault in adapter.faults)
    assert len(adapter.faults) == len(NAMES)
    assert time.monotonic() - begun < 5


def test_a_multitude_of_patterns_is_stopped(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is quick to match, and all of them are not."""
    monkeypatch.setattr("sfumato.adapters.peft.MATCHING_SECONDS", 0.05)
    patterns = {f"x{number}(a|b)*": 3 for number in range(20_000)}
    begun = time.monotonic()
    adapter = read_adapter(beside(write, {"r": 2, "lora_alpha": 2, "alpha_pattern": patterns}))
    assert "takes too long to match" in adapter.faults[0]
    assert time.monotonic() - begun < 5
    path = beside(write, {"r": 2, "x": "." * 2**24})
    with pytest.raises(CheckpointError, match="it has over 16 MiB"):
        read_adapter(path)


METHODS: dict[str, tuple[dict[str, Any], str]] = {
    "type": ({"peft_type": "VBLORA"}, "is VBLORA of PEFT; LoRA, "),
    "variant": ({"peft_type": "LORA", "use_qalora": True}, "is QALoRA of PEFT"),
    "start": ({"peft_type": "LORA", "init_lora_weights": "pissa_niter_4"}, "began by pissa_niter_4, which changes"),
}


@pytest.mark.parametrize("name", METHODS)
def test_other_methods_are_named(name: str, write: Write) -> None:
    config, message = METHODS[name]
    with pytest.raises(CheckpointError, match=message):
        read_adapter(beside(write, config))


def test_which_file_a_configuration_is_of(write: Write, caplog: pytest.LogCaptureFixture) -> None:
    """That of PEFT's name, or a single file of PEFT's form by any name; without one it is said what is assumed."""
    config = {"r": 2, "lora_alpha": 8}
    with caplog.at_level(logging.WARNING):
        assert scales(beside(write, config, "style")) == [4, 4, 4]
        assert not caplog.records
        plain = write(lora(), "another")
        assert {piece.scale for piece in read_adapter(plain).pieces} == {1.0}
        assert not caplog.records
        assert scales(plain.with_name("style.safetensors")) == [1, 1, 1]
    assert "alpha / rank is taken to be 1" in caplog.text


@pytest.mark.parametrize("settings", [{"num_cayley_neumann_terms": 0}, {"num_cayley_neumann_terms": "5"}, {"eps": "1"}])
def test_settings_of_oft_that_are_no_numbers(settings: dict[str, object], base: Base, write: Write) -> None:
    path = write({f"base_model.model.{IN.partition('.')[2]}.oft_R.weight": torch.ones(8, 6)}, "adapter_model")
    path.with_name("adapter_config.json").write_text(json.dumps({"coft": True}))
    assert changed(base, [Weighted(fit(read_adapter(path), base))])
    path.with_name("adapter_config.json").write_text(json.dumps(settings))
    with pytest.raises(CheckpointError, match="is no rotation"):
        changed(base, [Weighted(fit(read_adapter(path), base))])


@pytest.mark.parametrize("text", ["[1]", "{", '{"unet.lora_alpha": "x"}'])
def test_metadata_that_are_not_as_peft_writes_them(text: str, base: Base, write: Write) -> None:
    with pytest.raises(CheckpointError, match=r"not as PEFT writes it|its lora_alpha is 'x', no number"):
        changed(base, [Weighted(fit(read_adapter(write(lora(), lora_adapter_metadata=text)), base))])
