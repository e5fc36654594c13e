"""``python -m sfumato.cli.loading MODEL DEVICE PRECISION``: load a model once, and say in JSON what it took.

For `sfumato.cli.bench`, which gives each load a process of its own.
"""

import json
import sys
import time
from typing import get_args

from sfumato.choices import Precision
from sfumato.cli.terminal import complain
from sfumato.errors import SfumatoError


def main(model: str, device: str, precision: str) -> int:
    """Exit code 0, with one object on stdout: seconds of the imports and of the load, and CPU seconds of both."""
    begun = time.perf_counter()
    from sfumato.studio import Studio

    try:
        chosen = next(known for known in get_args(Precision) if known == precision)
        studio = Studio(model, device=device, precision=chosen)
        imported = time.perf_counter()
        studio.load()
    except SfumatoError as error:
        complain(str(error))
        return error.exit_code
    loaded = time.perf_counter()
    print(
        json.dumps(
            {"import": imported - begun, "load": loaded - imported, "cpu": time.process_time(), "until": time.time()}
        )
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
