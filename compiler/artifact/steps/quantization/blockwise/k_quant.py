"""`method: k-quant`: scale and smallest value of a block by weighted least squares, the best of 21 tries.

After llama.cpp's `make_qkx2_quants`, as onnxruntime has it (quantization/neural_compressor,
`quant_tensor_k_quant_cpu`), and with its bits: sums over a block are numpy's of a contiguous axis. A block of one
value, which that makes 0, is rounded instead.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from compiler.artifact.steps.quantization.blockwise import rounding
from compiler.artifact.steps.quantization.blockwise.scheme import Blocks, Buffers, NotFinite, Scheme, extremes

_TRIES = 20
_FIRST, _STEP = -1, 0.1
"""The tries take the range as that many values more than there are, from -1 on in steps of a tenth."""


def quantize(values: Any, scheme: Scheme, stored: Any, buffers: Buffers) -> Blocks:
    """Blocks × block size × columns of float32, with scales of type `stored`; never symmetric. Raises NotFinite."""
    low, high = extremes(values)
    blocks, size, columns = values.shape
    rows = np.ascontiguousarray(values.transpose(0, 2, 1)).reshape(-1, size)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        scale, least = _fit(rows, scheme.top)
        zeros = np.clip(np.round(-least / scale), 0, scheme.top).astype(np.uint8)
    exact = scale.astype(np.float64)
    quantized = np.clip(np.round(rows / exact + zeros), 0, scheme.top).astype(np.uint8)
    kept = scale.astype(stored).reshape(blocks, columns)
    if not np.isfinite(kept).all():
        raise NotFinite
    turned = np.ascontiguousarray(quantized.reshape(blocks, columns, size).transpose(0, 2, 1))
    result = Blocks(turned, kept, zeros.reshape(blocks, columns))
    return _with_flat(result, low == high, rounding.quantize(values, scheme, stored, buffers))


def _fit(rows: Any, top: int) -> tuple[Any, Any]:
    """Scale and smallest value of each row."""
    weights = np.sqrt(np.sum(rows**2, axis=1, keepdims=True) / rows.shape[1]) + np.abs(rows)
    least, most = np.min(rows, axis=1, keepdims=True), np.max(rows, axis=1, keepdims=True)
    sum_w = np.sum(weights, axis=1, keepdims=True)
    sum_x = np.sum(weights * rows, axis=1, keepdims=True)
    inverse = np.ones(most.shape, np.float32)
    wide = least != most
    inverse[wide] = top / (most[wide] - least[wide])
    scale = 1 / inverse
    quantized = np.clip(np.round(inverse * (rows - least)), 0, top)
    best = np.sum(weights * (scale * quantized + least - rows) ** 2, axis=1, keepdims=True)
    for number in range(_TRIES):
        inverse = np.ones(most.shape, np.float32)
        wide = least != most
        inverse[wide] = np.float32(_FIRST + _STEP * number + top) / (most[wide] - least[wide])
        quantized = np.clip(np.round(inverse * (rows - least)), 0, top)
        weighted = weights * quantized
        sum_l = np.sum(weighted, axis=1, keepdims=True)
        sum_l2 = np.sum(weighted * quantized, axis=1, keepdims=True)
        sum_xl = np.sum(weighted * rows, axis=1, keepdims=True)
        determinant = sum_w * sum_l2 - sum_l**2
        new_scale = (sum_w * sum_xl - sum_x * sum_l) / determinant
        new_least = (sum_l2 * sum_x - sum_l * sum_xl) / determinant
        error = np.sum(weights * (new_scale * quantized + new_least - rows) ** 2, axis=1, keepdims=True)
        better = error < best
        best[better], scale[better], least[better] = error[better], new_scale[better], new_least[better]
    return scale, least


def _with_flat(blocks: Blocks, flat: Any, rounded: Blocks) -> Blocks:
    """The blocks, those of one value as they were rounded."""
    return Blocks(
        np.where(flat[:, None], rounded.quantized, blocks.quantized),
        np.where(flat, rounded.scales, blocks.scales),
        np.where(flat, rounded.zeros, blocks.zeros),
    )
