"""``sfumato verify``: at which step, if any, a repainting leaves the way that a picture took."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from sfumato.cli.metadata import DIFFERENT, IDENTICAL, Comparison, repaint, verdict
from sfumato.cli.terminal import note
from sfumato.errors import RequestError
from sfumato.metadata.carriers import STEPS
from sfumato.metadata.trace import Trace
from sfumato.requests import Request


def verify(path: Path, *, device: str, precision: str | None, engine: str | None, as_json: bool, quiet: bool) -> int:
    """Repaint a picture, compare every step and the pixels, and print what is found. Gives the exit code."""

    def check(texts: Mapping[str, str], request: Request) -> None:
        if STEPS not in texts:
            raise RequestError("it carries no digests of its steps; sfumato replay compares the pixels alone")
        Trace.from_json(texts[STEPS])

    again = repaint(path, device=device, precision=precision, engine=engine, quiet=quiet, check=check)
    then, (now,) = Trace.from_json(again.texts[STEPS]), again.result.traces
    step = then.first_difference(now)
    causes = (*again.causes, *then.differences(now))
    sigma = None if step is None else _sigma(now, step)
    if as_json:
        facts = {
            "file": str(path),
            "identical": again.compared.identical and step is None,
            "steps": then.steps,
            "first_difference": step,
            "sigma": sigma,
            "pixels": {"identical": again.compared.identical, **asdict(again.compared)},
            "differences": list(causes),
            "request": again.request.model_dump(),
        }
        print(json.dumps(facts))
    else:
        print(_said(then, now, step, sigma, again.compared))
        for words in causes:
            note(f"differs: {words}")
    return IDENTICAL if again.compared.identical and step is None else DIFFERENT


def _sigma(now: Trace, step: int) -> float | None:
    """The noise level that step began at; None for the noise itself, or a step that was not taken now."""
    return now.sigmas[step - 1] if 1 <= step <= len(now.sigmas) else None


def _said(then: Trace, now: Trace, step: int | None, sigma: float | None, compared: Comparison) -> str:
    if step is None and compared.identical:
        return f"identical: the picture and all {then.steps} steps"
    if step is None:
        return f"all {then.steps} steps are the same, the pixels are {verdict(compared)}"
    if step == 0:
        return f"the noise differs before the first of {then.steps} steps; the pixels are {verdict(compared)}"
    if step > min(then.steps, now.steps):
        return f"{then.steps} steps then, {now.steps} now, the same as far as they go; pixels {verdict(compared)}"
    level = "" if sigma is None else f", at sigma {sigma:.4g}"
    return f"step {step} of {then.steps} differs first{level}; the pixels are {verdict(compared)}"
