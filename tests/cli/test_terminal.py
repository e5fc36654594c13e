"""What is drawn while painting, on terminals that can and that cannot."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from sfumato.cli import terminal
from sfumato.cli.reports import columns

FAKE = str(Path(__file__).parent / "fake_studio.py")


def drawn(image: Image.Image, count: int = 1, **options: object) -> str:
    screen = Console(width=40, height=20, force_terminal=True, legacy_windows=False, **options)  # type: ignore[arg-type]
    with screen.capture() as capture:
        screen.print(terminal.picture([image] * count, screen))
    return capture.get()


def test_half_blocks_show_two_pixels_a_character() -> None:
    image = Image.new("RGB", (1, 2))
    image.putpixel((0, 0), (10, 20, 30))
    image.putpixel((0, 1), (40, 50, 60))
    assert "\x1b[38;2;10;20;30;48;2;" in drawn(image, color_system="truecolor")


@pytest.mark.parametrize("size", [(16, 16), (512, 8), (8, 512), (1, 1)])
@pytest.mark.parametrize("count", [1, 3, 9])
def test_pictures_fit_the_terminal(size: tuple[int, int], count: int) -> None:
    text = re.sub(r"\x1b\[[0-9;]*m", "", drawn(Image.new("RGB", size), count, color_system="truecolor"))
    lines = text.rstrip("\n").split("\n")
    assert len(lines) <= 18
    assert {len(line) for line in lines} == {len(lines[0])}
    assert 1 <= len(lines[0]) <= 39


def test_without_colour_light_is_ink() -> None:
    image = Image.linear_gradient("L").convert("RGB")  # black at the top
    text = drawn(image, no_color=True)
    assert "\x1b" not in text
    assert text.startswith(" ")
    assert "@" in text.rstrip("\n").split("\n")[-1]


def on_a_terminal(folder: Path, *arguments: str, **environment: str) -> str:
    """What a process writes to stderr when that is a terminal."""
    main, child = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, FAKE, "txt2img", "a", *arguments],
        cwd=folder,
        env={
            **os.environ,
            "TERM": "xterm-256color",
            "COLORTERM": "truecolor",
            "FAKE_STEP_SECONDS": "0.05",
            **environment,
        },
        stdout=subprocess.DEVNULL,
        stderr=child,
    )
    os.close(child)
    written = b""
    try:
        while part := os.read(main, 65536):
            written += part
    except OSError:  # how a terminal says that the other side is gone
        pass
    os.close(main)
    assert process.wait(timeout=60) == 0
    return written.decode()


def test_a_terminal_gets_a_bar(tmp_path: Path) -> None:
    written = on_a_terminal(tmp_path, "-n", "2", "--steps", "5")
    assert "loading" in written
    assert "painting 2 of 2" in written
    assert "steps/s" in written


def test_a_terminal_gets_a_preview(tmp_path: Path) -> None:
    assert "▀" in on_a_terminal(tmp_path, "--preview", "--steps", "4")


def test_a_preview_respects_no_color(tmp_path: Path) -> None:
    written = on_a_terminal(tmp_path, "--preview", "--steps", "4", NO_COLOR="1")
    assert "▀" not in written
    assert "38;2;" not in written
    assert "@" in written


def test_a_preview_without_a_terminal_is_declined(tmp_path: Path) -> None:
    process = subprocess.run(
        [sys.executable, FAKE, "txt2img", "a", "--preview"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "a preview needs a terminal" in process.stderr
    assert "steps" not in process.stdout


def test_notes_are_one_printable_line(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.complain("a\nb\x1b[2J\udcff  c")
    assert capsys.readouterr().err == "sfumato: a b [2J c\n"


def test_cells_and_notes_leave_out_what_turns_a_line_round(capsys: pytest.CaptureFixture[str]) -> None:
    """Joiners stay, which Persian words and families of emoji are written with."""
    text = "a\u202eb\u2066c\u200fd \N{ZERO WIDTH JOINER}\N{ZERO WIDTH NON-JOINER}e"
    assert columns([(text, "\x1b[1m"), ("f", "g")]) == "a b c d \u200d\u200ce   [1m\nf            g"
    terminal.note(text)
    assert capsys.readouterr().err == "a b c d \u200d\u200ce\n"
