"""The number format of a network, chosen by measurement rather than by the names of CPU features.

On a CPU, bfloat16 may be sixteen times as fast as float32, or slower than it. A short race over the two operations that
fill a U-Net decides, once for a CPU and a torch; the result is kept in the user's cache folder, so that the same
command stays the same picture. Float32 is the more exact and keeps the job unless bfloat16 is clearly faster. On
accelerators the type is known without a race.
"""

import contextlib
import json
import math
import os
import platform
import sys
import time
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from sfumato.choices import Precision
from sfumato.errors import RequestError, UnknownNameError
from sfumato.files import write_atomic

if TYPE_CHECKING:
    import torch

CLEARLY_FASTER = 1.25
_ROUNDS = 15


@dataclass(frozen=True)
class Measured:
    """Seconds of the race's operations, the best of a few rounds."""

    float32_conv: float
    bfloat16_conv: float
    float32_matmul: float
    bfloat16_matmul: float

    @property
    def speedup(self) -> float:
        """How many times as fast bfloat16 is: the geometric mean of both operations."""
        return math.sqrt(self.float32_conv / self.bfloat16_conv * (self.float32_matmul / self.bfloat16_matmul))


@dataclass(frozen=True)
class Choice:
    """A number format and why; `measured` is there when a race decided. With `int8` the large products of a denoiser
    are of whole numbers of 8 bits, and all else is of `dtype`."""

    dtype: "torch.dtype"
    reason: str
    measured: Measured | None = None
    int8: bool = False


def choose(device: "str | torch.device" = "cpu", precision: Precision = "auto") -> Choice:
    """The number format for networks on a device.

    Args:
        precision: ``bf16``, ``fp32`` and ``fp16`` are taken at their word; ``auto`` decides, for what is not in 8 bits
            with ``int8`` as well. Whether this CPU has products of 8 bits, `sfumato.nn.quantised` says.

    Raises:
        UnknownNameError: for another precision.
        RequestError: for fp16 on a CPU, where it is slow and overflows; for int8 elsewhere.
    """
    import torch

    if precision not in get_args(Precision):
        raise UnknownNameError("precision", str(precision)[:64], get_args(Precision))
    kind = torch.device(device).type
    if precision == "int8" and kind != "cpu":
        raise RequestError(f"precision int8 is for CPUs, not for {kind}; use bf16, fp16, fp32 or auto")
    if precision not in ("auto", "int8"):
        if precision == "fp16" and kind == "cpu":
            raise RequestError("precision fp16 is for accelerators; on a CPU use bf16, fp32 or auto")
        dtypes = {"bf16": torch.bfloat16, "fp32": torch.float32, "fp16": torch.float16}
        return Choice(dtypes[precision], "as asked")
    if kind == "cuda":
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return Choice(torch.bfloat16, "this GPU computes bfloat16, which does not overflow")
        return Choice(torch.float16, "this GPU computes float16 but not bfloat16")
    if kind == "mps":
        return Choice(torch.float16, "Apple's GPUs are fastest in float16")
    return replace(_decided(_remembered()), int8=precision == "int8")


def _decided(measured: Measured) -> Choice:
    import torch

    times = f"bfloat16 is {measured.speedup:.2f} times as fast as float32 here"
    if measured.speedup >= CLEARLY_FASTER:
        return Choice(torch.bfloat16, times, measured)
    return Choice(torch.float32, f"{times}, which is not clearly faster", measured)


def autocast(device: "torch.device", precision: Precision) -> "torch.autocast":
    """What runs networks of float32 weights in bfloat16 where that is safe, for ``bf16``; else it changes nothing."""
    import torch

    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


# ----------------------------------------------------------------------------------------------------------- race


def measure() -> Measured:
    """Race bfloat16 against float32 on a convolution and a matrix product of a small U-Net; about 50 ms.

    On one thread, in many short turns: other work on the machine then delays some rounds and not the best ones.
    """
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            return _race()
    finally:
        torch.set_num_threads(threads)


def _race() -> Measured:
    import torch
    from torch.nn import functional as F

    shapes = {"picture": (1, 128, 16, 16), "kernel": (128, 128, 3, 3), "tokens": (256, 320), "weight": (640, 320)}
    dtypes = (torch.float32, torch.bfloat16)
    operands = {dtype: {name: torch.ones(shape, dtype=dtype) for name, shape in shapes.items()} for dtype in dtypes}
    best: dict[tuple[str, torch.dtype], float] = {}
    for _ in range(1 + _ROUNDS):  # the first round builds the kernels and is slower, so it is never the best
        for dtype in dtypes:
            of = operands[dtype]
            start = time.perf_counter()
            F.conv2d(of["picture"], of["kernel"], padding=1)
            middle = time.perf_counter()
            F.linear(of["tokens"], of["weight"])
            end = time.perf_counter()
            for name, seconds in (("conv", middle - start), ("matmul", end - middle)):
                best[name, dtype] = min(best.get((name, dtype), math.inf), seconds)
    return Measured(
        best["conv", torch.float32],
        best["conv", torch.bfloat16],
        best["matmul", torch.float32],
        best["matmul", torch.bfloat16],
    )


# ----------------------------------------------------------------------------------------------------------- memory


def cache_folder() -> Path | None:
    """Where this user's programs keep what can be made again; None without a home."""
    named = os.environ.get("XDG_CACHE_HOME", "")
    if named and Path(named).is_absolute():
        return Path(named) / "sfumato"
    try:
        home = Path.home()
    except RuntimeError:
        return None
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "sfumato"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", home / "AppData" / "Local")) / "sfumato" / "cache"
    return home / ".cache" / "sfumato"


def cpu_name() -> str:
    """The model of the processor, as the system calls it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def cpu_flags() -> frozenset[str]:
    """Instruction set extensions, by Linux's names; empty on other systems."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith(("flags", "Features")):
                return frozenset(line.partition(":")[2].split())
    except OSError:
        pass
    return frozenset()


def _remembered() -> Measured:
    """The measurement of this CPU and torch: from the cache, or made now and kept."""
    folder = cache_folder()
    if folder is None:
        return measure()
    path = folder / f"precision-{_fingerprint()}.json"
    known = _read(path)
    if known is not None:
        return known
    measured = measure()
    with contextlib.suppress(OSError):  # a cache that cannot be kept costs 50 ms the next time
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, json.dumps(asdict(measured)).encode())
    return measured


def _fingerprint() -> str:
    import torch

    facts = [cpu_name(), *sorted(cpu_flags()), torch.__version__]
    return sha256("\n".join(facts).encode()).hexdigest()[:16]


def _read(path: Path) -> Measured | None:
    """A kept measurement; None when there is none, or it makes no sense."""
    try:
        measured = Measured(**json.loads(path.read_bytes()))
        return measured if math.isfinite(measured.speedup) and measured.speedup > 0 else None
    except (OSError, ValueError, TypeError, ZeroDivisionError):
        return None
