"""Which device a name means here. Torch is imported when asked, not before."""

from typing import TYPE_CHECKING

from sfumato.errors import RequestError, UnknownNameError

if TYPE_CHECKING:
    import torch

KINDS = ("auto", "cpu", "cuda", "mps")


def choose_device(name: str = "auto") -> "torch.device":
    """The device of ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``; auto is the first accelerator, or the CPU.

    Raises:
        UnknownNameError: for no kind of device.
        RequestError: for one that this machine, or this build of torch, does not have.
    """
    kind, _, number = name.partition(":")
    if kind not in KINDS or (number and not number.isdecimal()):
        raise UnknownNameError("device", name[:64], KINDS)
    import torch

    count = {"cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available()), "cpu": 1}
    if kind == "auto":
        kind = next(kind for kind in ("cuda", "mps", "cpu") if count[kind])
    if not count[kind]:
        raise RequestError(f"device {name!r} is not here, or torch {torch.__version__} cannot use it; use cpu")
    index = int(number) if number else 0
    if index >= count[kind]:
        raise RequestError(f"device {name!r} must be numbered 0 to {count[kind] - 1}; use {kind}")
    return torch.device(kind, index) if number and kind == "cuda" else torch.device(kind)


def device_of(network: "torch.nn.Module") -> "torch.device":
    """Where a network computes: the device of its first parameter."""
    return next(network.parameters()).device


def rounding(device: "torch.device") -> str:
    """What the last bits of results depend on, beside the program: kernels and how work is split."""
    import torch

    if device.type == "cpu":
        return f"{torch.backends.cpu.get_cpu_capability()}, {torch.get_num_threads()} threads"
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
