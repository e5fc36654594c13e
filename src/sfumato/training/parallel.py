"""Micro-batches computed by several processes of one machine, their gradients summed: `accumulate`, but side by side.

On a CPU two processes of one thread each outrun one process of two threads by far on small networks, whose operators
are too short to be shared out. Weights lie in one shared block that every process reads and only the first writes; each
other process fills a shared block of gradients. Who computes what follows from the step, so nothing else is sent.
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


class Crew:
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
        if count == 1:
            return
        if make is None:
            raise ValueError("more than one process needs `make`")
        if {p.dtype for p in self.parameters} != {torch.float32}:
            raise TrainingError("several processes train float32 weights; use precision bf16 or fp32 with them")
        weights = flatten(self.parameters)
        context = torch.multiprocessing.get_context("spawn")
        each = max(1, self.threads // count)
        for rank in range(1, count):
            gradients = torch.zeros_like(weights).share_memory_()
            ours, theirs = context.Pipe()
            process = context.Process(
                target=_work, args=(make, rank, each, weights, gradients, theirs), daemon=True, name=f"rank {rank}"
            )
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._gradients.append(gradients)
            self._processes.append(process)
        torch.set_num_threads(each)

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
        ours = torch.get_num_threads()
        torch.set_num_threads(self.threads)
        try:
            yield
        finally:
            torch.set_num_threads(ours)

    def compute(self, step: int, share: Share) -> dict[str, float]:
        """Every rank's share of `step`, ours by `share`; the gradients end summed in our parameters.

        Raises:
            TrainingError: one of the others has died.
        """
        try:
            for pipe in self._pipes:
                pipe.send(step)
            total = share(step, 0)
            for pipe, gradients in zip(self._pipes, self._gradients, strict=True):
                for name, value in pipe.recv().items():
                    total[name] = total.get(name, 0.0) + value
                for p, gradient in zip(self.parameters, views(self.parameters, gradients), strict=True):
                    if p.grad is not None:
                        p.grad += gradient
        except (EOFError, OSError) as error:
            raise TrainingError("a training process has died (of memory?); run the same command to go on") from error
        return total


def _work(
    make: Callable[[], tuple[Sequence[nn.Parameter], Share]],
    rank: int,
    threads: int,
    weights: Tensor,
    gradients: Tensor,
    pipe: Connection,
) -> None:
    """The life of another process: a step's number comes, gradients and losses go, until the pipe closes."""
    torch.set_num_threads(threads)
    parameters, share = make()
    attach(parameters, weights)
    for p, view in zip(parameters, views(parameters, gradients), strict=True):
        p.grad = view
    while True:
        try:
            step = pipe.recv()
        except (EOFError, KeyboardInterrupt):
            return
        gradients.zero_()
        pipe.send(share(step, rank))
