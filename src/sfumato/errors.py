"""One hierarchy of errors. Each message gives the value met, the rule it breaks and the remedy, on one line.

    SfumatoError
    |-- RequestError          the request cannot be carried out as written (sizes, names, ranges)
    |   `-- UnknownNameError  a name that is not in its list; the nearest ones are offered
    |-- CheckpointError       weights or configuration missing, truncated, foreign or unfit
    |-- OutputError           a file could not be written
    `-- TrainingError         a run cannot start, or stopped to protect its weights
        `-- DivergedError     losses or gradients stayed non-finite

Every one of them ends the command line with exit code 2 (DivergedError: 3) and one line on stderr.
"""

import difflib
import re
from collections.abc import Iterable, Mapping
from textwrap import shorten
from types import MappingProxyType

JOINERS = frozenset("\u200c\u200d")
"""Characters of format that words and emoji need, and that do nothing to others."""


def printable(text: object) -> str:
    """A foreign text that a terminal may have: control characters, those of direction among them, are blanks."""
    return "".join(c if c.isprintable() or c in JOINERS else " " for c in str(text))


def installed_by(extra: str) -> str:
    """The command that installs what an extra of `pyproject.toml` has. It names the packages, for in the public index
    our own name is another project's."""
    from importlib.metadata import PackageNotFoundError, requires

    try:
        needed = [each.partition(";") for each in requires("sfumato") or ()]
    except PackageNotFoundError:
        needed = []
    marks = (f"extra == '{extra}'", f'extra == "{extra}"')
    names = [re.split(r"[^\w.-]", name)[0] for name, _, mark in needed if mark.strip() in marks]
    return "pip install " + (" ".join(names) or f"-e '.[{extra}]'")


class SfumatoError(Exception):
    """Base of all errors that are the input's or the machine's fault rather than a defect of ours."""

    exit_code = 2


class RequestError(SfumatoError):
    """The request cannot be carried out as written."""


class UnknownNameError(RequestError):
    """`name` is not one of `known`; the message offers the nearest names, or all when none is near.

    Args:
        meant: other words for known names, which are not offered themselves.
        otherwise: what else could be done.
    """

    def __init__(
        self,
        kind: str,
        name: str,
        known: Iterable[str],
        *,
        meant: Mapping[str, str] = MappingProxyType({}),
        otherwise: str = "",
    ) -> None:
        names = sorted({*known, *meant})
        found = difflib.get_close_matches(name.lower(), names, n=3, cutoff=0.5)
        near = dict.fromkeys(meant.get(each, each) for each in found)
        own = [each for each in names if each not in meant]
        known = shorten(", ".join(own), 400, placeholder=" ...") or "none"
        offer = f"did you mean {' or '.join(near)}?" if near else f"known: {known}"
        offers = [*([] if otherwise and not own else [offer]), *([otherwise] if otherwise else [])]
        super().__init__(f"unknown {kind} {name!r}; {'; '.join(offers)}")


class CheckpointError(SfumatoError):
    """Weights or configuration are missing, truncated, foreign or do not fit."""


class OutputError(SfumatoError):
    """A file could not be written; nothing half-written is left behind."""


class TrainingError(SfumatoError):
    """A training run cannot start, or stopped to protect its weights."""


class DivergedError(TrainingError):
    """Losses or gradients stayed non-finite; the last good checkpoint is kept."""

    exit_code = 3
