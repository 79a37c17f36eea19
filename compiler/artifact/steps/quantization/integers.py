"""8-bit weights, with the same numbers as onnxruntime's `quantize_dynamic` and `quantize_static` give (QInt8).

scale = max |w| / 127 over a column, or over the matrix; weight = round half to even (w / scale). With the reduced range
64 stands for 127: products of unsigned and signed bytes then fit the 16 bits that x86 without VNNI adds them up in.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from onnx import TensorProto

from compiler.artifact.graph.weights import New, Source
from compiler.artifact.steps.quantization.assembly import Assembly, Names, suffixed
from compiler.artifact.steps.quantization.matrices import Product
from compiler.artifact.steps.quantization.rewrite import Replacement, Write
from compiler.artifact.steps.quantization.rows import Prepare, as_they_are, finite, pieces

_TINY = np.finfo(np.float32).tiny


@dataclass(frozen=True, slots=True)
class Integers:
    """How matrices become 8-bit integers."""

    per_channel: bool
    reduce_range: bool

    @property
    def top(self) -> int:
        return 64 if self.reduce_range else 127

    def scales(self, highest: Any) -> Any:
        """float32 scales for the largest magnitudes, 1 where there is nothing but zeros."""
        exact = np.asarray(highest, np.float32).astype(np.float64) * 2 / (2 * self.top)
        return np.where(exact < _TINY, 1, exact).astype(np.float32)

    def weight(self, assembly: Assembly, product: Product, prepare: Prepare = as_they_are, prepared: str = "") -> Names:
        """The product's matrix, K × N, as int8, its scales and zero points, which are N or scalars.

        Made once for the same preparation, which is called `prepared`.
        Filling raises Refused for weights that are not finite numbers.
        """
        stem = f"{product.weight}_Transposed" if product.transposed else product.weight
        fill = self._fill_transposed if product.transposed else self._fill

        def replacement(tensor: Any, names: Names) -> Replacement:
            rows, columns = reversed(tensor.dims) if product.transposed else tensor.dims
            dims = (columns,) if self.per_channel else ()
            made = New(names[0], TensorProto.INT8, (rows, columns))
            scales, zeros = New(names[1], TensorProto.FLOAT, dims), New(names[2], TensorProto.INT8, dims)
            return Replacement(tensor, (made, scales, zeros), partial(fill, prepare=prepare))

        return assembly.tensor(product.weight, f"{stem} {prepared}", suffixed(stem), replacement)

    def _fill(self, source: Source, tensor: Any, write: Write, prepare: Prepare) -> None:
        highest = np.zeros(tensor.dims[1], np.float32)
        for _, piece in pieces(source, tensor, prepare):
            np.maximum(highest, finite(np.abs(piece).max(axis=0), tensor.name), out=highest)
        scales = self.scales(highest if self.per_channel else highest.max())
        for start, piece in pieces(source, tensor, prepare):
            write(0, _rounded(piece, scales), start * tensor.dims[1])
        write(1, scales, 0)
        write(2, np.zeros(scales.shape, np.int8), 0)

    def _fill_transposed(self, source: Source, tensor: Any, write: Write, prepare: Prepare) -> None:
        highest = np.zeros(tensor.dims[0], np.float32)
        for start, piece in pieces(source, tensor, prepare):
            highest[start : start + len(piece)] = finite(np.abs(piece).max(axis=1), tensor.name)
        scales = self.scales(highest if self.per_channel else np.full_like(highest, highest.max()))
        made = np.empty(tuple(reversed(tensor.dims)), np.int8)
        for start, piece in pieces(source, tensor, prepare):
            made[:, start : start + len(piece)] = _rounded(piece, scales[start : start + len(piece), None]).T
        scales = scales if self.per_channel else scales[0]
        write(0, made, 0)
        write(1, scales, 0)
        write(2, np.zeros(scales.shape, np.int8), 0)


def _rounded(piece: Any, scales: Any) -> Any:
    quotients = piece / scales
    np.rint(quotients, out=quotients)
    return quotients.astype(np.int8)
