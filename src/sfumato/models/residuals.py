"""What controls add inside of a denoising network, whichever kind it is."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Residuals:
    """What is added inside of a network, as ControlNets and T2I-Adapters steer it; each may be broadcast.

    Attributes:
        skips: to the skips of a U-Net, in the order in which the way down lays them; none, or one for each.
        mid: to what the middle of a U-Net gives.
        levels: to what each level of a U-Net gives on the way down, where it then goes on and is a skip too.
        blocks: of each control of a transformer: to the picture's tokens, (b, n, d), behind its blocks; each counts for
            as many blocks in a row.
    """

    skips: tuple[Tensor, ...] = ()
    mid: Tensor | None = None
    levels: tuple[Tensor, ...] = ()
    blocks: tuple[tuple[Tensor, ...], ...] = ()

    def __add__(self, other: "Residuals") -> "Residuals":
        """Both; where either has nothing it is the other."""
        mids = [mid for mid in (self.mid, other.mid) if mid is not None]
        return Residuals(
            _sums(self.skips, other.skips),
            sum(mids[1:], start=mids[0]) if mids else None,
            _sums(self.levels, other.levels),
            self.blocks + other.blocks,
        )

    def behind(self, block: int, blocks: int, x: Tensor) -> Tensor:
        """The tokens that come out of a transformer's block, one of so many, with what is added to them."""
        for own in self.blocks:
            x = x + own[block * len(own) // blocks]
        return x

    def spread(self, rows: Tensor, count: int) -> "Residuals":
        """Those of some `rows` of a batch of `count`; the others have zeros."""

        def whole(part: Tensor) -> Tensor:
            part = part.expand(len(rows), *part.shape[1:])
            return part.new_zeros(count, *part.shape[1:]).index_copy(0, rows, part)

        def each(parts: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            return tuple(map(whole, parts))

        mid = None if self.mid is None else whole(self.mid)
        return Residuals(each(self.skips), mid, each(self.levels), tuple(map(each, self.blocks)))


def _sums(ours: tuple[Tensor, ...], theirs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(a + b for a, b in zip(ours, theirs, strict=True)) if ours and theirs else ours or theirs


NO_RESIDUALS = Residuals()
