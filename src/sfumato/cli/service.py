"""``sfumato serve`` and ``sfumato jobs``."""

import json
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sfumato.cli.options import check_precision
from sfumato.errors import RequestError, SfumatoError, installed_by

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True)
class Listening:
    """Where and how a service listens."""

    host: str
    port: int
    data: Path | None
    token: str | None
    idle: str
    queue: int
    retain: str | None = None
    database: str | None = None
    open: bool = False


def serve(how: Listening, *, models: Sequence[Path], hosts: Sequence[str], device: str, precision: str) -> None:
    """Run a service until it is told to end.

    Raises:
        SfumatoError: an option makes no sense, the port is taken, another service uses the folder, or the extra is not
            installed.
    """
    for name, value, least, most in (("port", how.port, 1, 65535), ("queue", how.queue, 1, 10_000)):
        if not least <= value <= most:
            raise RequestError(f"--{name} {value} must be {least} to {most}")
    idle = seconds("--idle", how.idle)
    retain = None if how.retain is None else seconds("--retain", how.retain)
    check_precision(precision)
    for folder in models:
        if not folder.is_dir():
            raise RequestError(f"--models {folder} is no folder")
    try:
        _listen(how, idle, retain, models, hosts, (device, precision))
    except ImportError as error:
        raise SfumatoError(f"the service needs {error.name}: {installed_by('serve')}") from None


def _listen(
    how: Listening,
    idle: float,
    retain: float | None,
    models: Sequence[Path],
    hosts: Sequence[str],
    machine: tuple[str, str],
) -> None:
    from sfumato.service.door import is_loopback
    from sfumato.service.process import WORKER
    from sfumato.service.serve import default_folder, new_token, serve
    from sfumato.service.settings import Settings

    if models:
        there = os.environ.get("SFUMATO_MODELS", "")
        os.environ["SFUMATO_MODELS"] = os.pathsep.join(
            [*(str(each.resolve()) for each in models), *filter(None, [there])]
        )
    token = how.token
    if token is None and not is_loopback(how.host):
        token = new_token()
        print(f"token: {token}", file=sys.stderr)
    if token is not None and len(token) < 16:
        raise RequestError(f"--token has {len(token)} characters; take 16 or more")
    folder = default_folder() if how.data is None else how.data
    serve(
        Settings(folder, how.host, token, idle, how.queue, hosts, (*WORKER, *machine), how.database, retain),
        how.port,
        open=how.open,
    )


def seconds(option: str, text: str) -> float:
    """Seconds of ``90s``, ``10m``, ``2h`` or ``30d``.

    Raises:
        RequestError: for anything else.
    """
    found = re.fullmatch(r"([0-9]{1,6})([smhd]?)", text.strip())
    if found is None or not int(found[1]):
        raise RequestError(f"{option} {text[:40]!r} must be a time, for example 90s, 10m, 2h or 30d")
    return float(int(found[1]) * _SECONDS[found[2] or "s"])


def listed(url: str, token: str | None, *, limit: int, as_json: bool) -> None:
    """Print jobs, a line each."""
    from sfumato.service.client import Client

    if not 1 <= limit <= 200:
        raise RequestError(f"--limit {limit} must be 1 to 200")
    found = Client(url, token=token).jobs(limit=limit)
    if as_json:
        print(json.dumps(found))
        return
    for job in found:
        state = f"{job['state']} {job['progress']:.0%}" if job["state"] == "running" else job["state"]
        left = "" if job["seconds_left"] is None else f"  {job['seconds_left']:.0f} s left"
        prompt = " ".join(job["request"].get("prompt", "").split())
        print(f"{job['id']}  {state:12}{left}  {job['task']}  {prompt[:60]}")


def act(url: str, token: str | None, id: str, what: Literal["job", "cancel", "retry"]) -> None:
    """Print a job, after doing something with it."""
    from sfumato.service.client import Client

    if not re.fullmatch("[0-9a-f]{1,32}", id):
        raise RequestError(f"{id[:40]!r} is no job's id; sfumato jobs list has them")
    client = Client(url, token=token)
    print(json.dumps({"job": client.job, "cancel": client.cancel, "retry": client.retry}[what](id), ensure_ascii=False))
