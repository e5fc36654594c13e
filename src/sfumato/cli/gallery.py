"""``sfumato gallery``, over a service's API."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sfumato.cli.terminal import note
from sfumato.decoding import SUFFIXES
from sfumato.errors import RequestError, SfumatoError
from sfumato.files import cannot_write, whole_file
from sfumato.metadata import carriers
from sfumato.service.client import Client

_AT_ONCE = 200


def bring(url: str, token: str | None, paths: Sequence[Path], *, board: str | None, as_json: bool) -> None:
    """Bring pictures, the oldest first, and print how many there were; a file that cannot be used is named.

    Raises:
        RequestError: a path is not there, or there is no picture.
        SfumatoError: the service is not there.
    """
    for path in paths:
        if not path.exists():
            raise RequestError(f"{path} is not there; give pictures, or folders of them")
    files = sorted({*_pictures(paths)}, key=lambda path: (path.stat().st_mtime, path))
    if not files:
        raise RequestError(f"no picture is in {', '.join(map(str, paths))}; give pictures, or folders of them")
    client = Client(url, token=token)
    tools: dict[str, int] = {}
    counts = {"new": 0, "known": 0, "refused": 0}
    client.call("GET", "/api/v1/health")
    for path in files:
        try:
            found, new = client.bring(carriers.load(path), created=path.stat().st_mtime)
        except SfumatoError as error:
            counts["refused"] += 1
            note(f"{path}: {error}")
            continue
        counts["new" if new else "known"] += 1
        tools[found["tool"] or "unknown"] = tools.get(found["tool"] or "unknown", 0) + 1
        if board is not None:
            client.call("PATCH", "/api/v1/gallery", {"ids": [found["id"]], "add_boards": [board]})
    if as_json:
        print(json.dumps({**counts, "tools": tools}))
        return
    made = ", ".join(f"{many} by {tool}" for tool, many in sorted(tools.items(), key=lambda pair: -pair[1]))
    print(f"{counts['new']} new, {counts['known']} known, {counts['refused']} refused{made and f'; {made}'}")


def _pictures(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_file():
            yield path
            continue
        for folder, _, names in os.walk(path):
            yield from (Path(folder) / name for name in names if Path(name).suffix.lower() in SUFFIXES)


def search(url: str, token: str | None, facts: Mapping[str, Any], *, limit: int, as_json: bool) -> None:
    """Print pictures, a line each."""
    if not 1 <= limit <= _AT_ONCE:
        raise RequestError(f"--limit {limit} must be 1 to {_AT_ONCE}")
    found = Client(url, token=token).gallery(limit=limit, **facts)["pictures"]
    if as_json:
        print(json.dumps(found))
        return
    for each in found:
        stars = "*" * each["rating"]
        words = " ".join(each["prompt"].split())
        print(f"{each['id']}  {each['width']}x{each['height']}  {each['tool'] or '-'}  {stars:5}  {words[:80]}")


def show(url: str, token: str | None, id: str) -> None:
    """Print a picture's facts."""
    print(json.dumps(Client(url, token=token).picture(id), ensure_ascii=False))


def export(url: str, token: str | None, output: Path, facts: Mapping[str, Any]) -> None:
    """Write a zip whole or not at all.

    Raises:
        OutputError: it cannot be written.
        SfumatoError: nothing is found, or the service is not there.
    """
    client = Client(url, token=token)
    try:
        with client.exported(**facts) as pieces, whole_file(output) as file:
            while piece := pieces.read(2**20):
                file.write(piece)
    except OSError as error:
        raise cannot_write(output, error) from None
    print(output)


def erase(url: str, token: str | None, ids: Sequence[str], *, trash: bool, everything: bool) -> None:
    """Erase pictures, and print how many.

    Raises:
        RequestError: it is not said which, or said twice.
    """
    if [bool(ids), trash, everything].count(True) != 1:
        raise RequestError("say what to erase: ids, --trash or --all")
    client, many = Client(url, token=token), 0
    if ids:
        many = client.erase(ids)
    for where in ({"trash": True},) if trash else ({}, {"trash": True}) if everything else ():
        while found := client.gallery(limit=_AT_ONCE, **where)["pictures"]:
            many += client.erase([each["id"] for each in found])
    print(f"{many} erased")
