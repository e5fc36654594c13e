"""``sfumato models``, ``doctor`` and ``bench``: facts in columns for people, in JSON for programs."""

import json
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import asdict

from sfumato.cli.terminal import note


def models(*, as_json: bool) -> None:
    """What can be named after ``--model``."""
    from sfumato.checkpoints.catalogue import available

    found = available()
    if as_json:
        facts = [
            {
                "name": model.name,
                "family": model.family,
                "path": str(model.path),
                "size_bytes": model.size_bytes,
                "description": model.description,
            }
            for model in found
        ]
        print(json.dumps({"models": facts}))
        return
    rows = [(m.name, m.family, _bytes(m.size_bytes), m.description, str(m.path)) for m in found]
    print(columns([("name", "family", "size", "description", "path"), *rows]))


def doctor(*, device: str, as_json: bool) -> None:
    """The machine, and what would be used on it."""
    from sfumato.runtime.doctor import examine

    report = examine(device)
    if as_json:
        print(json.dumps(report))
        return
    for title, section in report.items():
        print(title)
        print(columns([_fact(name, value) for name, value in section.items()]))


def bench_txt2img(
    *, model: str | None, steps: int | None, size: str | None, repeat: int, device: str, precision: str, as_json: bool
) -> None:
    """Cold start, a step, pictures a second, peak memory."""
    from sfumato.cli.painting import build, check_precision, require_model
    from sfumato.errors import RequestError
    from sfumato.runtime import bench
    from sfumato.runtime.precision import cpu_name

    if not 1 <= repeat <= 100:
        raise RequestError(f"repeat {repeat} must be 1 to 100; 3 is the default")
    prompt = "a red apple on a green background"
    request = build({"prompt": prompt, "seed": 1, "model": model, "steps": steps}, size)
    checked_precision = check_precision(precision)
    require_model(request.model)
    note(f"cold: {repeat} fresh processes, one picture each")
    with tempfile.TemporaryDirectory(prefix="sfumato-") as folder:
        command = ["txt2img", prompt, "--seed", "1", "--quiet", "--device", device, "--precision", precision]
        for name, value in (("--model", model), ("--steps", steps), ("--size", size)):
            command += [] if value is None else [name, str(value)]
        cold = bench.cold([*command, "-o", f"{folder}/"], repeat)
    note(f"warm: {repeat} pictures alone, then {repeat} batches")
    from sfumato.studio import Studio

    studio = Studio(request.model, device=device, precision=checked_precision)
    warm = bench.warm(studio.run, request, repeat=repeat)
    if as_json:
        facts = {**asdict(warm), "request": warm.request.model_dump()}
        print(json.dumps({"cpu": cpu_name(), "cold": asdict(cold), "warm": facts}))
        return
    executed = warm.request
    print(
        columns(
            [
                ("cpu", cpu_name()),
                ("model", f"{executed.model}, {executed.width}x{executed.height}, {executed.steps} steps"),
                ("cold start to file", f"{statistics.median(cold.seconds):.2f} s"),
                ("a step", f"{warm.step_seconds * 1e3:.1f} ms"),
                ("images/s, one by one", f"{warm.images_per_second:.2f}"),
                (f"images/s, batch {warm.batch}", f"{warm.batch_images_per_second:.2f}"),
                ("peak memory", "unknown" if cold.peak_bytes is None else _bytes(cold.peak_bytes)),
            ]
        )
    )


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Rows as aligned text, whatever the width of the terminal."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _fact(name: str, value: object) -> tuple[str, str]:
    """A name and a value as people write them."""
    if name.endswith("_bytes") and isinstance(value, int):
        value = _bytes(value)
    return f"  {name.removesuffix('_bytes').replace('_', ' ')}", _plain(value)


def _plain(value: object) -> str:
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    if isinstance(value, dict):
        return ", ".join(f"{key} {part}" for key, part in value.items())
    if isinstance(value, list):
        return " ".join(map(str, value)) or "none"
    return str(value)


def _bytes(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.1f} MiB"
