"""Zeros among the weights of a graph's products, float or quantized, and whether a step lost them.

What a step does to zeros is counted in its result, never assumed: a quantizer keeps them only if its zero point is a
whole number, and one that corrects errors (GPTQ) or fits real zero points (HQQ) does not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, numpy_helper

from compiler.artifact.graph import graphs
from compiler.artifact.graph.weights import Source
from compiler.artifact.graph.wiring import Wiring, attribute

TOLERANCE = 0.01
"""Share of the weights that may stop being zero without a word: padding and rounding of scales."""

_INTEGER_PRODUCTS = {
    "DynamicQuantizeMatMul": (1, 3), "MatMulInteger": (1, 3), "MatMulIntegerToFloat": (1, 5), "QLinearMatMul": (3, 5),
}  # fmt: skip
"""Which inputs are the weights and their zero point."""

_FLOAT_PRODUCTS = {"MatMul", "Gemm", "FusedMatMul"}
_TURNS = {"Cast", "Identity", "Transpose", "Reshape"}
_FOUR_BITS = (TensorProto.INT4, TensorProto.UINT4)


@dataclass(frozen=True, slots=True)
class Zeros:
    zeros: int
    elements: int

    @property
    def share(self) -> float:
        return self.zeros / self.elements if self.elements else 0.0

    @property
    def others(self) -> int:
        return self.elements - self.zeros

    def __add__(self, other: Zeros) -> Zeros:
        return Zeros(self.zeros + other.zeros, self.elements + other.elements)


def zeros(path: Path) -> Mapping[str, Zeros]:
    """Of every constant matrix of a product, by the name of the tensor that holds it."""
    with Source(path) as source:
        wiring = Wiring(source.model)
        sparse = {tensor.values.name: tensor for tensor in source.model.graph.sparse_initializer}
        found: dict[str, Zeros] = {}
        for node in source.model.graph.node:
            found.update(_of_node(source, wiring, node))
            for name in node.input[:2] if node.op_type in _FLOAT_PRODUCTS else ():
                if name in sparse:
                    found[name] = _of_sparse(sparse[name])
    return found


def _of_sparse(tensor: Any) -> Zeros:
    elements = int(np.prod(tensor.dims))
    return Zeros(elements - int(np.count_nonzero(numpy_helper.to_array(tensor.values))), elements)


def lost(before: Mapping[str, Zeros], after: Mapping[str, Zeros]) -> str | None:
    """A sentence on the zeros of `before` that are no longer zero in `after`; None when they are."""
    if not any(count.zeros for count in before.values()):
        return None
    if not after:
        return f"None of the {len(before)} matrices was found again, so what became of their zeros is not known."
    pairs = [(name, count, after[twin]) for name, count in before.items() if (twin := _twin(name, before, after))]
    fewer = [pair for pair in pairs if _grew(*pair[1:])]
    all_before, all_after = (sum(counts.values(), Zeros(0, 0)) for counts in (before, after))
    if not fewer and (len(pairs) == len(before) or not _grew(all_before, all_after)):
        return None
    total = f"Of the weights in matrices {all_before.share:.1%} were zero before it, and {all_after.share:.1%} after"
    if not fewer:
        return f"{total}."
    name, old, new = max(fewer, key=lambda one: one[1].share - one[2].share)
    return f"{total}; most was lost in `{name}`, {old.share:.1%} to {new.share:.1%}."


def _grew(before: Zeros, after: Zeros) -> bool:
    """Whether there are more weights that are not zero; a matrix that shrank may have a smaller share of zeros."""
    return after.others > before.others + TOLERANCE * before.elements


def _twin(name: str, before: Mapping[str, Zeros], after: Mapping[str, Zeros]) -> str | None:
    """The tensor that a matrix became. Quantizers put something behind its name: `_Q4`, `_quantized`."""
    if name in after:
        return name
    behind = [other for other in after if other.startswith(f"{name}_") and other not in before]
    return min(behind, key=lambda other: (len(other), other), default=None)


def _of_node(source: Source, wiring: Wiring, node: Any) -> Iterator[tuple[str, Zeros]]:
    if node.op_type == "MatMulNBits" and node.input[1] in wiring.weights:
        yield node.input[1], _of_blocks(source, wiring, node)
    elif node.op_type in _INTEGER_PRODUCTS:
        weight, zero_point = _INTEGER_PRODUCTS[node.op_type]
        if node.input[weight] in wiring.weights:
            point = node.input[zero_point] if len(node.input) > zero_point else ""
            yield node.input[weight], _of_codes(source, wiring.weights[node.input[weight]], _array(source, point), -1)
    elif node.op_type in _FLOAT_PRODUCTS:
        for name in node.input[:2]:
            yield from _of_value(source, wiring, name)


def _of_value(source: Source, wiring: Wiring, name: str) -> Iterator[tuple[str, Zeros]]:
    """Of a constant, or of one that is turned or made a float on its way."""
    node = wiring.maker.get(name)
    while node is not None and node.op_type in _TURNS:
        name = node.input[0]
        node = wiring.maker.get(name)
    if name in wiring.weights and len(wiring.weights[name].dims) == 2:
        yield name, _of_codes(source, wiring.weights[name], np.zeros(()), 0)
    if node is not None and node.op_type == "DequantizeLinear" and node.input[0] in wiring.weights:
        tensor = wiring.weights[node.input[0]]
        point = _array(source, node.input[2] if len(node.input) > 2 else "")
        axis, block = attribute(node, "axis", 1), attribute(node, "block_size", 0)
        if block:
            point = np.repeat(np.broadcast_to(point, wiring.weights[node.input[1]].dims), block, axis)
            point = point.take(np.arange(tensor.dims[axis]), axis)
        yield tensor.name, _of_codes(source, tensor, point, axis)


def _array(source: Source, name: str) -> Any:
    """A zero point; 0 where there is none."""
    tensor = source.tensors.get(name)
    return np.zeros(()) if tensor is None else _codes(source, tensor)


def _codes(source: Source, tensor: Any) -> Any:
    """A tensor's numbers, two 4-bit ones out of each byte."""
    if tensor.data_type not in _FOUR_BITS or tensor.data_location != TensorProto.EXTERNAL:
        array = source.array(tensor)
        return array.astype(np.int8) if tensor.data_type in _FOUR_BITS else array
    data = np.frombuffer(b"".join(source.pieces(tensor)), np.uint8)
    codes = np.stack([data & 15, data >> 4], axis=1).reshape(-1)[: graphs.elements(tensor)].astype(np.int8)
    if tensor.data_type == TensorProto.INT4:
        codes = np.where(codes > 7, codes - 16, codes)
    return codes.reshape(tuple(tensor.dims))


