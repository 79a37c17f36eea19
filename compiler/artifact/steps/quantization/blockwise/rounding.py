"""`method: rtn`: to the nearest of the values that a block's range allows.

The same bits as onnxruntime's kernel (MlasQuantizeBlockwise): single precision, the reciprocal of the scale as it is
stored, halves rounded away from zero. (But for half a byte that nothing reads, behind the last weight of an odd K.)
None of the operations here depends on the processor.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from compiler.artifact.steps.quantization.blockwise.scheme import Blocks, Buffers, NotFinite, Scheme, extremes

_ALMOST_HALF = np.nextafter(np.float32(0.5), np.float32(0))
"""Added to a number that is not negative and then cut off, this rounds as roundf(3) does; 0.5 would take the largest
number below one half to 1."""


def quantize(values: Any, scheme: Scheme, stored: Any, buffers: Buffers) -> Blocks:
    """Blocks × block size × columns of float32, with scales of type `stored`. Raises NotFinite."""
    scales, zeros = ranges(*extremes(values), scheme)
    kept = scales.astype(stored)
    if not np.isfinite(kept).all():
        raise NotFinite
    rounded = buffers.array("rounded", values.shape, np.float32)
    quantized = buffers.array("quantized", values.shape, np.uint8)
    np.multiply(values, reciprocal(kept)[:, None], out=rounded)
    np.add(rounded, zeros[:, None], out=rounded)
    _cut_off(rounded, scheme, quantized)
    return Blocks(quantized, kept, None if scheme.symmetric else zeros.astype(np.uint8))


def nearest(values: Any, scales: Any, zeros: Any, scheme: Scheme) -> Any:
    """The quantized values of a row of weights, whose scales and zero points (in float32) are given."""
    quantized = np.empty(values.shape, np.uint8)
    _cut_off(values * reciprocal(scales) + zeros, scheme, quantized)
    return quantized


def ranges(low: Any, high: Any, scheme: Scheme) -> tuple[Any, Any]:
    """Scales and zero points, both float32, of blocks with these extremes."""
    return _symmetric(low, high, scheme) if scheme.symmetric else _asymmetric(low, high, scheme)


def _cut_off(rounded: Any, scheme: Scheme, into: Any) -> None:
    """To the nearest whole number that the scheme has; `rounded` is worked on."""
    np.add(rounded, _ALMOST_HALF, out=rounded)
    np.maximum(rounded, np.float32(0), out=rounded)
    np.minimum(rounded, np.float32(scheme.top), out=rounded)
    np.copyto(into, rounded, casting="unsafe")


def reciprocal(scales: Any) -> Any:
    """1 / scale in float32; 0 for a scale of 0, or so small that its reciprocal has no value."""
    single = scales.astype(np.float32)
    with np.errstate(divide="ignore", over="ignore"):
        result = np.float32(1) / single
    result[~np.isfinite(result)] = 0
    return result


def _symmetric(low: Any, high: Any, scheme: Scheme) -> tuple[Any, Any]:
    """The extreme that is farther from 0 becomes the smallest value: one more than the largest has room for."""
    farther = np.where(high > -low, high, low)
    scales = farther / np.float32(-scheme.middle)
    scales[farther == 0] = np.float32(-0.0)
    return scales, np.full(scales.shape, scheme.middle, np.float32)


def _asymmetric(low: Any, high: Any, scheme: Scheme) -> tuple[Any, Any]:
    low, high = np.minimum(low, np.float32(0)), np.maximum(high, np.float32(0))
    with np.errstate(over="ignore"):
        scales = (high - low) / np.float32(scheme.top) + np.float32(0)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        zeros = np.where(scales > 0, np.float32(0) - low / scales, np.float32(0))
    return scales, np.floor(np.clip(zeros + _ALMOST_HALF, 0, scheme.top))
