"""Matrices row by row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from compiler.artifact.graph.weights import Source
from compiler.artifact.refused import not_finite

_PIECE = 2**21
"""Bytes that are worked on at a time: the caches of one core hold them."""

Prepare = Callable[[Any, int], Any]
"""Gets rows of a matrix and the number of the first, gives them as they are to be quantized."""


def pieces(source: Source, tensor: Any, prepare: Prepare) -> Iterator[tuple[int, Any]]:
    """The number of the first row, and some rows."""
    for start, rows in source.row_pieces(tensor, _PIECE):
        yield start, prepare(rows, start)


def as_they_are(rows: Any, _: int) -> Any:
    return rows


def require_finite(source: Source, names: Iterable[str]) -> None:
    """Raise Refused if a matrix has weights that are not finite numbers: their input would be blamed."""
    for name in dict.fromkeys(names):
        for _, piece in pieces(source, source.tensors[name], as_they_are):
            finite(np.abs(piece).max(axis=0), name)


def finite(highest: Any, name: str) -> Any:
    """The magnitudes. Raises Refused if one is NaN or infinite."""
    if not np.isfinite(highest).all():
        raise not_finite(name)
    return highest
