"""95 % confidence intervals from samples that are not independent, and quantiles of long streams.

Tokens of one window hang together, so what is resampled or counted is blocks of them. Everything is deterministic:
one seed, numpy's PCG64.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist
from typing import Any

import numpy as np

Interval = tuple[float | None, float | None]
"""Low, high; None where the sample cannot say."""

REPLICATES = 2000
MOST_BLOCKS = 2048
"""Of more, neighbours are put together: memory stays flat."""

_SEED = 0x5EED
_LEVEL = 0.025
"""On each side."""
_Z = NormalDist().inv_cdf(1 - _LEVEL)
_VALUES_AT_ONCE = 2**20


def student(degrees: int) -> float:
    """The 97.5 % quantile of Student's t, within 1 % for two degrees or more.

    Cornish–Fisher expansion: Abramowitz & Stegun, Handbook of Mathematical Functions, 26.7.5.
    """
    z, d = _Z, float(degrees)
    return (
        z
        + (z**3 + z) / (4 * d)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * d**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * d**3)
        + (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / (92160 * d**4)
    )


def wilson(share: float, size: float) -> tuple[float, float]:
    """Of a share of `size` independent cases. Wilson 1927; Brown, Cai & DasGupta, Statistical Science 16 (2001)."""
    spread = _Z**2 / size
    centre = (share + spread / 2) / (1 + spread)
    half = _Z / (1 + spread) * math.sqrt(share * (1 - share) / size + spread / (4 * size))
    return max(0.0, centre - half), min(1.0, centre + half)


def effective_size(hits: Any, sizes: Any) -> float | None:
    """How many independent cases tell as much as these, of which block i has `sizes[i]` with `hits[i]` hits.

    The size over Kish's design effect, with the correction for few blocks of Korn & Graubard, Survey Methodology 24
    (1998); never more than the size. None for a single block.
    """
    blocks, total = len(sizes), float(sizes.sum())
    if blocks < 2:
        return None
    share = float(hits.sum()) / total
    effect = 1.0
    if 0 < share < 1:
        between = blocks / (blocks - 1) * float(((hits - share * sizes) ** 2).sum()) / total**2
        effect = max(1.0, between / (share * (1 - share) / total))
    return total / effect * (_Z / student(blocks - 1)) ** 2


def share_interval(hits: Any, sizes: Any) -> Interval:
    """Of a share of cases in blocks: Wilson's, of the effective size.

    Dean & Pagano, Journal of Survey Statistics and Methodology 3 (2015).
    """
    size = effective_size(hits, sizes)
    return (None, None) if size is None else wilson(float(hits.sum()) / float(sizes.sum()), size)


def bootstrap(sums: Any, statistic: Callable[[Any], Any]) -> Interval:
    """Of a statistic of sums over blocks: `sums` is blocks × columns; `statistic` takes replicates × columns.

    Blocks are drawn with replacement (Künsch, Annals of Statistics 17, 1989, for the parts of one series; Davison &
    Hinkley, Bootstrap Methods, 1997, §3.8, for clusters); percentiles, expanded for few blocks.
    """
    blocks = len(sums)
    if blocks < 2:
        return None, None
    generator = np.random.Generator(np.random.PCG64(_SEED))
    chances = np.full(blocks, 1 / blocks)
    step = max(1, _VALUES_AT_ONCE // blocks)
    drawn = []
    for start in range(0, REPLICATES, step):
        counts = generator.multinomial(blocks, chances, size=min(step, REPLICATES - start))
        drawn.append(statistic(counts.astype(np.float64) @ sums))
    return percentiles(np.concatenate(drawn), blocks)


def percentiles(replicates: Any, size: int) -> Interval:
    """Of bootstrap replicates of a sample of `size` units; NaN counts as no replicate.

    Hesterberg's expanded percentile interval, which is wider for few units, as Student's is: The American Statistician
    69 (2015), §4.2.
    """
    sound = replicates[np.isfinite(replicates)]
    if not len(sound):
        return None, None
    level = NormalDist().cdf(-math.sqrt(size / (size - 1)) * student(size - 1))
    low, high = np.quantile(sound, [level, 1 - level])
    return float(low), float(high)


class Tail:
    """The largest of many values, each with the block that it is in: exact upper quantiles in bounded memory.

    It keeps a twentieth of `expected` values, at least 1,024.
    """

    def __init__(self, expected: int) -> None:
        self._most = max(1024, -(-expected // 20))
        self._values: list[Any] = []
        self._blocks: list[Any] = []
        self._held = 0

    def add(self, values: Any, blocks: Any) -> None:
        self._values.append(values)
        self._blocks.append(blocks)
        self._held += len(values)
        if self._held > 2 * self._most:
            self._trim()

    def quantile(self, share: float, sizes: Any) -> tuple[float, Interval]:
        """The smallest value that `share` of all do not exceed, with its interval; block i has `sizes[i]` values.

        Woodruff, JASA 47 (1952): the interval of the share below the quantile, with its effective size, read off the
        distribution. There is no upper bound where even the largest of so many values may lie below the quantile. The
        lower one is that of the values kept where it would be smaller.
        """
        self._trim()
        largest, total = self._values[0], int(sizes.sum())
        values = np.sort(largest)
        value = _at(values, share, total)
        above = np.bincount(self._blocks[0][largest > value], minlength=len(sizes))
        size = effective_size(sizes - above, sizes)
        if size is None:
            return value, (None, None)
        low, high = wilson(share, size)
        bounded = share**size <= _LEVEL
        return value, (_at(values, low, total), _at(values, high, total) if bounded else None)

    def _trim(self) -> None:
        values, blocks = np.concatenate(self._values), np.concatenate(self._blocks)
        if len(values) > self._most:
            kept = np.argpartition(values, -self._most)[-self._most :]
            values, blocks = values[kept], blocks[kept]
        self._values, self._blocks, self._held = [values], [blocks], len(values)


def _at(ascending: Any, share: float, total: int) -> float:
    """The quantile of `total` values of which these are the largest."""
    from_top = total - max(1, math.ceil(share * total - 1e-9))
    return float(ascending[max(0, len(ascending) - 1 - from_top)])
