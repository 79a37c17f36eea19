"""Which block of the sample a position is in: the units that intervals are computed from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from compiler.artifact.evaluation.statistics import MOST_BLOCKS

_FEWEST = 20
_POSITIONS = 64


@dataclass(frozen=True, slots=True)
class Blocks:
    """Windows are the blocks, neighbours together when there are many; of few windows, parts of 64 positions.

    `firsts` has the first block of each window in the latter case: then what hangs together beyond 64 positions
    makes the intervals too narrow.
    """

    count: int
    positions: int
    together: int
    firsts: tuple[int, ...] = ()

    @classmethod
    def of(cls, lengths: Iterable[int]) -> Blocks:
        """`lengths` are the windows' numbers of positions, in order."""
        windows, positions, parts = 0, 0, 0
        firsts: list[int] = []
        for length in lengths:
            if windows < _FEWEST:
                firsts.append(parts)
                parts += -(-length // _POSITIONS)
            windows += 1
            positions += length
        if windows < _FEWEST:
            return cls(parts, positions, 1, tuple(firsts))
        together = -(-windows // MOST_BLOCKS)
        return cls(-(-windows // together), positions, together)

    def at(self, window: int, start: int, count: int) -> Any:
        """The blocks of `count` positions of a window, from `start` on."""
        if self.firsts:
            return self.firsts[window] + np.arange(start, start + count) // _POSITIONS
        return np.full(count, window // self.together)
