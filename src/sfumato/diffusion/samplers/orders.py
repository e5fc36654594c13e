"""Which order each step of a multistep sampler has: the last ones may be lower, since they are long."""

from dataclasses import dataclass

from ..step import Stride

FEW = 15
"""Below so many steps diffusers lowers the order of the last ones."""


@dataclass(frozen=True)
class Orders:
    """The highest order of each step; the first steps have as many points as were found.

    Args:
        most: of any step.
        lowered: the last step has order 1, the last but one at most 2.
        few: with ``lowered``, only below so many steps; None: always.
        euler_at_final: the last step has order 1, at any count.
        beyond: steps of no length that follow the grid's last one, and count as steps.
    """

    most: int
    lowered: bool = True
    few: int | None = FEW
    euler_at_final: bool = False
    beyond: int = 0

    def of(self, stride: Stride) -> int:
        """The highest order of a step."""
        left, total = stride.total - stride.index + self.beyond, stride.total + self.beyond
        if left == 1 and self.euler_at_final:
            return 1
        return min(self.most, left) if self.lowered and (self.few is None or total < self.few) else self.most
