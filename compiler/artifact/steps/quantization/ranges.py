"""From values that were seen to the range that integers stand for: `minmax`, `percentile`, `entropy`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

_BINS = 2048
_ENTROPY_STEP = 8
"""Bins between two candidates for a threshold."""

_NEARLY_NONE = 1e-4
"""What stands for a count of nothing, which would make a divergence infinite."""

Method = Literal["minmax", "entropy", "percentile"]


@dataclass(frozen=True, slots=True)
class Seen:
    """Lowest and highest of each channel."""

    low: Any
    high: Any

    @property
    def magnitude(self) -> Any:
        return np.maximum(np.abs(self.low), np.abs(self.high))

    def divided(self, factors: Any) -> Seen:
        return Seen(self.low / factors, self.high / factors)


@dataclass(frozen=True, slots=True)
class Range:
    low: float
    high: float

    def integers(self, lowest: int, highest: int) -> tuple[Any, int]:
        """float32 scale and zero point of an asymmetric quantization to lowest … highest; 0 stays exact."""
        low, high = min(self.low, 0.0), max(self.high, 0.0)
        scale = np.float32((high - low) / (highest - lowest))
        if scale < np.finfo(np.float32).tiny:
            return np.float32(1), 0
        return scale, int(np.clip(np.rint(lowest - low / float(scale)), lowest, highest))


def extremes(runs: Iterable[Mapping[str, Any]]) -> dict[str, Seen]:
    """Of every channel of every value, over all runs. A run maps names to arrays of tokens × channels."""
    found: dict[str, Seen] = {}
    for run in runs:
        for name, value in run.items():
            low, high = value.min(axis=0), value.max(axis=0)
            if before := found.get(name):
                low, high = np.minimum(low, before.low), np.maximum(high, before.high)
            found[name] = Seen(low, high)
    return found


def ranges(
    runs: Iterable[Mapping[str, Any]], seen: Mapping[str, Seen], method: Method, percentile: float, levels: int
) -> dict[str, Range]:
    """The range of each value. `runs` are gone through again unless the extremes, `seen`, are the ranges."""
    whole = {name: Range(float(one.low.min()), float(one.high.max())) for name, one in seen.items()}
    if method == "minmax":
        return whole
    counts = {name: np.zeros(_BINS, np.int64) for name in seen}
    limits = {name: _limits(one, method) for name, one in whole.items()}
    for run in runs:
        for name, value in run.items():
            counted = np.abs(value) if method == "entropy" else value
            counts[name] += np.histogram(counted, _BINS, limits[name])[0]
    if method == "percentile":
        return {name: _central(counts[name], whole[name], percentile) for name in seen}
    return {name: _clipped(counts[name], whole[name], levels) for name in seen}


def _limits(whole: Range, method: Method) -> tuple[float, float]:
    return (0.0, max(abs(whole.low), abs(whole.high))) if method == "entropy" else (whole.low, whole.high)


def _central(counts: Any, whole: Range, percentile: float) -> Range:
    """Without the outer (100 - percentile) %, half of it at each end."""
    share = np.cumsum(counts) / counts.sum()
    tail = (1 - percentile / 100) / 2
    width = (whole.high - whole.low) / _BINS
    first = int(np.searchsorted(share, tail, side="right"))
    last = int(np.searchsorted(share, 1 - tail, side="left"))
    return Range(whole.low + width * first, whole.low + width * (last + 1))


def _clipped(counts: Any, whole: Range, levels: int) -> Range:
    """Up to the magnitude beyond which clipping costs more than finer steps give: the least Kullback-Leibler divergence
    of the quantized distribution from that of what was seen.

    Migacz, 8-bit inference with TensorRT, GTC 2017. With more levels than bins nothing is clipped.
    """
    if levels >= _BINS:
        return whole
    candidates = range(levels, _BINS + 1, _ENTROPY_STEP)
    best = min(candidates, key=lambda kept: (_divergence(counts, kept, levels), kept))
    threshold = max(abs(whole.low), abs(whole.high)) * best / _BINS
    return Range(max(whole.low, -threshold), min(whole.high, threshold))


def _divergence(counts: Any, kept: int, levels: int) -> float:
    """In nats, of `kept` bins of which the last one took all that lies beyond, merged into `levels`."""
    inner = counts[:kept].astype(np.float64)
    truth = inner.copy()
    truth[-1] += counts[kept:].sum()
    filled = truth > 0
    level = np.arange(kept) * levels // kept
    merged = (np.bincount(level, inner, levels) / np.maximum(np.bincount(level, filled, levels), 1))[level][filled]
    merged = np.maximum(merged, _NEARLY_NONE)
    shares = truth[filled] / truth.sum()
    return float(np.sum(shares * np.log(shares * merged.sum() / merged)))
