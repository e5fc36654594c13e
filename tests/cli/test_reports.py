"""What ``sfumato models NAME`` prints of a model's world."""

import sys
from pathlib import Path

import pytest

from sfumato.cli.reports import knowledge
from sfumato.prompts.vocabulary import Vocabulary


def test_what_a_model_knows_and_what_was_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    about = {"emoji": {"name": ("cat", "dog"), "name_zh": ("猫", "狗")}}
    Vocabulary(("cat",), about, {"thinner than a pixel": ("sword", "needle")}).write(tmp_path)
    monkeypatch.setattr(sys.modules["sfumato.checkpoints.catalogue"], "find", lambda _: tmp_path)
    knowledge("nano", as_json=False)
    assert capsys.readouterr().out.splitlines() == [
        "emoji",
        "  name: cat, dog",
        "  2 dropped (thinner than a pixel): sword, needle",
    ]
