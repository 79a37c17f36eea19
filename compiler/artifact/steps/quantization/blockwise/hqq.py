"""`method: hqq`: zero points, which are no whole numbers, by half-quadratic splitting. No data needed.

Badri and Shaji, Half-Quadratic Quantization of Large Machine Learning Models (2023), as onnxruntime's
HQQWeightOnlyQuantConfig has it, but for two things that make the bits the same on every machine and in pieces of any
size: a block stops when its own error grows (there, when that of the whole matrix does), and the norm's exponent is
11/16 instead of 0.7, so that square roots suffice.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from compiler.artifact.steps.quantization.blockwise.scheme import Blocks, Buffers, NotFinite, Scheme, extremes

_ROUNDS = 20
_BETA, _KAPPA = 10.0, 1.01
_MOST_INVERSE = np.float32(2e4)
"""Of a scale, so that one of half precision holds it."""


def quantize(values: Any, scheme: Scheme, stored: Any, buffers: Buffers) -> Blocks:
    """Blocks × block size × columns of float32, with scales and zero points of type `stored`. Raises NotFinite."""
    low, high = extremes(values)
    top = np.float32(scheme.top)
    inverse = np.minimum(top / np.where(high == low, top, high - low), _MOST_INVERSE)
    zeros = _solved(values, inverse[:, None], np.rint(-low * inverse)[:, None], top)
    quantized = np.clip(np.rint(values * inverse[:, None] + zeros), 0, top)
    scales = (np.float32(1) / inverse).astype(stored)
    kept = zeros[:, 0].astype(stored)
    if not (np.isfinite(scales).all() and np.isfinite(kept).all()):
        raise NotFinite
    return Blocks(quantized.astype(np.uint8), scales, kept)


def _solved(values: Any, inverse: Any, zeros: Any, top: Any) -> Any:
    """Zero points whose errors have the smallest norm, for 1 / scale; both blocks × 1 × columns."""
    beta = _BETA
    best = np.full(zeros.shape, 1e4, np.float32)
    going = np.ones(zeros.shape, bool)
    for _ in range(_ROUNDS):
        quantized = np.clip(np.rint(values * inverse + zeros), 0, top)
        errors = values - (quantized - zeros) / inverse
        moved = _mean(quantized - (values - _shrunk(errors, beta)) * inverse)
        zeros = np.where(going, moved, zeros)
        error = _mean(np.abs(errors))
        going &= error < best
        best = np.minimum(best, error)
        if not going.any():
            break
        beta *= _KAPPA
    return zeros


def _shrunk(errors: Any, beta: float) -> Any:
    """Toward 0 by |x|^(-5/16) / beta, and not beyond it."""
    size = np.abs(errors)
    fourth = np.sqrt(np.sqrt(size + np.float32(1e-8)))
    power = fourth * np.sqrt(np.sqrt(fourth))
    return np.copysign(np.maximum(size - np.float32(1 / beta) / power, np.float32(0)), errors)


def _mean(values: Any) -> Any:
    """Along blocks, whose size is a power of 2: in an order of additions that does not depend on the other axes."""
    size = values.shape[1]
    while values.shape[1] > 1:
        half = values.shape[1] // 2
        values = values[:, :half] + values[:, half:]
    return values / np.float32(size)
