"""Micro-batches computed by several processes of one machine, their gradients summed: `accumulate`, but side by side.

On a CPU two processes of one thread each outrun one process of two threads by far on small networks, whose operators
are too short to be shared out. Weights lie in one shared block that every process reads and only the first writes; each
other process fills a shared block of gradients. Who computes what follows from the step, so nothing else is sent. The
same processes orthogonalise the optimiser's matrices.
"""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Self

import torch
from torch import Tensor, nn

from sfumato.errors import TrainingError
from sfumato.runtime.memory import keep_freed_memory
from sfumato.runtime.threads import waiting_briefly

Share = Callable[[int, int], dict[str, float]]
"""(step, rank) -> summed losses; leaves the gradients of that rank's micro-batches in the parameters."""


def flatten(parameters: Sequence[nn.Parameter]) -> Tensor:
    """Move the parameters into one shared block, each with the strides that it has."""
    block = torch.cat([p.detach().as_strided((p.numel(),), (1,)) for p in parameters]).share_memory_()
    attach(parameters, block)
    return block


def attach(parameters: Sequence[nn.Parameter], block: Tensor) -> None:
    """Let the parameters live in a block that `flatten` made of their like."""
    for p, view in zip(parameters, views(parameters, block), strict=True):
        p.data = view


def views(parameters: Sequence[nn.Parameter], block: Tensor) -> Iterator[Tensor]:
    """The places of the parameters in a block, with their shapes and strides."""
    start = 0
    for p in parameters:
        yield block[start : start + p.numel()].as_strided(p.shape, p.stride(), start)
        start += p.numel()


FAILED = 1
"""The exit code of a process that an exception has ended, after it has printed it."""


class WorkerPool:
    """The other processes of a run; without any (`count` 1) it does nothing.

    `make` builds, in a fresh process, the networks (whose parameters come in the same order and strides) and the
    function that computes a rank's share. It must be picklable.
    """

    def __init__(
        self,
        parameters: Sequence[nn.Parameter],
        count: int,
        make: Callable[[], tuple[Sequence[nn.Parameter], Share]] | None,
    ) -> None:
        self.parameters = list(parameters)
        self.threads = torch.get_num_threads()
        self._pipes: list[Connection] = []
        self._gradients: list[Tensor] = []
        self._processes: list[multiprocessing.process.BaseProcess] = []
        self._each = max(1, self.threads // count)
        if count == 1:
            return
        if make is None:
            raise ValueError("more than one process needs `make`")
        if {p.dtype for p in self.parameters} != {torch.float32}:
            raise TrainingError("several processes train float32 weights; use precision bf16 or fp32 with them")
        weights = flatten(self.parameters)
        context = torch.multiprocessing.get_context("spawn")
        for rank in range(1, count):
            gradients = torch.zeros_like(weights).share_memory_()
            ours, theirs = context.Pipe()
            process = context.Process(
                target=_work,
                args=(make, rank, self._each, weights, gradients, theirs),
                daemon=True,
                name=f"rank {rank}",
            )
            with waiting_briefly():
                process.start()
            theirs.close()
            self._pipes.append(ours)
            self._gradients.append(gradients)
            self._processes.append(process)
        torch.set_num_threads(self._each)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.join(timeout=10)
            if process.is_alive():
                process.kill()
        torch.set_num_threads(self.threads)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """While the others wait, all threads are ours."""
        with _threads(self.threads):
            yield

    def compute(self, step: int, share: Share) -> dict[str, float]:
        """Every rank's share of `step`, ours by `share`; the gradients end summed in our parameters.

        Raises:
            TrainingError: one of the others has died.
        """
        with self._alive():
            for pipe in self._pipes:
                pipe.send(step)
            total = share(step, 0)
            for pipe, gradients in zip(self._pipes, self._gradients, strict=True):
                for name, value in pipe.recv().items():
                    total[name] = total.get(name, 0.0) + value
                for p, gradient in zip(self.parameters, views(self.parameters, gradients), strict=True):
                    if p.grad is not None:
                        p.grad += gradient
        return total

    def map(self, function: Callable[[Tensor], Tensor], tensors: Sequence[Tensor]) -> list[Tensor]:
        """`function` of each tensor, side by side; it must keep their shape, and pickle.

        Between steps the others' blocks of gradients carry the tensors there and back: float32, no more values than
        the parameters have. What comes back is overwritten by the next step.

        Raises:
            TrainingError: one of the others has died.
        """
        hands = _deal([tensor.numel() * min(tensor.shape) for tensor in tensors], 1 + len(self._pipes))
        done: dict[int, Tensor] = {}
        with self._alive(), _threads(self._each):
            for hand, pipe, block in zip(hands[1:], self._pipes, self._gradients, strict=True):
                shapes = [tensors[i].shape for i in hand]
                for i, place in zip(hand, _cut(block, shapes), strict=True):
                    done[i] = place.copy_(tensors[i])
                pipe.send((function, shapes))
            done |= {i: function(tensors[i]) for i in hands[0]}
            for pipe in self._pipes:
                pipe.recv()
        return [done[i] for i in range(len(tensors))]

    @contextmanager
    def _alive(self) -> Iterator[None]:
        try:
            yield
        except (EOFError, OSError) as error:
            for process in self._processes:
                process.join(timeout=2)
            if any(process.exitcode == FAILED for process in self._processes):
                raise TrainingError("a training process failed, of the error above") from error
            raise TrainingError("a training process has died (of memory?); run the same command to go on") from error


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _deal(costs: Sequence[int], hands: int) -> list[list[int]]:
    """The numbers of the costs in so many hands of about the same sum, the dearest first."""
    dealt: list[list[int]] = [[] for _ in range(hands)]
    sums = [0] * hands
    for i in sorted(range(len(costs)), key=lambda i: -costs[i]):
        least = sums.index(min(sums))
        dealt[least].append(i)
        sums[least] += costs[i]
    return dealt


def _cut(block: Tensor, shapes: Sequence[torch.Size]) -> Iterator[Tensor]:
    """Tensors of these shapes, one after the other in a block."""
    start = 0
    for shape in shapes:
        yield block[start : start + shape.numel()].view(shape)
        start += shape.numel()


def _work(
    make: Callable[[], tuple[Sequence[nn.Parameter], Share]],
    rank: int,
    threads: int,
    weights: Tensor,
    gradients: Tensor,
    pipe: Connection,
) -> None:
    """The life of another process, until the pipe closes: for a step's number gradients and losses, for a function and
    shapes its values in place of the tensors in our block."""
    keep_freed_memory()
    torch.set_num_threads(threads)
    parameters, share = make()
    attach(parameters, weights)
    for p, view in zip(parameters, views(parameters, gradients), strict=True):
        p.grad = view
    while True:
        try:
            asked = pipe.recv()
        except (EOFError, KeyboardInterrupt):
            return
        if isinstance(asked, int):
            gradients.zero_()
            pipe.send(share(asked, rank))
        else:
            function, shapes = asked
            for tensor in _cut(gradients, shapes):
                tensor.copy_(function(tensor))
            pipe.send(None)
