"""Styles: texts around a prompt, by name, from A1111's `styles.csv` (columns name, prompt, negative_prompt)."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sfumato.errors import RequestError, UnknownNameError
from sfumato.files import decoded, read_regular
from sfumato.prompts.reading import brief

MAX_LENGTH = 100_000


@dataclass(frozen=True)
class Style:
    """`{prompt}` marks where the prompt goes; without it the style follows after a comma."""

    prompt: str = ""
    negative: str = ""


def read_styles(path: Path) -> dict[str, Style]:
    """The styles of a file, by name.

    Raises:
        RequestError: the file cannot be read or is no such table.
    """
    try:
        rows = list(csv.DictReader(io.StringIO(decoded(read_regular(path)), newline="")))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RequestError(f"cannot read the styles of {path}: {error}; give a CSV file in UTF-8") from None
    if rows and not {"name", "prompt"} <= rows[0].keys():
        raise RequestError(f"{path} has no columns name and prompt; give A1111's styles.csv")
    return {row["name"]: Style(row["prompt"] or "", row.get("negative_prompt") or "") for row in rows if row["name"]}


def styled(prompt: str, negative: str, names: Sequence[str], styles: Mapping[str, Style]) -> tuple[str, str]:
    """Prompt and negative prompt within the named styles, in their order.

    Raises:
        UnknownNameError: there is no style of a name.
        RequestError: the styles grow the prompt beyond all measure.
    """
    for name in names:
        if name not in styles:
            raise UnknownNameError("style", name[:64], styles)
        prompt = _within(styles[name].prompt, prompt)
        negative = _within(styles[name].negative, negative)
    return prompt, negative


def _within(style: str, prompt: str) -> str:
    if "{prompt}" not in style:
        return ", ".join(text for text in (prompt.strip(), style.strip()) if text)
    if len(style) + style.count("{prompt}") * len(prompt) > MAX_LENGTH:
        raise RequestError(
            f"the style {brief(style)} makes the prompt over {MAX_LENGTH} characters; use {{prompt}} once"
        )
    return style.replace("{prompt}", prompt)
