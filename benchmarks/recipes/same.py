"""Whether what slmc made of a model is what onnxruntime's kernel makes of its matrices, bit for bit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from onnxruntime.capi._pybind_state import quantize_matmul_4bits, quantize_matmul_8bits

from compiler.artifact.graph.weights import Source

_BLOCK = 32
_EVERY = 5
"""Of the matrices, one in so many is compared: neighbouring layers are alike. The head always is."""


def compare(model: Path, folder: Path, bits: int) -> tuple[int, list[str]]:
    """How many tensors of `folder/model.onnx` were compared, and the names of those that differ."""
    compared, different = 0, []
    with Source(model) as before, Source(folder / "model.onnx") as after:
        names = [name for name in before.tensors if name.endswith(".MatMul.weight")]
        for name in [*names[::_EVERY], names[-1]]:
            for ending, expected in _kernel(before.array(before.tensors[name]), bits):
                compared += 1
                found = after.array(after.tensors[name + ending])
                if found.tobytes() != expected.tobytes():
                    different.append(name + ending)
    return compared, different


def _kernel(weights: Any, bits: int) -> Iterator[tuple[str, Any]]:
    """Endings of names, and what the kernel gives under them."""
    depth, columns = weights.shape
    blocks, each = depth // _BLOCK, 8 // bits
    packed = np.zeros((columns, blocks, _BLOCK // each), np.uint8)
    scales = np.zeros((columns, blocks), np.float32)
    zeros = np.zeros((columns, -(-blocks // each)), np.uint8)
    quantize = quantize_matmul_4bits if bits == 4 else quantize_matmul_8bits
    quantize(packed, weights, scales, zeros, _BLOCK, columns, depth, False)
    yield from ((f"_Q{bits}", packed), ("_scales", scales), ("_zero_points", zeros))
