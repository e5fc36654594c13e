"""``sfumato models``, ``doctor`` and ``bench``: facts in columns for people, in JSON for programs."""

import json
import shutil
import statistics
import tempfile
import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from sfumato.cli.terminal import note
from sfumato.errors import CheckpointError, printable

_STAND_IN_BYTES = 2_140_000_000


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


def knowledge(name: str, *, as_json: bool) -> None:
    """What a model has learned to paint, as its `world.json` says."""
    from sfumato.checkpoints.catalogue import find
    from sfumato.prompts.vocabulary import Vocabulary

    vocabulary = Vocabulary.read(find(name))
    if vocabulary is None:
        raise CheckpointError(f"{name} does not say what it knows: only models trained by sfumato have a world.json")
    if as_json:
        print(json.dumps(vocabulary.about))
        return
    for kind, keys in vocabulary.about.items():
        print(printable(kind))
        for key, values in keys.items():
            if key != "name_zh":
                text = f"{key.replace('_', ' ')}: {', '.join(values)}"
                print(_folded(text))
    for reason, names in vocabulary.dropped.items():
        print(_folded(f"{len(names)} dropped ({reason}): {', '.join(names)}"))


def _folded(text: str) -> str:
    return textwrap.fill(printable(text), 118, initial_indent="  ", subsequent_indent="      ")


def doctor(*, device: str, as_json: bool) -> None:
    """The machine, and what would be used on it."""
    from sfumato.runtime.doctor import examine

    report = examine(device)
    if "problem" not in report["torch"]:
        from sfumato.nn import packed, quantised

        report["packed weights"] = {
            **{name: fault or "work" for name, fault in packed.faults().items()},
            "int8": quantised.fault() or "works",
        }
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
    from sfumato.cli import bench
    from sfumato.cli.options import check_precision
    from sfumato.cli.painting import build, require_model
    from sfumato.errors import RequestError
    from sfumato.requests import Txt2Img
    from sfumato.runtime.devices import choose_device
    from sfumato.runtime.precision import cpu_name

    if not 1 <= repeat <= 100:
        raise RequestError(f"repeat {repeat} must be 1 to 100; 3 is the default")
    prompt = "a red apple on a green background"
    request = build(Txt2Img, {"prompt": prompt, "seed": 1, "model": model, "steps": steps, "size": size})
    checked_precision = check_precision(precision)
    require_model(request.model)
    choose_device(device)
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


def bench_load(*, model: str | None, repeat: int, device: str, precision: str, as_json: bool) -> None:
    """Seconds until a model can paint, and peak memory."""
    from sfumato.checkpoints.catalogue import find
    from sfumato.cli import bench
    from sfumato.cli.options import check_precision
    from sfumato.errors import OutputError, RequestError
    from sfumato.runtime.devices import choose_device

    if not 1 <= repeat <= 100:
        raise RequestError(f"repeat {repeat} must be 1 to 100; 3 is the default")
    check_precision(precision)
    choose_device(device)
    with tempfile.TemporaryDirectory(prefix="sfumato-") as folder:
        if model is None:
            path = Path(folder) / "stand-in.safetensors"
            free = shutil.disk_usage(folder).free
            if free < _STAND_IN_BYTES:
                raise OutputError(f"{folder} has {_bytes(free)} free, not {_bytes(_STAND_IN_BYTES)}; set TMPDIR")
            note(f"writing {path}, {_bytes(_STAND_IN_BYTES)} of Stable Diffusion 1.5's form")
            from sfumato.checkpoints.stand_in import write_stand_in

            write_stand_in(path)
        else:
            path = find(model)
        note(f"loading: {repeat + 1} fresh processes, of which the first does not count")
        measured = bench.load(path, device=device, precision=precision, repeat=repeat)
    if as_json:
        print(json.dumps({**asdict(measured), "peak_ratio": measured.peak_ratio}))
        return
    peak, ratio = measured.peak_bytes, measured.peak_ratio
    print(
        columns(
            [
                ("file", _bytes(measured.file_bytes)),
                ("ready", f"{statistics.median(measured.ready_seconds):.2f} s"),
                ("of that the load", f"{statistics.median(measured.load_seconds):.2f} s"),
                ("CPU time", f"{statistics.median(measured.cpu_seconds):.2f} s"),
                ("peak memory", "unknown" if peak is None else f"{_bytes(peak)}, {ratio:.2f} times the file"),
            ]
        )
    )


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Rows as aligned text, whatever the width of the terminal and whoever wrote the cells."""
    rows = [[printable(cell) for cell in row] for row in rows]
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
