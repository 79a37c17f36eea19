"""Matrices in blocks of 4 or 8 bits for onnxruntime's MatMulNBits, rounded to the nearest value.

The same bits as onnxruntime's kernel (MlasQuantizeBlockwise, asymmetric): single precision, halves away from zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import TensorProto, helper

from compiler.artifact.steps.quantization.assembly import Assembly, Names
from compiler.artifact.steps.quantization.embeddings import DOMAIN
from compiler.artifact.steps.quantization.matrices import finite
from compiler.artifact.steps.quantization.products import Product
from compiler.artifact.steps.quantization.rewrite import New, Replacement, Write
from compiler.artifact.weights import Source

INT8_ACTIVATIONS = 4
"""MatMulNBits' `accuracy_level`: multiply with activations rounded to 8 bits."""

_COLUMNS = 1024
"""That are worked on at a time."""

_ALMOST_HALF = np.nextafter(np.float32(0.5), np.float32(0))


@dataclass(frozen=True, slots=True)
class Blocks:
    """Values of blocks × block size × columns; scales and zero points of blocks × columns. All values are uint8."""

    values: Any
    scales: Any
    zeros: Any

    def restored(self, rows: int) -> Any:
        """The matrix as the product sees it: rows × columns of float32."""
        exact = (self.values.astype(np.float32) - self.zeros[:, None]) * self.scales[:, None]
        return exact.reshape(-1, exact.shape[2])[:rows]


def blocks(matrix: Any, bits: int, size: int) -> Blocks:
    """A matrix, K × N of float32, in blocks of `size` weights of a column, the last one filled up with zeros."""
    rows, columns = matrix.shape
    count = -(-rows // size)
    padded = np.zeros((count * size, columns), np.float32)
    padded[:rows] = matrix
    padded = padded.reshape(count, size, columns)
    top = np.float32(2**bits - 1)
    low, high = np.minimum(padded.min(axis=1), 0), np.maximum(padded.max(axis=1), 0)
    scales = (high - low) / top
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        inverse = np.float32(1) / scales
        zeros = np.where(scales > 0, -low / scales, np.float32(0))
    inverse[~np.isfinite(inverse)] = 0
    zeros = np.floor(np.clip(zeros + _ALMOST_HALF, 0, top))
    padded *= inverse[:, None]
    padded += zeros[:, None]
    padded += _ALMOST_HALF
    np.clip(padded, 0, top, out=padded)
    padded.reshape(-1, columns)[rows:] = 0
    return Blocks(padded.astype(np.uint8), scales, zeros.astype(np.uint8))


def restored(matrix: Any, bits: int, size: int) -> Any:
    """A matrix, K × N, as a product sees it that has it in blocks."""
    made = np.empty(matrix.shape, np.float32)
    for start in range(0, matrix.shape[1], _COLUMNS):
        part = matrix[:, start : start + _COLUMNS]
        made[:, start : start + _COLUMNS] = blocks(part, bits, size).restored(len(part))
    return made


def error(matrix: Any, inputs: Any, bits: int, size: int) -> tuple[float, float]:
    """Squares summed over tokens × K `inputs` times K × N `matrix`: of what quantizing adds, and of the product."""
    added = exact = 0.0
    for start in range(0, matrix.shape[1], _COLUMNS):
        part = matrix[:, start : start + _COLUMNS]
        restored = blocks(part, bits, size).restored(len(part))
        added += float(np.square(inputs @ (restored - part), dtype=np.float64).sum())
        exact += float(np.square(inputs @ part, dtype=np.float64).sum())
    return added, exact


@dataclass(frozen=True, slots=True)
class Form:
    """Products in blocks of `size` weights, each matrix of the number of bits that `bits` has for its name."""

    assembly: Assembly
    bits: dict[str, int]
    size: int

    def add(self, product: Product) -> None:
        bits = self.bits[product.weight]
        source = self.assembly.source
        stem = f"{product.weight}_Transposed" if product.transposed else product.weight
        names = (f"{stem}_Q{bits}", f"{stem}_scales", f"{stem}_zero_points")
        made = self.assembly.tensor(product.weight, stem, names, lambda _, names: self._replacement(product, names))
        rows, columns = shape(source.tensors[product.weight], product.transposed)
        node = helper.make_node(
            "MatMulNBits",
            [product.input, *made, *(["", product.bias] if product.bias else [])],
            [product.node.output[0]],
            name=f"{product.name}_Q{bits}",
            domain=DOMAIN,
            K=rows,
            N=columns,
            bits=bits,
            block_size=self.size,
            accuracy_level=INT8_ACTIVATIONS,
        )
        self.assembly.nodes.append(node)

    def _replacement(self, product: Product, names: Names) -> Replacement:
        bits = self.bits[product.weight]
        tensor = self.assembly.source.tensors[product.weight]

        def fill(source: Source, tensor: Any, write: Write) -> None:
            whole = matrix(source, product)
            for start in range(0, whole.shape[1], _COLUMNS):
                part = blocks(whole[:, start : start + _COLUMNS], bits, self.size)
                for number, data in enumerate(_packed(part, bits)):
                    write(number, data, start * data[0].nbytes)

        return Replacement(tensors(tensor, product.transposed, bits, self.size, names), fill)


def tensors(tensor: Any, transposed: bool, bits: int, size: int, names: Names = ("", "", "")) -> tuple[New, New, New]:
    """What a matrix becomes: values, scales and zero points, the last of which are packed as the values are."""
    rows, columns = shape(tensor, transposed)
    count = -(-rows // size)
    return (
        New(names[0], TensorProto.UINT8, (columns, count, size * bits // 8)),
        New(names[1], TensorProto.FLOAT, (columns, count)),
        New(names[2], TensorProto.UINT8, (columns, -(-count * bits // 8))),
    )


def matrix(source: Source, product: Product) -> Any:
    """The constant factor, K × N. Raises Refused for weights that are not finite numbers."""
    whole = source.array(source.tensors[product.weight])
    finite(np.abs(whole).max(axis=0), product.weight)
    return whole.T if product.transposed else whole


def shape(tensor: Any, transposed: bool) -> tuple[int, int]:
    """K and N."""
    rows, columns = reversed(tensor.dims) if transposed else tensor.dims
    return rows, columns


def _packed(part: Blocks, bits: int) -> tuple[Any, Any, Any]:
    """Column by column: bytes of the blocks, scales, bytes of the zero points. The first of two is the low half."""
    values, zeros = part.values.transpose(2, 0, 1), part.zeros.T
    if bits == 4:
        values = values[:, :, ::2] | values[:, :, 1::2] << 4
        even = np.pad(zeros, ((0, 0), (0, zeros.shape[1] % 2)), constant_values=8)
        zeros = even[:, ::2] | even[:, 1::2] << 4
    return np.ascontiguousarray(values), np.ascontiguousarray(part.scales.T), np.ascontiguousarray(zeros)
