"""A model with an expert: which weights paint what, and what is left to the model itself."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from sfumato import Studio
from sfumato.adapters.trained import Form, attach
from sfumato.adapters.written import Trained, write_adapter
from sfumato.checkpoints.folder import denoiser_digest
from sfumato.errors import CheckpointError
from sfumato.prompts.interpretation import interpret
from sfumato.prompts.lexicon import FILE, lexicon_of
from tests.conftest import write_tiny
from tests.prompts.test_lexicon import KINDS, MEANINGS, WORDS

SEA, BUS = "the sea at sunset", "a bus, please"


def said(expert: str) -> str:
    kinds: dict[str, Any] = {**KINDS, "place": {**KINDS["place"], "expert": expert}}
    return json.dumps({"words": WORDS, "meanings": MEANINGS, "kinds": kinds, "says": {}})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, tiny_twin: Path) -> Path:
    folder = write_tiny(tmp_path_factory.mktemp("models") / "pair")
    (folder / FILE).write_text(said("places"))
    for part in ("unet", "text_encoder"):
        shutil.copytree(tiny_twin / part, folder / "experts" / "places" / part)
    return folder


def studio(folder: Path) -> Studio:
    return Studio(folder, device="cpu", precision="fp32")


def painted(studio: Studio, prompt: str, **how: Any) -> bytes:
    return studio.txt2img(prompt, seed=1, steps=2, **how)[0].tobytes()


def test_an_expert_paints_its_kind_of_picture_and_the_model_the_others(
    folder: Path, tiny: Path, tiny_twin: Path, tmp_path: Path
) -> None:
    pair, base = studio(folder), studio(tiny)
    mixed = tmp_path / "mixed"
    shutil.copytree(tiny, mixed)
    for part in ("unet", "text_encoder"):
        shutil.copytree(tiny_twin / part, mixed / part, dirs_exist_ok=True)
    view, bus = "view, sunset, sea, orange sky", "icon of bus"
    scene, thing = painted(studio(mixed), view), painted(base, bus)
    assert scene != painted(base, view)
    for prompt, right in ((SEA, scene), (BUS, thing), (SEA, scene), (view, scene)):
        assert painted(pair, prompt) == right, prompt
    weighted = studio(mixed), studio(folder)
    assert len({painted(each, "(the sea:1.2) at sunset") for each in weighted}) == 1
    assert painted(pair, SEA, as_written=True) == painted(studio(mixed), SEA)
    result = pair.txt2img(SEA, seed=1, steps=2)
    assert result.provenance.model_hash == denoiser_digest(tiny_twin, "unet")
    assert painted(pair, "", negative="") == painted(base, "")


def test_weights_made_for_the_model_itself_are_put_on_it(
    folder: Path, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = studio(tiny).load()
    attached, adapters = attach(model, Form(rank=1, targets=["attn2.to_q"]))
    pieces = [Trained(name, parts, attached.scales[name]) for name, parts in adapters.pieces().items()]
    write_adapter(tmp_path, "ink", pieces, model, {})
    monkeypatch.setenv("SFUMATO_LORAS", str(tmp_path))
    plain = painted(studio(tiny), SEA, loras=[{"name": "ink"}])
    assert painted(studio(folder), SEA, loras=[{"name": "ink"}]) == plain
    assert painted(studio(folder), f"{SEA} <lora:ink:1>") == plain
    save_file({"emb_params": torch.ones(1, 16)}, tmp_path / "mila.safetensors")
    monkeypatch.setenv("SFUMATO_EMBEDDINGS", str(tmp_path))
    assert painted(studio(folder), f"mila by {SEA}") == painted(studio(tiny), f"mila by {SEA}")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("missing", "which the lexicon of broken asks for"),
        ("elsewhere", "which the lexicon of broken asks for"),
        ("form", "is of another form than"),
    ],
)
def test_an_expert_that_is_not_whole_is_named(folder: Path, tmp_path: Path, damage: str, message: str) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(folder, broken)
    place = broken / "experts" / "places"
    if damage == "missing":
        shutil.rmtree(place)
    elif damage == "elsewhere":
        (broken / FILE).write_text(said("../experts/places"))
    else:
        config = json.loads((place / "unet" / "config.json").read_text())
        (place / "unet" / "config.json").write_text(json.dumps({**config, "norm_num_groups": 4}))
    with pytest.raises(CheckpointError, match=message):
        painted(studio(broken), SEA)
    painted(studio(broken), BUS)


def test_a_lexicon_says_who_paints_what(folder: Path) -> None:
    lexicon = lexicon_of(folder)
    assert lexicon is not None
    assert lexicon.experts == {"places"}
    asked = ("sea", "a bus by the sea", "夕阳下的大海", "a girl", "")
    assert [interpret(prompt, lexicon).expert for prompt in asked] == ["places", "", "places", "", ""]
