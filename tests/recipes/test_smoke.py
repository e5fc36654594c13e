"""The smoke test of the recipe can fail, and is made of the recipe. The run itself is `make train-smoke`."""

import json
import re
import tomllib
from pathlib import Path

import pytest
from PIL import Image
from recipes.nano.bundle import RECIPE
from recipes.nano.smoke import SMALL, has_contrast, merged, toml, training


@pytest.mark.parametrize("name", SMALL)
def test_settings_are_the_recipes_but_for_what_is_smaller(name: str) -> None:
    real = tomllib.loads((RECIPE / f"{name}.toml").read_text("utf-8"))
    small = merged(real, SMALL[name])
    assert tomllib.loads("".join(f"{key} = {toml(value)}\n" for key, value in small.items())) == small
    assert small.keys() == real.keys()
    assert small["loop"] == {**real["loop"], **small["loop"]}
    assert {key for key in real if small[key] != real[key]} == SMALL[name].keys()


def test_tables_are_merged_and_none_leaves_out() -> None:
    settings = {"a": 1, "b": {"c": 2, "d": 3}, "e": [4]}
    assert merged(settings, {"b": {"c": None, "d": 5}, "e": None}) == {"a": 1, "b": {"d": 5}}


@pytest.mark.parametrize(
    ("losses", "fault"),
    [
        ([0.5, 0.7, 0.4], None),
        ([0.5, 0.4, 0.5], "train/loss did not fall: 0.5, 0.4, 0.5"),
        ([0.5, float("nan"), 0.4], "did not fall: 0.5, nan, 0.4"),
        ([0.5], "did not fall"),
        ([], "did not fall"),
    ],
)
def test_a_loss_that_does_not_fall_ends_it(losses: list[float], fault: str | None, tmp_path: Path) -> None:
    stage = training("classifier", tmp_path)
    (tmp_path / "classifier" / "sheets").mkdir(parents=True)
    Image.new("RGB", (2, 2)).save(tmp_path / "classifier" / "sheets" / "1.png")
    lines = (json.dumps({"step": step, "train/loss": loss}) + "\n" for step, loss in enumerate(losses))
    (tmp_path / "classifier" / "log.jsonl").write_text("".join(lines))
    if fault is None:
        assert stage.check() == "train/loss 0.500 to 0.400"
        return
    with pytest.raises(SystemExit, match=fault) as ended:
        stage.check()
    assert isinstance(ended.value.code, str), "printed on stderr, with exit code 1"
    assert "\n" not in ended.value.code


def test_a_picture_of_one_colour_shows_nothing(tmp_path: Path) -> None:
    image = Image.new("RGB", (8, 8), "red")
    image.save(tmp_path / "plain.png")
    image.paste("blue", (0, 0, 4, 8))
    image.save(tmp_path / "two.png")
    assert not has_contrast(tmp_path / "plain.png")
    assert has_contrast(tmp_path / "two.png")


@pytest.mark.parametrize("name", SMALL)
def test_a_stage_takes_only_what_is_trained_before_it(name: str) -> None:
    before = list(SMALL)[: list(SMALL).index(name)]
    taken = re.findall(r"runs/nano/(\w+)/export", (RECIPE / f"{name}.toml").read_text("utf-8"))
    assert set(taken) <= set(before)
