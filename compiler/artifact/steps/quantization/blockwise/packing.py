"""Quantized values as MatMulNBits and GatherBlockQuantized read them: by columns, two of 4 bits in a byte."""

from __future__ import annotations

from typing import Any

import numpy as np

from compiler.artifact.steps.quantization.blockwise.scheme import Buffers, Scheme


def pack(quantized: Any, scheme: Scheme, into: Any, buffers: Buffers) -> None:
    """Blocks × block size × columns of single values into `into`: columns × blocks × bytes of a block.

    The earlier of two values is the lower half of a byte.
    """
    if scheme.bits == 4:
        blocks, size, columns = quantized.shape
        packed = buffers.array("packed", (blocks, size // 2, columns), np.uint8)
        np.multiply(quantized[:, 1::2], np.uint8(16), out=packed)
        np.bitwise_or(packed, quantized[:, ::2], out=packed)
        quantized = packed
    np.copyto(into, quantized.transpose(2, 0, 1))


def pack_zeros(zeros: Any, scheme: Scheme) -> Any:
    """Columns × blocks of zero points as they are stored: uint8 in `bits`, floats as they are."""
    if scheme.bits == 8 or zeros.dtype != np.uint8:
        return zeros
    columns, blocks = zeros.shape
    padded = np.full((columns, blocks + blocks % 2), scheme.middle, np.uint8)
    padded[:, :blocks] = zeros
    return padded[:, ::2] | padded[:, 1::2] << np.uint8(4)
