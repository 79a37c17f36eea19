"""What blocks are like, and what quantizing some of them gives."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from math import prod
from typing import Any, Literal

import numpy as np

Method = Literal["rtn", "k-quant", "hqq", "gptq"]


@dataclass(frozen=True, slots=True)
class Scheme:
    """How a matrix is quantized: along K, the axis that a product sums over."""

    bits: Literal[4, 8]
    block_size: int
    symmetric: bool
    method: Method = "rtn"

    @property
    def top(self) -> int:
        """The largest quantized value; the smallest is 0."""
        return (1 << self.bits) - 1

    @property
    def middle(self) -> int:
        """The zero point of symmetric blocks, and of those that only fill a byte."""
        return 1 << (self.bits - 1)

    @property
    def block_bytes(self) -> int:
        return self.block_size * self.bits // 8

    def blocks(self, length: int) -> int:
        return -(-length // self.block_size)


@dataclass(frozen=True, slots=True)
class Blocks:
    """Quantized weights: weight = (quantized - zero) × scale.

    `quantized` is uint8, blocks × block size × columns, one value a byte. `scales` and `zeros` are blocks × columns;
    zeros are None for symmetric blocks, otherwise uint8, or floats with method hqq.
    """

    quantized: Any
    scales: Any
    zeros: Any

    def restored(self, rows: int) -> Any:
        """The weights as a product sees them: rows × columns of float32. Not for symmetric blocks."""
        exact = (self.quantized.astype(np.float32) - self.zeros[:, None]) * self.scales[:, None]
        return exact.reshape(-1, exact.shape[2])[:rows]


class NotFinite(Exception):
    """Among the weights is a NaN or an infinity, or one so large that no scale can be given."""


class Buffers(threading.local):
    """Arrays that a thread uses again and again: fresh memory costs more than the work on it."""

    def __init__(self) -> None:
        self._held: dict[str, Any] = {}

    def array(self, name: str, shape: tuple[int, ...], kind: Any) -> Any:
        """An array with any content. The one given before under this name is not to be used any more."""
        size = prod(shape) * np.dtype(kind).itemsize
        held = self._held.get(name)
        if held is None or held.size < size:
            held = self._held[name] = np.empty(size, np.uint8)
        return held[:size].view(kind).reshape(shape)


def extremes(values: Any) -> tuple[Any, Any]:
    """Smallest and largest value of each block, blocks × columns. Raises NotFinite."""
    low, high = np.minimum.reduce(values, axis=1), np.maximum.reduce(values, axis=1)
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        raise NotFinite
    return low, high
