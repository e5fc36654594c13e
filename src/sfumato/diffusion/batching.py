"""Network evaluations of descents that run at the same time, in one batch (iteration-level scheduling, as in Orca, Yu
et al., OSDI 2022).

Each descent runs in a thread of its own, one of them at a time, until it asks for the network; when all of them ask,
what they ask for is evaluated together, and each goes on with its rows. Samplers, noise, steps and guidance are each
one's own, so that anything that asks the same network about latents of the same shape goes with anything else.

A picture must not depend on its neighbours. Kernels compute a row of a batch as they do one alone, or they do not, by
the shapes that they are given and not by the numbers in them: a batch of a new form is evaluated both ways once, and
evaluated together from then on only if all bytes are the same.
"""

import threading
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float
from torch import Tensor

from .conditioning import Conditioning, batch
from .denoiser import Network

Call = Callable[[Network, Tensor, Tensor, Conditioning], Tensor]
"""How a network is evaluated: its output for x, label and condition."""

MOST_NUMBERS = 2 * 64 * 64
"""Rows by latent height by width of one evaluation: a guided picture of 512 x 512, enough to do for a processor.
Beyond that a batch takes memory and saves no time."""


def directly(network: Network, x: Tensor, label: Tensor, cond: Conditioning) -> Tensor:
    """The network's output, at once."""
    return network(x, label, cond)


@dataclass(eq=False)
class _Asked:
    """What a descent waits for."""

    network: Network
    x: Float[Tensor, "b c h w"]
    label: Float[Tensor, " b"]
    cond: Conditioning
    output: Tensor | None = None
    error: Exception | None = None

    @property
    def form(self) -> tuple[object, ...]:
        """Equal for what one network is given in one batch; kernels for one row are others than those for two."""
        return self.x.dtype, self.x.shape, self.cond.form

    @property
    def numbers(self) -> int:
        return len(self.x) * self.x.shape[2] * self.x.shape[3]

    def evaluated(self) -> Tensor:
        return self.network(self.x, self.label, self.cond)


class SharedBatches:
    """Where descents meet. A thread takes part from `join`, which whoever starts it calls, to the end of `taking_part`.

    Args:
        most: numbers of one evaluation, see `MOST_NUMBERS`.

    Attributes:
        shared: evaluations that were made in a batch with others, counted.
        room: how many descents like the last that asked may share a batch; 1 where a batch gives other bytes.
    """

    def __init__(self, most: int = MOST_NUMBERS) -> None:
        self.most = most
        self.shared = 0
        self.room = 1
        self._baton = threading.Condition()  # whoever holds it runs
        self._members, self._counting = 0, threading.Lock()
        self._waiting: list[_Asked] = []
        self._exact: MutableMapping[Network, dict[tuple[object, ...], bool]] = WeakKeyDictionary()

    def join(self) -> None:
        """One more descent is about to begin."""
        with self._counting:
            self._members += 1

    @contextmanager
    def taking_part(self) -> Iterator[None]:
        """The calling thread runs when it is its turn, and leaves in the end."""
        with self._baton:
            try:
                yield
            finally:
                with self._counting:
                    self._members -= 1
                self._answer()

    def __call__(self, network: Network, x: Tensor, label: Tensor, cond: Conditioning) -> Tensor:
        """A `Call`: the network's output for these rows, when all that take part ask for something."""
        asked = _Asked(network, x, label, cond)
        self._waiting.append(asked)
        self._answer()
        while asked.output is None and asked.error is None:
            self._baton.wait()
        if asked.error is not None:
            raise asked.error
        assert asked.output is not None
        return asked.output

    @torch.no_grad()
    def _answer(self) -> None:
        """Evaluate what is waited for, if all wait; in any thread, also in one that leaves."""
        if len(self._waiting) < max(1, self._members):
            return
        waiting, self._waiting = self._waiting, []
        while waiting:
            together = self._fitting(waiting)
            waiting = [each for each in waiting if each not in together]
            self._evaluate(together)
        self._baton.notify_all()

    def _fitting(self, waiting: Sequence[_Asked]) -> list[_Asked]:
        """The first, and what fits into a batch with it."""
        first = waiting[0]
        fitting = [each for each in waiting if each.network is first.network and each.form == first.form]
        return fitting[: max(1, self.most // first.numbers)]

    def _evaluate(self, together: Sequence[_Asked]) -> None:
        first = together[0]
        known = self._exact.setdefault(first.network, {})
        key = first.form, len(together)
        exact = known.get(key)
        batched = _batched(together) if len(together) > 1 and exact is not False else None
        if exact and batched is not None:
            self.shared += len(together)
            for each, rows in zip(together, batched, strict=True):
                each.output = rows
        else:
            _alone(together)
        if len(together) > 1 and exact is None:
            known[key] = batched is not None and all(
                each.output is not None and torch.equal(each.output, rows)
                for each, rows in zip(together, batched, strict=True)
            )
        same = all(exact for (form, _), exact in known.items() if form == first.form)
        self.room = max(1, self.most // first.numbers) if same else 1


def _alone(asked: Sequence[_Asked]) -> None:
    for each in asked:
        try:
            each.output = each.evaluated()
        except Exception as error:  # it belongs to the thread that asked
            each.error = error


def _batched(asked: Sequence[_Asked]) -> Sequence[Tensor] | None:
    """The outputs of all, evaluated together; None where that fails, as for want of memory."""
    whole = _Asked(
        asked[0].network,
        torch.cat([each.x for each in asked]),
        torch.cat([each.label for each in asked]),
        batch(*(each.cond for each in asked)),
    )
    try:
        output = whole.evaluated()
    except Exception:  # whose it is, evaluating each alone tells
        return None
    return output.split([len(each.x) for each in asked])
