"""What ``sfumato teach`` says on the way, and of what came of it."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import get_args

from sfumato.cli.terminal import narrating, note
from sfumato.errors import UnknownNameError


def teach(
    photos: Path,
    name: str,
    subject: str,
    method: str,
    model: str,
    duration: str,
    run: Path,
    seed: int,
    *,
    as_json: bool,
    quiet: bool,
) -> None:
    """Teach, and print the file; figures and the command on stderr, or all as JSON."""
    with narrating(quiet=quiet):
        from sfumato.training.run import require_extra

        require_extra()
        from sfumato.training import teach as lessons

        chosen: lessons.TeachMethod | None = next(
            (known for known in get_args(lessons.TeachMethod) if known == method), None
        )
        if chosen is None:
            raise UnknownNameError("method", method[:64], lessons.TEACH_METHODS)
        lesson = lessons.Lesson(photos, name, subject, chosen, model, lessons.seconds_of(duration), seed)
        taught = lessons.teach(lesson, run, (lambda line: None) if quiet else note)
    if as_json:
        print(json.dumps({**asdict(taught), "file": str(taught.file), "sheet": str(taught.sheet)}))
        return
    if not quiet:
        before, after = taught.loss
        strength = ", ".join(f"{part} {value:.2%}" for part, value in taught.strength.items())
        note(f"validation loss {before:.4f} before, {after:.4f} after {taught.steps} steps")
        note(f"changes {strength}" if method != "embedding" else f"vectors of length {strength}")
        note(
            f"the picture of {name!r} moved by {taught.named:.1f} of 255, those of other prompts by {taught.others:.1f}"
        )
        note(f"before and after: {taught.sheet}")
        note(taught.command)
    print(taught.file)
