"""The way a picture took, a digest a step: enough to say at which step a repainting leaves it.

Stored beside the request as one JSON object; a step costs 16 characters. Nothing here needs torch.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Self

from sfumato.errors import RequestError

_DIGITS = 16
_MAX_STEPS = 100_000


def digest(latents: bytes | memoryview) -> str:
    """BLAKE2b of a picture's latents, float32 and little-endian, 64 bits in hexadecimal."""
    return hashlib.blake2b(latents, digest_size=_DIGITS // 2).hexdigest()


@dataclass(frozen=True)
class Trace:
    """What the latents of one picture were.

    Attributes:
        digests: of the noise it started from, and of x after each step.
        batch: how many pictures were painted with it; kernels round by the size of a batch.
        machine: what else rounding depends on, as ``AVX512, 2 threads``.
        sigmas: the noise level each step started at; not stored.
    """

    digests: tuple[str, ...]
    batch: int = 1
    machine: str = ""
    sigmas: tuple[float, ...] = field(default=(), compare=False)

    @classmethod
    def joined(cls, traces: "Sequence[Trace]") -> Self:
        """One trace of descents after each other; the noise that the later ones began from is left out."""
        digests = (*traces[0].digests, *(digest for trace in traces[1:] for digest in trace.digests[1:]))
        sigmas = tuple(sigma for trace in traces for sigma in trace.sigmas)
        return cls(digests, traces[0].batch, traces[0].machine, sigmas)

    @property
    def steps(self) -> int:
        """How many were taken."""
        return len(self.digests) - 1

    def first_difference(self, other: Self) -> int | None:
        """The first step that ended otherwise, 0 for the noise before any; None where all are equal."""
        pairs = enumerate(zip_longest(self.digests, other.digests))
        return next((i for i, (ours, theirs) in pairs if ours != theirs), None)

    def differences(self, other: Self) -> tuple[str, ...]:
        """In words, what may have rounded otherwise."""
        rows = (("batch", str(self.batch), str(other.batch)), ("machine", self.machine, other.machine))
        return tuple(f"{name} {ours}, now {theirs}" for name, ours, theirs in rows if ours != theirs)

    def to_json(self) -> str:
        """One line."""
        facts = {"digests": "".join(self.digests), "batch": self.batch, "machine": self.machine}
        return json.dumps(facts, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The trace that `to_json` wrote.

        Raises:
            RequestError: for anything else.
        """
        try:
            facts = json.loads(text)
            digits, batch, machine = facts["digests"], facts["batch"], facts["machine"]
            if type(batch) is not int or not isinstance(machine, str):
                raise ValueError("a field of another kind")
            bytes.fromhex(digits)
            if not digits or len(digits) % _DIGITS or len(digits) > _DIGITS * _MAX_STEPS:
                raise ValueError("no whole number of digests")
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise RequestError(f"its digests of steps are damaged: {str(error)[:80]}; sfumato replay works") from None
        return cls(tuple(_cut(digits)), batch, machine)


def _cut(digits: str) -> Sequence[str]:
    return [digits[place : place + _DIGITS] for place in range(0, len(digits), _DIGITS)]
