"""What this machine is and what would be used on it: the first thing to ask for when something is slow or wrong."""

import os
import platform
from importlib import metadata

from sfumato.errors import SfumatoError, UnknownNameError
from sfumato.runtime import precision
from sfumato.runtime.devices import choose_device
from sfumato.runtime.memory import container_limit

Section = dict[str, object]

PACKAGES = ("sfumato", "torch", "numpy", "safetensors", "tokenizers", "pillow", "pydantic", "typer", "rich")
FEATURES = (
    *("avx2", "f16c", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_tile", "amx_bf16", "amx_int8"),
    *("asimd", "asimdhp", "bf16", "i8mm", "sve", "sve2"),
)


def examine(device: str = "auto") -> dict[str, Section]:
    """Sections of named facts, ready for JSON. A torch that does not import is reported, not raised."""
    report: dict[str, Section] = {
        "versions": _versions(),
        "cpu": _cpu(),
        "memory": _memory(),
    }
    try:
        report["torch"] = _torch()
        report["would use"] = _choices(device)
    except ImportError as error:
        report["torch"] = {"problem": f"torch does not import: {error}"}
    report["folders"] = _folders()
    return report


def _versions() -> Section:
    found: Section = {"python": platform.python_version(), "system": platform.platform()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    return found


def _cpu() -> Section:
    import psutil

    flags = precision.cpu_flags()
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "name": precision.cpu_name(),
        "cores": psutil.cpu_count(logical=False),
        "logical": psutil.cpu_count(),
        "usable": usable,
        "features": [name for name in FEATURES if name in flags],
    }


def _memory() -> Section:
    import psutil

    memory = psutil.virtual_memory()
    return {"total_bytes": memory.total, "available_bytes": memory.available, "limit_bytes": container_limit()}


def _torch() -> Section:
    import torch

    return {
        "threads": torch.get_num_threads(),
        "interop_threads": torch.get_num_interop_threads(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "onednn": torch.backends.mkldnn.is_available(),
        "openmp": torch.backends.openmp.is_available(),
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        "mps": torch.backends.mps.is_available(),
    }


def _choices(name: str) -> Section:
    try:
        device = choose_device(name)
    except UnknownNameError:
        raise
    except SfumatoError as error:
        return {"problem": str(error)}
    choice = precision.choose(device)
    section: Section = {
        "device": str(device),
        "precision": str(choice.dtype).removeprefix("torch."),
        "reason": choice.reason,
    }
    if choice.measured is not None:
        m = choice.measured
        section["bfloat16_speedup"] = round(m.speedup, 3)
        section["convolution_ms"] = {"float32": _ms(m.float32_conv), "bfloat16": _ms(m.bfloat16_conv)}
        section["matmul_ms"] = {"float32": _ms(m.float32_matmul), "bfloat16": _ms(m.bfloat16_matmul)}
    return section


def _ms(seconds: float) -> float:
    return round(seconds * 1e3, 4)


def _folders() -> Section:
    cache = precision.cache_folder()
    named = {name: os.environ.get(name) for name in ("SFUMATO_MODELS", "SFUMATO_EXTRA_MODEL_PATHS")}
    return {"cache": str(cache) if cache else None, **named}
