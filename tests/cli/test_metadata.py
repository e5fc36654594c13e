"""``sfumato meta`` and ``replay``: what a picture says, and whether it is true."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from sfumato.cli import main
from sfumato.metadata import carriers
from sfumato.output import read_request
from sfumato.requests import Txt2Img
from tests.cli.conftest import Command
from tests.cli.fake_studio import Studio
from tests.metadata.pictures import encoded, text_png

Capture = pytest.CaptureFixture[str]
SETTINGS = "a \x1b cat\nSteps: 20, Sampler: Wavelet, Seed: 1, RNG: CPU"


def painted(capsys: Capture, *options: str, name: str = "a.png") -> Path:
    assert main(["txt2img", "a cat", "--size", "64x48", "-o", name, *options]) == 0
    capsys.readouterr()
    return Path(name)


def one_line(capsys: Capture) -> str:
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    return shown.err


# ------------------------------------------------------------------------------------------------------------- meta


def test_read(capsys: Capture) -> None:
    painted(capsys, "--negative", "fog")
    assert main(["meta", "read", "a.png"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["source", "sfumato"]
    assert ["prompt", "a", "cat"] in [line.split() for line in lines]
    assert ["guidance", "rescale", "0.0"] in [line.split() for line in lines]
    Path("b.png").write_bytes(
        text_png(parameters="a cat\nNegative prompt: fog\nSteps: 4, CFG scale: 1, Seed: 3, RNG: CPU")
    )
    assert main(["meta", "read", "b.png"]) == 0
    said = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert said.keys() == {"source", "prompt", "negative", "steps", "guidance", "seed", "remark"}
    assert said["remark"].startswith("the negative prompt does nothing at guidance 1")


def test_read_as_json(capsys: Capture) -> None:
    painted(capsys, "--seed", "3", name="a.avif")
    assert main(["meta", "read", "a.avif", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["format"], answer["source"], answer["exact"], answer["generated"]) == ("avif", "sfumato", True, True)
    assert answer["request"] == read_request(Path("a.avif")).model_dump(mode="json")
    assert answer["unrestored"] == []
    assert set(answer["texts"]) == {"parameters", "sfumato"}


def test_read_says_what_is_lost_and_keeps_the_terminal_safe(capsys: Capture) -> None:
    Path("b.png").write_bytes(text_png(parameters=SETTINGS))
    assert main(["meta", "read", "b.png"]) == 0
    shown = capsys.readouterr().out
    assert "sampler Wavelet has no counterpart here" in shown
    assert "control characters of the prompt: U+001B" in shown
    assert "\x1b" not in shown


def test_read_shows_a_prompt_that_no_request_can_hold(capsys: Capture) -> None:
    long = "a \u202e\x07" + "fog, " * 20_000
    Path("b.png").write_bytes(text_png(parameters=SETTINGS.replace("a \x1b cat", long)))
    assert main(["meta", "read", "b.png"]) == 0
    shown = capsys.readouterr().out
    assert ("fog, " * 20_000).rstrip() in shown
    assert not {"\u202e", "\x07"} & set(shown)
    assert main(["meta", "read", "b.png", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["beyond"] == {"prompt": long.rstrip()}


def test_samplers_have_the_names_that_people_write(capsys: Capture) -> None:
    painted(capsys, "--sampler", "DPM++ 2M Karras")
    request = read_request(Path("a.png"))
    assert (request.sampler, request.schedule) == ("dpmpp_2m", "karras")


def test_strip(capsys: Capture) -> None:
    painted(capsys)
    assert main(["meta", "strip", "a.png", "-o", "b.png"]) == 0
    assert capsys.readouterr().out == "b.png\n"
    assert carriers.read(Path("b.png").read_bytes()).texts == {}
    assert read_request(Path("a.png")).prompt == "a cat"
    assert main(["meta", "strip", "a.png"]) == 0
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes()


@pytest.mark.parametrize("format", ["png", "jpeg", "webp", "avif"])
def test_write(format: str, capsys: Capture) -> None:
    Path("a").write_bytes(encoded(format))
    assert main(["meta", "write", "a", "--request", '{"prompt": "a dog", "seed": 3}']) == 0
    shown = capsys.readouterr()
    assert shown.out == "a\n"
    assert ("compressed again" in shown.err) == (format == "avif")
    assert read_request(Path("a")).prompt == "a dog"
    assert main(["meta", "write", "a", "--infotext", "b\nSteps: 1, Seed: 2, RNG: CPU", "-o", "b"]) == 0
    assert carriers.read(Path("b").read_bytes()).texts == {"parameters": "b\nSteps: 1, Seed: 2, RNG: CPU"}


def test_reading_needs_no_torch(command: Command, capsys: Capture) -> None:
    painted(capsys)
    code = "import sys; from sfumato.cli import main; main(['meta', 'read', 'a.png']); print('LOADED', *sys.modules)"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "numpy", "PIL", "rich"} & set(process.stdout.rpartition("LOADED")[2].split())
    assert command("meta", "--help").returncode == 0


# ----------------------------------------------------------------------------------------------------------- replay


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.avif"])
@pytest.mark.parametrize("quality", [None, "50"])
def test_replay_is_identical(name: str, quality: str | None, capsys: Capture) -> None:
    if quality is not None and name == "a.png":
        return
    painted(capsys, *([] if quality is None else ["--quality", quality]), "-n", "1", name=name)
    before = Path(name).read_bytes()
    assert main(["replay", name, "-o", f"again{Path(name).suffix}"]) == 0
    assert capsys.readouterr().out == f"identical\nagain{Path(name).suffix}\n"
    assert Path(name).read_bytes() == before
    if quality is None:
        assert Path(f"again{Path(name).suffix}").read_bytes() == before


def test_a_picture_of_a_batch_is_replayed_alone(capsys: Capture) -> None:
    painted(capsys, "-n", "3", "--batch", "3", "--seed", "5")
    assert main(["replay", "a-3.png", "--quiet"]) == 0


def test_replay_says_how_much_is_different_and_why(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    painted(capsys)
    data = Path("a.png").read_bytes()
    with Image.open(io.BytesIO(data)) as image:
        changed = image.copy()
    red, green, blue = changed.getpixel((0, 0))  # type: ignore[misc]
    changed.putpixel((0, 0), (red + 9, green, blue))
    buffer = io.BytesIO()
    changed.save(buffer, "PNG")
    texts = {name: carriers.read(data).texts[name] for name in ("parameters", "sfumato")}
    texts["parameters"] = texts["parameters"].replace("Model hash: ababababab", "Model hash: cdcdcdcdcd")
    Path("a.png").write_bytes(carriers.put(buffer.getvalue(), texts))
    assert main(["replay", "a.png"]) == 1
    shown = capsys.readouterr()
    assert shown.out == "different: up to 9 of 255, in 0.03% of the pixels\n"
    assert "differs: model hash cdcdcdcdcd, now ababababab\n" in shown.err
    assert main(["replay", "a.png", "--json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert (answer["identical"], answer["max_difference"]) == (False, 9)
    assert answer["differences"] == ["model hash cdcdcdcdcd, now ababababab"]
    assert answer["stored"]["precision"] == answer["now"]["precision"] == "fp32"


def test_replay_of_another_size_is_different(capsys: Capture) -> None:
    painted(capsys)
    texts = carriers.read(Path("a.png").read_bytes()).texts
    Path("a.png").write_bytes(carriers.put(encoded("png"), {name: texts[name] for name in ("parameters", "sfumato")}))
    assert main(["replay", "a.png"]) == 1
    assert capsys.readouterr().out == "different: another size\n"


def test_replay_asks_for_the_precision_and_the_engine_of_the_picture(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str]] = []
    make = Studio.__init__

    def init(self: Studio, *model: str, device: str, precision: str, allow_nonfinite: bool, engine: str) -> None:
        asked.append((precision, engine))
        make(self, *model, device=device, precision=precision)

    painted(capsys)
    monkeypatch.setattr(Studio, "__init__", init)
    assert main(["replay", "a.png", "--quiet"]) == 0
    assert main(["replay", "a.png", "--quiet", "--precision", "bf16"]) == 0
    assert main(["replay", "a.png", "--quiet", "--engine", "auto"]) == 0
    assert asked == [("fp32", "plain"), ("bf16", "plain"), ("fp32", "auto")]


# -------------------------------------------------------------------------------------------------------- bad input


BAD = [
    ["meta", "read", "missing.png"],
    ["meta", "read", "plain.png"],
    ["meta", "read", "text.png"],
    ["meta", "read", "."],
    ["meta", "read"],
    ["meta", "strip", "text.png"],
    ["meta", "strip", "plain.gif"],
    ["meta", "strip", "plain.png", "-o", "/proc/nowhere/a.png"],
    ["meta", "write", "plain.png"],
    ["meta", "write", "plain.png", "--request", "{}", "--infotext", "a"],
    ["meta", "write", "plain.png", "--request", "{}"],
    ["meta", "write", "plain.png", "--request", '{"prompt": "a", "sede": 1}'],
    ["meta", "write", "plain.png", "--infotext", "a\x07b"],
    ["meta", "write", "plain.png", "--infotext", "a\udcff"],
    ["meta", "write", "missing.png", "--infotext", "a"],
    ["replay", "missing.png"],
    ["replay", "plain.png"],
    ["replay", "text.png"],
    ["replay", "foreign.png"],
    ["replay", "unknown.png"],
    ["replay", "cut.png"],
    ["replay", "seedless.png"],
    ["replay", "good.png", "--precision", "bf61"],
    ["replay", "good.png", "-o", "{sed}.png"],
    ["replay", "."],
    ["replay", "good.png", "-o", "good.gif"],
    ["replay", "good.png", "-o", "/proc/nowhere/a.png"],
    ["verify", "missing.png"],
    ["verify", "text.png"],
    ["verify", "good.png"],
    ["verify"],
    ["meta", "write", "plain.png", "--request", "[]"],
    ["meta"],
]


@pytest.mark.parametrize("arguments", BAD, ids=lambda arguments: " ".join(arguments)[:40])
def test_bad_input_is_one_line_and_exit_2(
    arguments: list[str], capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = painted(capsys, name="good.png").read_bytes()
    files = {
        "plain.png": encoded("png"),
        "plain.gif": encoded("gif"),
        "text.png": b"no picture",
        "foreign.png": text_png(parameters=SETTINGS),
        "unknown.png": carriers.put(encoded("png"), {"sfumato": '{"prompt": "a", "seed": 1, "model": "nanno"}'}),
        "seedless.png": carriers.put(encoded("png"), {"sfumato": '{"prompt": "a"}'}),
        "cut.png": good[:-30] + good[-12:],
    }
    for name, data in files.items():
        Path(name).write_bytes(data)
    monkeypatch.setattr(Studio, "run", lambda *_: pytest.fail("it was found too late"))
    assert main(arguments) == 2
    assert len(one_line(capsys)) < 400
    assert {path.name: path.read_bytes() for path in Path.cwd().iterdir()} == {"good.png": good, **files}


def test_results_save_what_painted_them(tmp_path: Path) -> None:
    result = Studio().run(Txt2Img.build(prompt="a"))
    (path,) = result.save(tmp_path / "a.png")
    assert "Model hash: ababababab" in carriers.read(path.read_bytes()).texts["parameters"]