def _of_codes(source: Source, tensor: Any, zero_point: Any, axis: int) -> Zeros:
    """`zero_point`: one number, or one for each index along `axis`, or one for each element."""
    dims = list(tensor.dims)
    if zero_point.size == 1:
        zero_point = zero_point.reshape(())
    elif zero_point.ndim == 1:
        zero_point = zero_point.reshape([-1 if at == axis % len(dims) else 1 for at in range(len(dims))])
    if not dims or tensor.data_type in _FOUR_BITS:
        codes = _codes(source, tensor)
        return Zeros(int(np.count_nonzero(codes == zero_point)), codes.size)
    count, along = 0, zero_point.ndim and zero_point.shape[0] == dims[0] > 1
    for start, rows in source.row_pieces(tensor):
        point = zero_point[start : start + len(rows)] if along else zero_point
        count += int(np.count_nonzero(rows == point))
    return Zeros(count, graphs.elements(tensor))


def _of_blocks(source: Source, wiring: Wiring, node: Any) -> Zeros:
    """MatMulNBits: rows × blocks × bytes of packed codes; without zero points, the middle of the range is zero."""
    bits, size, inner = (attribute(node, name, 0) for name in ("bits", "block_size", "K"))
    bits = bits or 4
    tensor, blocks = wiring.weights[node.input[1]], -(-inner // size)
    name = node.input[3] if len(node.input) > 3 else ""
    points = _array(source, name) if name else None
    if points is not None and points.dtype == np.uint8:
        points = _unpacked(points.reshape(tensor.dims[0], -1), bits)[:, :blocks]
    elif points is not None:
        points = points.reshape(tensor.dims[0], blocks)
    count = 0
    for start, packed in source.row_pieces(tensor):
        codes = _unpacked(packed.reshape(len(packed), -1), bits).reshape(len(packed), blocks, size)
        middle = points[start : start + len(packed), :, None] if points is not None else 1 << (bits - 1)
        count += int(np.count_nonzero((codes == middle).reshape(len(packed), -1)[:, :inner]))
    return Zeros(count, tensor.dims[0] * inner)


def _unpacked(data: Any, bits: int) -> Any:
    """Codes of 2, 4 or 8 bits out of bytes, the lowest bits first, along the last axis."""
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    codes = data[..., None] >> shifts & np.uint8((1 << bits) - 1)
    return codes.reshape(*data.shape[:-1], -1)
