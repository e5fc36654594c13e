"""The command line's promises: clean stdout, one line for a fault, the right exit code, nothing half-written."""

import io
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from sfumato.cli import main
from sfumato.cli.app import SECTIONS as HEADINGS
from sfumato.cli.app import app
from sfumato.cli.remarks import require_words
from sfumato.cli.tasks import SECTIONS
from sfumato.errors import RequestError
from sfumato.output import read_request
from sfumato.requests import REQUESTS, Control, Portrait, Txt2Img
from sfumato.requests.groups import GROUPS
from tests.cli.fake_studio import Studio

Capture = pytest.CaptureFixture[str]
Command = Callable[..., subprocess.CompletedProcess[str]]
FAKE = str(Path(__file__).parent / "fake_studio.py")


# ------------------------------------------------------------------------------------------------------------- help


def test_help_imports_nothing_heavy() -> None:
    code = "import sys; from sfumato.cli import main; main(['--help']); print('LOADED', *sys.modules)"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = process.stdout.rpartition("LOADED")[2].split()
    assert not {"torch", "numpy", "PIL", "rich", "psutil"} & set(loaded)


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], [], ["txt2img", "--help"], ["bench", "txt2img", "--help"]])
def test_help_is_an_answer(arguments: list[str], capsys: Capture) -> None:
    assert main(arguments) == 0
    shown = capsys.readouterr()
    assert "Usage: " in shown.out
    assert shown.err == ""


def test_version(capsys: Capture) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("sfumato 0.")


# --------------------------------------------------------------------------------------------------------- painting


def test_a_picture_is_painted_and_its_path_printed(capsys: Capture) -> None:
    assert main(["txt2img", "a red apple"]) == 0
    shown = capsys.readouterr()
    assert shown.out == "outputs/0001-a-red-apple.png\n"
    assert "painted 1 picture" in shown.err
    assert "seed 7" in shown.err
    assert read_request(Path("outputs/0001-a-red-apple.png")).prompt == "a red apple"


