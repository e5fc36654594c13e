"""Animations: their keys are pictures, what lies between moves evenly, and an interrupted one goes on."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sfumato import Studio, cli
from sfumato.animation import Key, flicker, in_between, read_keys, save
from sfumato.diffusion.noise import great_circle
from sfumato.errors import RequestError
from sfumato.output import read_request
from sfumato.requests import Between


@pytest.fixture(scope="module")
def studio(tiny: Path) -> Studio:
    return Studio(tiny, device="cpu", precision="fp32")


def test_noise_between_noises_is_unit_noise() -> None:
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(2, 4, 32, 32, generator=generator) for _ in range(2))
    assert torch.equal(great_circle(a, b, 0), a)
    assert torch.equal(great_circle(a, b, 1), b)
    assert torch.allclose(great_circle(a, a, 0.3), a, atol=1e-6)
    norm = a.flatten(1).norm(dim=1)
    halfway = great_circle(a, b, 0.5).flatten(1).norm(dim=1)
    assert torch.allclose(halfway, (norm + b.flatten(1).norm(dim=1)) / 2, rtol=0.02)
    assert (torch.lerp(a, b, 0.5).flatten(1).norm(dim=1) < 0.75 * norm).all()  # what a straight mean loses
    assert torch.equal(great_circle(a, b, 0.3)[:1], great_circle(a[:1], b[:1], 0.3))  # each image alone


@pytest.mark.parametrize("sampler", ["euler_a", "dpmpp_2m_sde"])
@pytest.mark.parametrize("numerics", ["diffusers", "a1111"])
def test_both_ends_are_the_pictures_themselves(sampler: str, numerics: str, studio: Studio) -> None:
    options = {"steps": 3, "sampler": sampler, "numerics": numerics}
    ends = {"seed": 1, "to_seed": 9, "guidance": 2.0, "to_guidance": 5.0}
    first = studio.between("a red fox", "a [green:old:0.5] house", share=0.0, **ends, **options)  # type: ignore[arg-type]
    last = studio.between("a red fox", "a [green:old:0.5] house", share=1.0, **ends, **options)  # type: ignore[arg-type]
    a = studio.txt2img("a red fox", seed=1, guidance=2.0, **options)  # type: ignore[arg-type]
    b = studio.txt2img("a [green:old:0.5] house", seed=9, guidance=5.0, **options)  # type: ignore[arg-type]
    assert first[0].tobytes() == a[0].tobytes()
    assert last[0].tobytes() == b[0].tobytes()


def test_a_frame_remembers_what_it_lies_between(studio: Studio, tmp_path: Path) -> None:
    result = studio.between("a red fox", "a green house", seed=1, to_seed=2, share=0.25, steps=2, count=2)
    files = result.save(tmp_path / "a.png")
    second = read_request(files[1])
    assert isinstance(second, Between)
    assert (second.seed, second.to_seed, second.share) == (2, 3, 0.25)
    assert studio.run(second)[0].tobytes() == result[1].tobytes()


def test_prompts_that_cannot_be_blended_are_refused(studio: Studio) -> None:
    with pytest.raises(RequestError, match="other numbers of parts joined by AND"):
        studio.between("a fox AND a house", "a fox", steps=1)
    with pytest.raises(RequestError, match="longer than the text encoder takes at once"):
        studio.between("a red fox " * 20, "a fox", steps=1)


def test_frames_run_from_key_to_key_and_back() -> None:
    keys = [Key(6, "c", guidance=3.0), Key(0, "a", 1), Key(2, "b", 5)]
    frames = in_between(keys, Between(prompt="", to="", steps=4, guidance=1.0))
    assert [(f.prompt, f.to, f.seed, f.to_seed, f.share) for f in frames[:3]] == [
        ("a", "b", 1, 5, 0.0),
        ("a", "b", 1, 5, 0.5),
        ("b", "c", 5, 5, 0.0),
    ]
    assert len(frames) == 7
    assert (frames[-1].to, frames[-1].share, frames[-1].to_guidance, frames[-1].steps) == ("c", 1.0, 3.0, 4)
    loop = in_between(keys, Between(prompt="", to="", guidance=1.0), loop=3)
    assert len(loop) == 9
    assert [(f.prompt, f.to, f.to_seed, f.to_guidance) for f in loop[6:]] == [("c", "a", 1, 1.0)] * 3


@pytest.mark.parametrize(("text", "key"), [('0:a fox: "red"', Key(0, 'a fox: "red"')), ("24@7:狐", Key(24, "狐", 7))])
def test_a_key_is_a_frame_and_a_prompt(text: str, key: Key) -> None:
    assert Key.parse(text) == key


def test_keys_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="must be FRAME:PROMPT"):
        Key.parse("a fox")
    with pytest.raises(RequestError, match="keys are at frames 0, 0; give two or more, each its own"):
        in_between([Key(0, "a"), Key(0, "b")], Between(prompt="", to=""))
    file = tmp_path / "keys.json"
    file.write_text('[{"frame": 0, "prompt": "a", "zoom": 2}]')
    with pytest.raises(RequestError, match="a key is"):
        read_keys(file)
    file.write_text('[{"frame": 0, "prompt": "a"}, {"frame": 3, "prompt": "b", "guidance": 2}]')
    assert read_keys(file) == [Key(0, "a"), Key(3, "b", guidance=2)]


def test_flicker_is_the_mean_difference_of_neighbours() -> None:
    frames = [Image.new("RGB", (4, 4), (grey,) * 3) for grey in (0, 10, 40)]
    assert flicker(frames) == [10, 30]
    assert flicker(frames, loop=True) == [10, 30, 40]


@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.webp"])
def test_a_file_moves_without_end(name: str, tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "green", "blue")]
    save(frames, tmp_path / name, 10)
    with Image.open(tmp_path / name) as moving:
        assert moving.n_frames == 3  # type: ignore[attr-defined]
        assert moving.info["loop"] == 0
        moving.seek(2)
        moving.load()
        assert moving.info["duration"] == 100
        off = np.asarray(moving.convert("RGB"), int) - np.asarray(frames[2], int)
        assert np.abs(off).max() <= 8


def test_the_command_goes_on_where_it_was_interrupted(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "fox.webp"
    words = ["animate", "--key", "0@1:a fox", "--key", "2:a house", "-o", str(out), "--precision", "fp32", "--json"]
    words += ["--set", f"model={tiny}", "--set", "steps=1", "--loop", "2"]
    assert cli.main(words) == 0
    shown = capsys.readouterr()
    answer = json.loads(shown.out)
    assert len(answer["frames"]) == len(answer["flicker"]) == 4
    assert "4 frames; neighbours differ by" in shown.err
    times = [Path(frame).stat().st_mtime_ns for frame in answer["frames"]]
    Path(answer["frames"][2]).unlink()
    out.unlink()
    assert cli.main(words) == 0
    again = json.loads(capsys.readouterr().out)
    assert out.is_file()
    kept = [Path(frame).stat().st_mtime_ns for frame in again["frames"]]
    assert [a == b for a, b in zip(times, kept, strict=True)] == [True, True, False, True]
    assert again["flicker"] == answer["flicker"]
    assert cli.main([*words[:5], "-o", "fox.txt"]) == 2
    assert "must end in one of .gif" in capsys.readouterr().err
