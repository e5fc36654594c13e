"""Animations: their keys are pictures, what lies between moves evenly, and an interrupted one goes on."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sfumato import Studio, cli
from sfumato.animation import Key, check_name, flicker, following, in_between, read_keys, save
from sfumato.diffusion.noise import great_circle
from sfumato.errors import RequestError
from sfumato.metadata.describe import describe
from sfumato.output import read_request
from sfumato.requests import Between, Follow, Source, Txt2Img
from sfumato.tasks.follow import moved


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
    with pytest.raises(RequestError, match="keys are at frames 0, 0; give two or more, each at a frame of its own"):
        in_between([Key(0, "a"), Key(0, "b")], Between(prompt="", to=""))
    file = tmp_path / "keys.json"
    file.write_text('[{"frame": 0, "prompt": "a", "zoom": "2"}]')
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


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    rows = np.indices((64, 64)).sum(0)
    return Image.fromarray(np.stack([rows * 2, 255 - rows * 2, rows * 37 % 256], -1).astype(np.uint8))


def test_a_camera_moves_as_told() -> None:
    image = Image.new("RGB", (64, 48))
    image.paste("white", (8, 16, 16, 24))
    boxes = {
        (1.0, 0.0, 10.0, -4.0): (18, 12, 26, 20),
        (1.5, 0.0, 0.0, 0.0): (0, 12, 8, 24),  # half as far again from the middle, (32, 24); a part is out
        (1.0, 90.0, 0.0, 0.0): (24, 40, 32, 48),  # anticlockwise: what was to the left is below
        (1.0, 0.0, 0.0, 0.0): (8, 16, 16, 24),
    }
    for (zoom, angle, right, down), box in boxes.items():
        seen = moved(image, zoom, angle, (right, down)).convert("L").point(lambda value: 255 * (value > 127))
        assert seen.getbbox() == box
    grey = Image.new("RGB", (64, 48), (90, 90, 90))
    assert np.ptp(np.asarray(moved(grey, 0.5, 30.0, (50.0, 9.0)))) <= 1  # what comes in repeats the edge


def test_a_frame_that_follows_is_img2img_of_the_last_one_moved(studio: Studio, photo: Image.Image) -> None:
    options = {"seed": 3, "steps": 3, "strength": 0.7}
    followed = studio.follow(photo, "a red fox", zoom=1.1, angle=5.0, translation_x=3.0, **options)  # type: ignore[arg-type]
    same = studio.img2img(moved(photo, 1.1, 5.0, (3.0, 0.0)), "a red fox", **options)  # type: ignore[arg-type]
    assert followed[0].tobytes() == same[0].tobytes()
    fields = describe(followed.request).fields
    assert (fields["Zoom"], fields["Angle"], fields["Translation X"]) == ("1.1", "5", "3")
    blended = [
        studio.follow(photo, "a red fox", to="a green house", share=share, **options)[0].tobytes()  # type: ignore[arg-type]
        for share in (0.0, 0.5, 1.0)
    ]
    assert blended[0] == studio.img2img(photo, "a red fox", **options)[0].tobytes()  # type: ignore[arg-type]
    assert blended[2] == studio.img2img(photo, "a green house", **options)[0].tobytes()  # type: ignore[arg-type]
    assert blended[1] not in (blended[0], blended[2])


def test_frames_that_follow_have_the_camera_between_their_keys(photo: Image.Image, tmp_path: Path) -> None:
    photo.save(tmp_path / "last.png")
    keys = [Key(0, "a", 5, zoom=1.0), Key(2, "b", angle=4.0), Key(4, "b", 9, zoom=1.2)]
    frames = list(following(keys, {"steps": 4, "strength": 0.5}, lambda: tmp_path / "last.png"))
    assert isinstance(frames[0], Txt2Img)
    assert (frames[0].prompt, frames[0].seed, frames[0].steps) == ("a", 5, 4)
    rest = [each for each in frames if isinstance(each, Follow)]
    assert [(f.prompt, f.to, f.seed) for f in rest] == [("a", "b", 6), ("b", None, 7), ("b", None, 8), ("b", None, 9)]
    assert [f.zoom for f in rest] == pytest.approx([1.0, 1.0, 1.1, 1.2])
    assert [f.angle for f in rest] == pytest.approx([2.0, 4.0, 4.0, 4.0])
    assert {f.strength for f in rest} == {0.5}
    begun = next(following(keys, {"image": photo, "zoom": 2.0}, lambda: tmp_path / "last.png"))
    assert isinstance(begun, Follow)
    assert (begun.image, begun.zoom) == (Source.of(photo), 1.0)  # the picture given stands still
    with pytest.raises(RequestError, match="zoom"):
        following([Key(0, "a"), Key(9, "b", zoom=99.0)], {}, lambda: tmp_path / "last.png")
    with pytest.raises(RequestError, match="guidance is said after frame 0"):
        following([Key(0, "a"), Key(9, "b", guidance=2.0)], {"zoom": 1.1}, lambda: tmp_path / "last.png")


def test_a_chain_goes_on_where_it_was_interrupted(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["animate", "--key", "0@1:a fox", "--key", "3:a house", "-o", "fox.gif", "--precision", "fp32", "--json"]
    words += ["--set", f"model={tiny}", "--set", "steps=2", "--set", "zoom=1.05"]
    assert cli.main([*words, "--pingpong"]) == 0
    first = json.loads(capsys.readouterr().out)
    files = [Path(frame) for frame in first["frames"]]
    assert len(files) == 4
    assert len(first["flicker"]) == 6
    with Image.open("fox.gif") as moving:
        assert moving.n_frames == 6  # type: ignore[attr-defined]
    request = read_request(files[2])
    assert isinstance(request, Follow)
    assert (request.image.path, request.zoom, request.seed) == (str(files[1]), 1.05, 3)
    pixels = [Image.open(file).tobytes() for file in files]
    times = [file.stat().st_mtime_ns for file in files]
    files[2].unlink()
    assert cli.main(words) == 0
    again = [Path(frame) for frame in json.loads(capsys.readouterr().out)["frames"]]
    assert [Image.open(file).tobytes() for file in again] == pixels
    assert [file.stat().st_mtime_ns == time for file, time in zip(again, times, strict=True)] == [
        *(True, True, False, True)
    ]
    assert cli.main([*words, "--loop", "2"]) == 2
    assert "--pingpong in place of --loop" in capsys.readouterr().err


def test_a_video_has_all_frames(tmp_path: Path) -> None:
    import av

    frames = [Image.new("RGB", (33, 32), (shade, 80, 200 - shade)) for shade in (0, 60, 120, 180)]
    save(frames, tmp_path / "a.mp4", 8)
    with av.open(tmp_path / "a.mp4") as moving:
        shown = [frame.to_image() for frame in moving.decode(video=0)]
        assert moving.streams.video[0].average_rate == 8
    assert [each.size for each in shown] == [(32, 32)] * 4
    for frame, each in zip(frames, shown, strict=True):
        assert np.abs(np.asarray(each, int) - np.asarray(frame.crop((0, 0, 32, 32)), int)).mean() < 6


def test_a_video_without_its_encoder_is_refused_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(RequestError, match=r"\.mp4 needs PyAV: pip install .*, or end it in \.webp"):
        check_name(Path("a.mp4"))