def test_every_option_reaches_the_request(capsys: Capture) -> None:
    arguments = "--model micro --negative fog --seed 0 --steps 2 --sampler heun --schedule karras --guidance 0"
    more = (
        "--size 24x32 -n 2 --batch 2 -o x.jpg --quality 80 --guidance-rescale 0.5 --clip-skip 2 --precision fp32 "
        "--prompt-syntax comfy --json --lora ink.safetensors:0.5:2 --lora ink.safetensors --embedding cat.pt "
        "--guidance-method apg --guidance-low 0.1 --guidance-high 8 --dynamic-threshold 0.9 --pag 2 --freeu 1 "
        "--tile 128 --eta 0.5 --ensd 7 --numerics a1111 --original-size 640x480 --target-size 512x384 --crop 8x0 "
        "--aesthetic 6.5 --negative-aesthetic 2 --vae soft.safetensors --prediction v --text-encoder clip_l.safetensors"
    )
    for name in ("ink.safetensors", "cat.pt", "soft.safetensors"):
        Path(name).write_bytes(b"")
    assert main(["txt2img", "a", *arguments.split(), *more.split()]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["request"] == json.loads(Txt2Img(prompt="a").to_json()) | {
        **{"task": "txt2img", "prompt": "a", "negative": "fog", "model": "micro", "vae": "soft.safetensors"},
        **{"tileable": None, "prediction": "v", "text_encoders": ["clip_l.safetensors"]},
        **{"seed": 0, "count": 2, "batch": 2},
        **{"steps": 2, "sampler": "heun", "schedule": "karras", "guidance": 0.0, "guidance_rescale": 0.5},
        **{"guidance_method": "apg", "guidance_low": 0.1, "guidance_high": 8.0, "dynamic_threshold": 0.9, "pag": 2.0},
        **{"freeu": 1.0, "eta": 0.5, "ensd": 7, "numerics": "a1111", "original_size": [640, 480]},
        **{"target_size": [512, 384], "crop": [8, 0], "aesthetic": 6.5, "negative_aesthetic": 2.0},
        **{"tile": 128, "tile_overlap": 64, "tileable": None},
        **{"width": 24, "height": 32, "prompt_syntax": "comfy", "clip_skip": 2, "embeddings": ["cat.pt"]},
        "loras": [
            {"name": "ink.safetensors", "weight": 0.5, "text_weight": 2.0},
            {"name": "ink.safetensors", "weight": 1.0, "text_weight": None},
        ],
    }
    assert answer["files"] == ["x-1.jpg", "x-2.jpg"]


def test_json_is_one_object_and_nothing_else(command: Command) -> None:
    process = command("txt2img", "画", "-n", "2", "--seed", "5", "--json", FAKE_NOISE="1")
    assert process.returncode == 0
    answer = json.loads(process.stdout)
    assert list(answer) == ["files", "seeds", "request", "timings", "measures", "model_hash", "device", "precision"]
    assert answer["seeds"] == [5, 6]
    assert answer["request"]["prompt"] == "画"
    assert "a library talks on stdout" in process.stderr
    assert "sfumato: the prompt is cut\n" in process.stderr


def test_quiet_is_quiet(capsys: Capture) -> None:
    assert main(["txt2img", "a", "--quiet", "--preview"]) == 0
    assert capsys.readouterr().err == ""


def test_the_same_command_gives_the_same_bytes() -> None:
    for name in ("a.png", "b.png"):
        assert main(["txt2img", "a", "--seed", "3", "-o", name]) == 0
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes()


class Stdin:
    def __init__(self, data: bytes) -> None:
        self.buffer = io.BytesIO(data)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_prompt_comes_from_stdin(encoding: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setattr(sys, "stdin", Stdin("一只猫\n".encode(encoding)))
    assert main(["txt2img", "-", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["request"]["prompt"] == "一只猫"


@pytest.mark.parametrize("data", [b"\xffcaf", b"a" * 10**6, "字".encode() * 9000])
def test_a_hopeless_stdin_is_refused(data: bytes, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setattr(sys, "stdin", Stdin(data))
    assert main(["txt2img", "-"]) == 2
    assert one_line(capsys).startswith("sfumato: prompt")


# -------------------------------------------------------------------------------------------------------- bad input


def one_line(capsys: Capture) -> str:
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert shown.err.startswith("sfumato: ")
    return shown.err


BAD = [
    ["txt2img", ""],
    ["txt2img", " \n"],
    ["txt2img"],
    ["txt2img", "a" * 9000],
    ["txt2img", "a\x07b"],
    ["txt2img", "a\udcff"],
    ["txt2img", "a", "--steps", "-3"],
    ["txt2img", "a", "--steps", "0"],
    ["txt2img", "a", "--steps", "1" * 5000],
    ["txt2img", "a", "--steps", "many"],
    ["txt2img", "a", "--steps"],
    ["txt2img", "a", "--guidance", "nan"],
    ["txt2img", "a", "--guidance", "x\ny"],
    ["txt2img", "a", "--seed", "-1"],
    ["txt2img", "a", "--seed", "1.5"],
    ["txt2img", "a", "-n", "0"],
    ["txt2img", "a", "--batch", "1000"],
    ["txt2img", "a", "--size", "100x100"],
    ["txt2img", "a", "--size", "8x8"],
    ["txt2img", "a", "--size", "99999999x8"],
    ["txt2img", "a", "--size", "big"],
    ["txt2img", "a", "--size", "8192x8192", "-n", "100"],
    ["txt2img", "a", "--sampler", "eular"],
    ["txt2img", "a", "--schedule", "kerras"],
    ["txt2img", "a", "--model", "nanno"],
    ["txt2img", "a", "--precision", "bf61"],
    ["txt2img", "a", "--format", "gif"],
    ["txt2img", "a", "--quality", "50"],
    ["txt2img", "a", "-o", "cat.gif"],
    ["txt2img", "a", "-o", "{sed}.png"],
    ["txt2img", "a", "-o", "/proc/nowhere/a.png"],
    ["txt2img", "a", "-o", ""],
    ["txt2img", "a", "b"],
    ["txt2img", "a", "--stepz", "4"],
    ["txt2imgg", "a"],
    ["bench"],
    ["bench", "txt2img", "--repeat", "0"],
    ["bench", "txt2img", "--model", "nanno"],
    ["bench", "txt2img", "--device", "gpu"],
    ["bench", "load", "--model", "nano", "--device", "gpu"],
    ["bench", "load", "--model", "nanno"],
    ["bench", "load", "--precision", "x"],
    ["txt2img", "a", "--lora", ""],
    ["txt2img", "a", "--lora", "ink.safetensors:x"],
    ["txt2img", "a", "--embedding", "."],
    ["txt2img", "a", "--styles", "styles.csv"],
    ["txt2img", "a", "--template", "--wildcards", "nowhere"],
    ["txt2img", "a", "--crop", "1"],
    ["img2img", "nowhere.png", "a"],
    ["img2img", ".", "a"],
    ["txt2img", "a", "-o"],
    ["models", "nanno"],
    ["doctor", "--device", "gpu"],
    ["doctor", "here"],
    ["pull", "nano"],
    ["pull", "org/name", "--variant", "fp99"],
    ["evaluate", "nanno", "-o", "a.md"],
    ["evaluate", "nano", "-o", "a.txt"],
    ["evaluate", "nano", "-o", "/proc/nowhere/a.md"],
    ["evaluate", "nano", "-o", "a.md", "--steps", "0"],
    ["evaluate", "nano", "-o", "a.md", "--guidance", "nan"],
    ["evaluate", "nano", "-o", "a.md", "--languages", "fr"],
    ["evaluate", "nano", "-o", "a.md", "--data", "nowhere"],
    ["similar", "photoo.png", "."],
    ["interpolate", "a cat", "a dog", "--frames", "1"],
    ["match", "photo.png"],
    ["classify", "photo.png"],
    ["--nonsense"],
]


@pytest.mark.parametrize("arguments", BAD, ids=lambda arguments: " ".join(arguments)[:40])
def test_bad_input_is_one_line_and_exit_2(
    arguments: list[str], capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Studio, "run", lambda *_: pytest.fail("it was found too late"))
    assert main(arguments) == 2
    assert len(one_line(capsys)) < 400
    assert list(Path.cwd().iterdir()) == []


REMEDIES = [
    ("txt2img a cute monster", 'put the words of the prompt in quotes, as in "a red apple"'),
    ("txt2img a --stepz 4", "see sfumato txt2img --help"),
    ("gallery export", "see sfumato gallery export --help"),
    ("teach photos --name mila", "see sfumato teach --help"),
    ("similar photoo.png .", "there is no picture 'photoo.png'; give its path, or words"),
    ("interpolate a b --frames -3 -o w.gif", "frames -3 must be 2 or more"),
    ("match photo.png -o x.png", "like is missing; give a picture: its path"),
    ("classify photo.png", "labels is missing; give it, for example labels='cat,dog'"),
    ("paint", "unknown command 'paint'; did you mean txt2img"),
    ("txt2imgg a", "unknown command 'txt2imgg'; did you mean txt2img"),
    ("img2image", "unknown command 'img2image'; did you mean img2img"),
    ("xyzzy", "unknown command 'xyzzy'; known: adapter, animate, augment, batch, "),
    ("convert nano", "where to write is missing; sfumato convert IN OUT"),
    ("convert nano a -o b", "OUT is said twice, 'a' and -o 'b'; leave out one"),
    ("txt2img a -o /dev/null", "cannot write '/dev/null': it exists and is not a plain file"),
    ("txt2img a -o - -n 2", "stdout has room for one picture, not 2"),
    ("txt2img a -o - --json", "leave out one"),
]


@pytest.mark.parametrize(("line", "said"), REMEDIES)
def test_a_complaint_says_what_to_do(line: str, said: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Studio, "run", lambda *_: pytest.fail("it was found too late"))
    assert main(line.split()) == 2
    shown = one_line(capsys)
    assert said in shown
    assert not {"paint", "draw", "ls"} & set(shown.partition(";")[2].replace(",", "").split())


def test_every_command_stands_under_a_heading() -> None:
    root: Any = get_command(app)
    assert sorted(" ".join(HEADINGS.values()).split()) == sorted(root.list_commands(None))


def test_options_stand_under_headings(capsys: Capture) -> None:
    """Each once, under the heading of its group, the most used first; a task's own are together."""
    fields = {name for kind in REQUESTS.values() for name in kind.model_fields}
    assert {name for names in GROUPS.values() for name in names.split()} <= fields
    assert set(GROUPS) <= set(SECTIONS)
    for task in ("txt2img", "upscale"):
        assert main([task, "--help"]) == 0
        found = re.findall(r"^(\S.*):$|^  (?:-\w, )?--([\w-]+)", capsys.readouterr().out, re.M)
        headings = [heading for heading, _ in found if heading]
        assert headings == [heading for heading in SECTIONS.values() if heading in headings]
        options = [option for _, option in found if option]
        assert len(options) == len(set(options))
        under: dict[str, list[str]] = {}
        for heading, option in found:
            under.setdefault(heading, []) if heading else under[next(reversed(under))].append(option)
        assert under["Model, steps and guidance"][0] == "model"
        assert ("tile" in under.get("Options", [])) == (task == "upscale")


@pytest.mark.parametrize("line", ["help", "help txt2img", "help bench load"])
def test_help_is_a_command_as_well(line: str, capsys: Capture) -> None:
    assert main(line.split()) == 0
    asked = capsys.readouterr().out
    assert main([*line.split()[1:], "--help"]) == 0
    assert asked == capsys.readouterr().out


def test_a_picture_goes_to_stdout(tmp_path: Path) -> None:
    def painted(*arguments: str) -> "subprocess.CompletedProcess[bytes]":
        line = [sys.executable, FAKE, "txt2img", "a", "--seed", "3", *arguments]
        return subprocess.run(
            line, cwd=tmp_path, capture_output=True, env={**os.environ, "FAKE_NOISE": "1"}, check=True
        )

    assert painted("-o", "a.png").stdout == b"a.png\n"
    process = painted("-o", "-")
    assert process.stdout == (tmp_path / "a.png").read_bytes()
    assert b"a library talks on stdout" in process.stderr
    assert painted("-o", "-", "--format", "webp").stdout.startswith(b"RIFF")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.skipif(os.name != "posix", reason="the modes of POSIX")
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o666, 0o644])
def test_a_file_that_is_replaced_keeps_its_mode(mode: int) -> None:
    file = Path("a.png")
    file.touch()
    file.chmod(mode)
    Path("link.png").symlink_to(file)
    assert main(["txt2img", "a", "-o", "link.png"]) == 0
    assert file.stat().st_size > 0
    assert file.stat().st_mode & 0o777 == mode
    assert Path("link.png").is_symlink()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
@pytest.mark.parametrize(
    "line",
    [
        "meta read pipe.png",
        "replay pipe.png",
        "inspect pipe.safetensors",
        "img2img pipe.png a",
        "inpaint pipe.png a --mask pipe.png",
        "txt2img a --style x --styles pipe.csv",
        "txt2img __pipe__ --template --wildcards .",
    ],
)
def test_pipes_are_no_inputs(line: str, command: Command, tmp_path: Path) -> None:
    for name in ("pipe.png", "pipe.safetensors", "pipe.csv", "pipe.txt"):
        os.mkfifo(tmp_path / name)
    process = command(*line.split())  # which would wait for ever, were it to open one
    assert process.returncode == 2
    assert "pipe" in process.stderr
    assert process.stderr.count("\n") == 1


def test_a_full_disk_is_one_line_and_exit_2(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert main(["txt2img", "a"]) == 2
    assert "No space left on device" in one_line(capsys)
    assert list(Path.cwd().iterdir()) == []


def test_what_the_system_refuses_is_one_line_and_exit_2(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    def locked(*_: object, **__: object) -> None:
        Path("there").mkdir()
        raise PermissionError(13, "Permission denied", "there/model_index.json")

    monkeypatch.setattr(Studio, "run", locked)
    assert main(["txt2img", "a"]) == 2
    assert "cannot use 'there/model_index.json': Permission denied; check the path" in one_line(capsys)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no device that is always full")
def test_an_answer_that_cannot_be_written_is_one_line_and_exit_2() -> None:
    with Path("/dev/full").open("w") as full:
        process = subprocess.run(
            [sys.executable, FAKE, "models"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert process.returncode == 2
    assert process.stderr == "sfumato: No space left on device; look at where the output goes\n"


def test_a_closed_stdin_has_no_prompt(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert main(["txt2img", "-"]) == 2
    assert "stdin is closed" in one_line(capsys)


def test_too_little_memory_is_one_line_and_exit_2(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_ERROR", "memory")
    assert main(["txt2img", "a"]) == 2
    assert "out of memory; ask for a smaller size" in one_line(capsys)


def test_torch_says_it_in_other_words(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*_: object, **__: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    monkeypatch.setattr(Studio, "run", run)
    assert main(["txt2img", "a"]) == 2
    assert "out of memory" in one_line(capsys)


def test_a_defect_of_ours_keeps_its_traceback(command: Command) -> None:
    process = command("txt2img", "a", FAKE_ERROR="bug")
    assert process.returncode == 1
    assert "Traceback" in process.stderr
    assert "ZeroDivisionError" in process.stderr


# ------------------------------------------------------------------------------------------------------- interrupts


def test_ctrl_c_is_one_line_and_exit_130(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, FAKE, "txt2img", "a", "-o", "new/a.png"],
        cwd=tmp_path,
        env={**os.environ, "FAKE_STEP_SECONDS": "30", "FAKE_NOISE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # a background job ignores it
    )
    assert process.stderr is not None
    assert process.stderr.readline() == "sfumato: the prompt is cut\n"
    assert process.stderr.readline() == "a library talks on stdout\n"  # painting has begun
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert err == "sfumato: interrupted; nothing is left half-written\n"
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Python handles interrupts, also where the tests run in the background, where they are ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_keeps_the_pictures_so_far(
    interruptible: None, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = ["txt2img", "a", "-n", "7", "--batch", "2", "--seed", "5", "-o"]
    assert main([*whole, "whole/"]) == 0
    capsys.readouterr()
    monkeypatch.setenv("FAKE_SIGNAL", "SIGINT@4")
    assert main([*whole, "part/"]) == 130
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == "sfumato: interrupted; saved 4 of 7 pictures, the last is part/0004-a.png\n"
    kept = sorted(Path("part").iterdir())
    assert [path.name for path in kept] == [f"000{i}-a.png" for i in (1, 2, 3, 4)]
    assert [path.read_bytes() for path in kept] == [(Path("whole") / path.name).read_bytes() for path in kept]
    monkeypatch.delenv("FAKE_SIGNAL")
    assert main(["replay", "part/0003-a.png"]) == 0
    assert capsys.readouterr().out == "identical\n"


def test_ctrl_c_while_a_batch_is_saved_waits_for_it(
    interruptible: None, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fsync

    def sync(descriptor: int) -> None:
        if Path("1.png").exists() and not Path("2.png").exists():
            monkeypatch.setattr(os, "fsync", real)
            signal.raise_signal(signal.SIGINT)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", sync)
    assert main(["txt2img", "a", "-n", "4", "--batch", "2", "-o", "{index}.png"]) == 130
    assert "saved 2 of 4 pictures, the last is 2.png" in one_line(capsys)
    assert [read_request(Path(name)).seed for name in ("1.png", "2.png")] == [7, 8]
    assert len(list(Path.cwd().iterdir())) == 2


def test_pictures_outlive_a_killed_process(command: Command, tmp_path: Path) -> None:
    process = command("txt2img", "a", "-n", "3", "-o", "a.png", FAKE_SIGNAL="SIGKILL@2")
    assert process.returncode == -signal.SIGKILL
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a-1.png", "a-2.png"]
    assert read_request(tmp_path / "a-2.png").seed == 8


def test_a_reader_that_goes_away_is_no_traceback(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    process = subprocess.run(
        [sys.executable, FAKE, "txt2img", "a"],
        cwd=tmp_path,
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writing)
    assert process.returncode == 141
    assert "Traceback" not in process.stderr
    assert "Broken" not in process.stderr
    assert (tmp_path / "outputs" / "0001-a.png").is_file()


def test_a_closed_stderr_does_not_spill_into_stdout(tmp_path: Path) -> None:
    line = f'"{sys.executable}" "{FAKE}" txt2img a --json 2>&-'
    process = subprocess.run(line, shell=True, cwd=tmp_path, stdout=subprocess.PIPE, text=True, check=True)
    assert json.loads(process.stdout)["seeds"] == [7]


@pytest.mark.parametrize(
    ("line", "late"), [("txt2img a --json", False), ("models", True), ("txt2img a --steps x", True)]
)
def test_what_has_painted_ends_at_once_with_all_that_it_said(line: str, late: bool, tmp_path: Path) -> None:
    code = (
        "import atexit, sys; atexit.register(print, 'teardown', file=sys.stderr); from tests.cli import fake_studio;"
        "sys.modules.update(fake_studio.modules()); from sfumato.cli import main; raise SystemExit(main())"
    )
    root = str(Path(__file__).parents[2])
    path = os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])
    process = subprocess.run(
        [sys.executable, "-c", code, *line.split()],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == (2 if "x" in line.split() else 0)
    assert ("teardown" in process.stderr) == late
    if not late:
        assert json.loads(process.stdout)["seeds"] == [7]
        assert "painted 1 picture" in process.stderr


# ---------------------------------------------------------------------------------------------------- other commands


def test_models_are_listed(capsys: Capture) -> None:
    assert main(["models"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "name  family  size      description  path",
        "nano  nano    40.0 MiB  bundled      /models/nano",
    ]


def test_models_as_json(capsys: Capture) -> None:
    assert main(["models", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["models"][0]["size_bytes"] == 40 * 2**20


def test_doctor(capsys: Capture) -> None:
    assert main(["doctor", "--json", "--device", "cpu"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert set(report) == {"versions", "cpu", "memory", "torch", "would use", "folders", "packed weights"}
    assert set(report["packed weights"]) == {"float32", "bfloat16", "int8"}
    assert report["would use"]["precision"] in ("bfloat16", "float32")
    assert report["would use"]["bfloat16_speedup"] > 0
    assert main(["doctor", "--device", "cpu"]) == 0
    assert "would use" in capsys.readouterr().out


def test_train_prints_the_folder_of_the_result(capsys: Capture) -> None:
    assert main(["train", "small.toml"]) == 0
    assert main(["train", "small.toml", "--run", "here"]) == 0
    assert capsys.readouterr().out == "runs/small/export\nhere/export\n"


def test_bench(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    from sfumato.cli import bench

    ran: list[list[str]] = []

    def cold(command: list[str], repeat: int) -> bench.Cold:
        ran.append(command)
        return bench.Cold([2.0] * repeat, 3 * 2**30)

    monkeypatch.setattr(bench, "cold", cold)
    assert main(["bench", "txt2img", "--json", "--steps", "4"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["cold"] == {"seconds": [2.0, 2.0, 2.0], "peak_bytes": 3 * 2**30}
    assert report["warm"]["step_seconds"] == pytest.approx(0.3 / 4)
    assert report["warm"]["request"]["steps"] == 4
    assert ran[0][ran[0].index("--steps") :][:2] == ["--steps", "4"]
    assert main(["bench", "txt2img"]) == 0
    assert "cold start to file" in capsys.readouterr().out


# ------------------------------------------------------------------------------------------- remarks about prompts


@pytest.mark.parametrize(
    ("arguments", "remark"),
    [
        (["a car, #ff0000 rocket"], "'#ff0000 rocket' is a comment and not painted"),
        (["a {red|blue} fox"], "'{red|blue}' is painted as it stands; with --template"),
        (["a __colour__ fox"], "'__colour__' is painted as it stands"),
        (["a fox", "--negative", "{red|blue}"], "'{red|blue}' is painted as it stands"),
        (
            [" AND ".join("abcdefgh")],
            "8 parts joined by AND: each step evaluates 9 conditions where a plain prompt has 2",
        ),
        (["a", "--negative", "b", "--guidance", "1"], "the negative prompt does nothing at guidance 1"),
        (["a", "--negative", "b"], "the negative prompt does nothing at guidance 1"),
    ],
)
def test_what_works_otherwise_than_it_looks_is_said(arguments: list[str], remark: str, capsys: Capture) -> None:
    assert main(["txt2img", *arguments]) == 0
    assert capsys.readouterr().err.count(remark) == 1
    assert main(["txt2img", *arguments, "--quiet"]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ["a fox {sleeping}, <lora_a__b__c>, snake__case__x"],
        ["a # b", "--prompt-syntax", "comfy"],
        ["{a|b}", "--template"],
        ["a AND b", "--negative", "c", "--guidance", "1"],
        ["a", "--negative", "b", "--guidance", "3"],
        ["a", "--negative", "b", "--guidance", "1", "--guidance-method", "cfgpp"],
    ],
)
def test_what_works_as_it_looks_needs_no_remark(arguments: list[str], capsys: Capture) -> None:
    assert main(["txt2img", *arguments]) == 0
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "remedy"),
    [
        (["#ff0000 rocket"], "all of the prompt is a comment"),
        (["-red rocket", "--steps", "1"], "a prompt that begins with a dash goes last, behind --"),
        (["--", "-red rocket", "--steps", "1"], "behind -- stands the prompt alone, and options before it"),
        (["a", "--negativ=a b"], "see sfumato txt2img --help"),
    ],
)
def test_what_cannot_be_painted_has_a_remedy(arguments: list[str], remedy: str, capsys: Capture) -> None:
    assert main(["txt2img", *arguments]) == 2
    assert remedy in one_line(capsys)


def test_a_prompt_may_begin_with_a_dash(capsys: Capture) -> None:
    assert main(["txt2img", "--steps", "1", "--json", "--", "-red rocket"]) == 0
    assert json.loads(capsys.readouterr().out)["request"]["prompt"] == "-red rocket"


def test_what_to_paint_is_said_by_more_than_a_prompt() -> None:
    control = Control(model="edges", image="a.png")
    for request in (Portrait(character="anna"), Portrait(traits=("hair=mohawk",)), Txt2Img(prompt="", like="a.png")):
        require_words(request)
    require_words(Txt2Img(prompt="", guess=True, controls=[control]))
    for silent in (Portrait(), Txt2Img(prompt=" "), Txt2Img(prompt="", controls=[control])):
        with pytest.raises(RequestError, match="the prompt is empty; say what to paint"):
            require_words(silent)
