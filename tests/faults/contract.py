"""Requests that schemathesis makes from a service's OpenAPI: URL CASES. Exit code 1 where one is answered with 5xx.

Half of them keep to the schema, half break it. The last line on stdout is JSON: what was seen.
"""

import collections
import contextlib
import itertools
import json
import sys
import time
from typing import Any

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode

ENDLESS = "/api/v1/events"
"""Is answered for ever."""
MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
EACH = 30
"""Cases of an operation and a mode in a turn."""
AS_IT_COMES = settings(
    max_examples=EACH,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
PATIENCE = 10.0  # seconds
WAITING = 0
"""In the place of a status: there was no answer in that time, as where it is given when a picture is painted."""


def main(url: str, cases: int) -> int:
    """Ask all operations in turn."""
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json", timeout=10 * PATIENCE)
    operations = [found.ok() for found in schema.get_all_operations()]
    operations = [each for each in operations if each.path != ENDLESS]
    statuses, wrong, slowest, turn = collections.Counter[int](), list[str](), 0.0, 0
    session, asking = requests.Session(), list(itertools.product(operations, MODES))
    while sum(statuses.values()) < cases:
        turn += 1
        for operation, mode in [*asking]:
            _cleared(url, session)
            found = _asked(operation, mode, turn, session)
            if not found:  # any text is an id: hypothesis looks for seconds, and finds none that is not
                asking.remove((operation, mode))
            for status, seconds, said in found:
                statuses[status] += 1
                slowest = max(slowest, seconds)
                if status >= 500:
                    wrong.append(said)
        print(f"turn {turn}: {sum(statuses.values())} of {cases}", file=sys.stderr)
    many = sum(statuses.values())
    told = ", ".join(f"{status}: {count}" for status, count in sorted(statuses.items()))
    for said in dict.fromkeys(wrong):
        print(said)
    said = f"{many} requests to {len(operations)} operations ({told}); {len(wrong)} of 5xx; the slowest {slowest:.1f} s"
    print(json.dumps({"said": said}))
    return 1 if wrong or many < cases else 0


def _cleared(url: str, session: requests.Session) -> None:
    """Cancel all jobs: what is asked for next is not to wait for ten thousand pictures."""
    for state in ("queued", "paused", "running"):
        for job in session.get(f"{url}/api/v1/jobs", params={"state": state}, timeout=PATIENCE).json():
            session.post(f"{url}/api/v1/jobs/{job['id']}/cancel", timeout=PATIENCE)
    session.patch(f"{url}/api/v1/queue", json={"paused": False}, timeout=PATIENCE)


def _asked(operation: Any, mode: GenerationMode, turn: int, session: requests.Session) -> list[tuple[int, float, str]]:
    """Status, seconds and command line of each; none where the schema cannot be broken."""
    found: list[tuple[int, float, str]] = []

    @seed(turn)
    @AS_IT_COMES
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        begun = time.monotonic()
        try:
            status = case.call(session=session, timeout=PATIENCE).status_code
        except requests.Timeout:
            status = WAITING
        found.append((status, time.monotonic() - begun, f"{status} {case.as_curl_command()[:2000]}"))

    with contextlib.suppress(Unsatisfiable):
        ask()
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
