"""How the weights of a smaller network begin a larger one: each function gives tensors for `part` of those it is given.

What the larger one adds stays as it is in `part`. It changes nothing at first where its last map is zero.
"""

import re
from collections.abc import Iterable, Mapping

from torch import Tensor, nn


def widened(part: nn.Module, tensors: Mapping[str, Tensor], names: Iterable[str]) -> dict[str, Tensor]:
    """Those named may have fewer channels: they take the first places, beside `part`'s."""
    ready, own = dict(tensors), part.state_dict()
    for name in names:
        old, new = tensors.get(name), own[name].clone()
        if old is not None and old.ndim == new.ndim and all(a <= b for a, b in zip(old.shape, new.shape, strict=True)):
            new[tuple(map(slice, old.shape))] = old
            ready[name] = new
    return ready


def joined(part: nn.Module, tensors: Mapping[str, Tensor], members: str) -> dict[str, Tensor]:
    """Lists called `members` may lack modules, each wholly: those of `part` join them."""

    def member(name: str) -> str | None:
        found = re.match(rf".*\b{members}\.\d+(?=\.)", name)
        return found and found[0]

    own, known = part.state_dict(), {member(name) for name in tensors}
    return {name: tensor for name, tensor in own.items() if member(name) not in {None, *known}} | dict(tensors)


def preceded(part: nn.Module, tensors: Mapping[str, Tensor], stages: str) -> dict[str, Tensor]:
    """The list called `stages` may lack its first ones: those of `part` come before the others. What led into the
    first one that it has, its module 0, led there from the pixels; `part`'s takes its place."""
    member = re.compile(rf"{stages}\.(\d+)\.(\d+)\.(.+)")

    def places(named: Iterable[str]) -> dict[str, tuple[int, int, str]]:
        found = {name: member.fullmatch(name) for name in named}
        return {name: (int(at[1]), int(at[2]), at[3]) for name, at in found.items() if at is not None}

    own, old = part.state_dict(), places(tensors)
    new = places(own)
    more = len({stage for stage, *_ in new.values()}) - len({stage for stage, *_ in old.values()})
    if not old or more <= 0:
        return dict(tensors)
    ready = {name: own[name] for name, (stage, module, _) in new.items() if (stage, module) <= (more, 0)}
    ready |= {name: tensor for name, tensor in tensors.items() if name not in old}
    for name, (stage, module, rest) in old.items():
        if (stage, module) != (0, 0):
            ready[f"{stages}.{stage + more}.{module}.{rest}"] = tensors[name]
    return ready
