"""What was done: a line for each picture, so that an interrupted run goes on, and what is said of all at the end."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from PIL import Image

from sfumato.augmentation.classes import Classes
from sfumato.augmentation.plan import Plan
from sfumato.errors import RequestError
from sfumato.files import cannot_write, write_atomic
from sfumato.images import PAGE, contact_sheet

LOG = "augment.jsonl"
SHOWN = 4
"""Pictures of each class and of each origin on the contact sheet."""
CELL = 96


@dataclass(frozen=True)
class Attempt:
    """A picture that was painted, or copied from the source.

    Attributes:
        label: its class.
        number: of the attempts of the class, from 0; -1 for one of the source.
        file: where it lies in the target; None where it was left out.
        reason: why it was left out.
        origin: "source" or how it was painted.
        source: the picture it was made of.
        seed: of the painting.
        agreement: the probability of its class by the classifier.
    """

    label: str
    number: int
    file: str | None
    reason: Literal["", "disagrees", "near duplicate", "unreadable", "outside nano's domain"] = ""
    origin: str = "source"
    source: str = ""
    seed: int | None = None
    agreement: float | None = None

    def facts(self) -> dict[str, Any]:
        """The attempt as JSON."""
        return asdict(self)


@dataclass
class Log:
    """The lines of `LOG`: first what was asked for, then the strength and each attempt."""

    out: Path
    classes: Classes
    attempts: list[Attempt]
    strength: float | None = None

    @classmethod
    def open(cls, out: Path, classes: Classes, plan: Plan) -> "Log":
        """That of a new folder, or of an interrupted run without the attempts whose files are lost.

        Raises:
            RequestError: the folder was made of something else.
            OutputError: it cannot be written.
        """
        file = out / LOG
        asked = {"plan": plan.facts(), "classes": {label: [str(f) for f in files] for label, files in classes.items()}}
        asked = json.loads(json.dumps(asked))
        if not file.is_file():
            if out.exists() and (not out.is_dir() or any(out.iterdir())):
                raise RequestError(f"{out} is there already and was not made by augment; give a new folder")
            try:
                out.mkdir(parents=True, exist_ok=True)
                write_atomic(file, (json.dumps(asked, ensure_ascii=False) + "\n").encode())
            except OSError as error:
                raise cannot_write(out, error) from error
            return cls(out, classes, [])
        lines = []
        for line in file.read_text(encoding="utf-8").splitlines():
            try:
                lines.append(json.loads(line))
            except ValueError:
                break  # cut off in the middle of its writing
        if not lines or lines[0] != asked:
            raise RequestError(f"{out} was made of other pictures or settings; give a new folder, or the same command")
        log = cls(out, classes, [])
        whole = [lines[0]]
        for line in lines[1:]:
            if "strength" in line:
                log.strength = line["strength"]
            else:
                attempt = Attempt(**line)
                if attempt.file is not None and not (out / attempt.file).is_file():
                    continue  # lost: it is made again
                log.attempts.append(attempt)
            whole.append(line)
        write_atomic(file, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in whole).encode())
        return log

    def _write(self, line: Mapping[str, Any]) -> None:
        try:
            with (self.out / LOG).open("a", encoding="utf-8") as file:
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
        except OSError as error:
            raise cannot_write(self.out / LOG, error) from error

    def add(self, attempt: Attempt) -> Attempt:
        """Write a line; gives the attempt back."""
        self.attempts.append(attempt)
        self._write(attempt.facts())
        return attempt

    def set_strength(self, strength: float) -> None:
        """Write the strength that was chosen."""
        self.strength = strength
        self._write({"strength": strength})

    def finish(self) -> None:
        """Write `augment.json` and the contact sheet `augment.jpg`."""
        facts = summary(self.attempts, list(self.classes), self.strength)
        write_atomic(self.out / "augment.json", (json.dumps(facts, ensure_ascii=False, indent=1) + "\n").encode())
        _sheet(self.out, self.attempts, list(self.classes)).save(self.out / "augment.jpg", **PAGE)


def summary(attempts: Sequence[Attempt], labels: Sequence[str], strength: float | None) -> dict[str, Any]:
    """What came of it: counts by class, of what was kept and of what was left out, and why."""
    classes = {}
    for label in labels:
        mine = [each for each in attempts if each.label == label]
        classes[label] = {
            "source": sum(each.file is not None and each.number < 0 for each in mine),
            "painted": sum(each.file is not None and each.number >= 0 for each in mine),
            "left_out": dict(Counter(each.reason for each in mine if each.reason)),
        }
    return {"strength": strength, "classes": classes}


def _sheet(out: Path, attempts: Sequence[Attempt], labels: Sequence[str]) -> Image.Image:
    """A row a class: first pictures of the source, then painted ones; white where there are no more."""
    cells = []
    for label in labels:
        for of_source in (True, False):
            files = [a.file for a in attempts if a.label == label and a.file and (a.number < 0) is of_source][:SHOWN]
            for file in files:
                with Image.open(out / file) as image:
                    small = image.convert("RGB")
                    small.thumbnail((CELL, CELL))
                    cells.append(small)
            cells += [Image.new("RGB", (CELL, CELL), "white")] * (SHOWN - len(files))
    return contact_sheet(cells, 2 * SHOWN)
