"""The configuration that AUTOMATIC1111's web UI reads beside a checkpoint: `NAME.yaml` for `NAME.safetensors`.

Models of Stable Diffusion 1 that predict v say so there alone. Nothing else of it is read: the network is in the file.
"""

import logging
from collections.abc import Collection
from pathlib import Path
from typing import Any, Literal

log = logging.getLogger(__name__)

PREDICTIONS: dict[str, Literal["epsilon", "v"]] = {"v": "v", "eps": "epsilon"}
MAX_BYTES = 1_000_000


def prediction_beside(checkpoint: Path, names: Collection[str]) -> Literal["epsilon", "v"] | None:
    """What `model.params.parameterization` of the configuration says; None where there is none, or none such in it.

    A configuration that cannot be read, or contradicts the checkpoint, is said as a warning.

    Args:
        checkpoint: the file of weights.
        names: of its tensors.
    """
    beside = checkpoint.with_suffix(".yaml")
    if not beside.is_file():
        return None
    import yaml

    try:
        data: Any = yaml.safe_load(beside.read_text("utf-8")) if beside.stat().st_size <= MAX_BYTES else None
        for key in ("model", "params", "parameterization"):
            data = data.get(key) if isinstance(data, dict) else None
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        log.warning("%s is not read: %s", beside, str(error).partition("\n")[0])
        return None
    if data is None:
        return None
    if data not in tuple(PREDICTIONS):
        log.warning("%s says parameterization %r, which is not known; known: %s", beside, data, ", ".join(PREDICTIONS))
        return None
    if "v_pred" in names and data != "v":
        log.warning("%s says parameterization %r, and %s itself predicts v, which is taken", beside, data, checkpoint)
        return None
    return PREDICTIONS[data]
