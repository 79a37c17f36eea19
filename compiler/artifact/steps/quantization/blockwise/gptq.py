"""`method: gptq`: what rounding a weight does to the product is made up for by the weights that are not rounded yet.

Frantar et al., GPTQ: Accurate Post-Training Quantization for Generative Pre-trained Transformers (2022): the columns
of a matrix one weight after the other, in the order that they stand in, with the inverse of the second moments of
what the matrix is multiplied with. Those come from the calibration texts, through the model as it was before the
step. Scales are chosen when a block begins. onnxruntime's own quantizer rounds what GPTQ made a second time; this one
does not.

Not the same bits on every machine: onnxruntime and the BLAS library add up in the order that suits a processor.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from compiler.artifact.graph import graphs
from compiler.artifact.refused import Refused
from compiler.artifact.steps.quantization.blockwise import rounding
from compiler.artifact.steps.quantization.blockwise.engine import Method
from compiler.artifact.steps.quantization.blockwise.scheme import Blocks, Buffers, Scheme, extremes
from compiler.artifact.steps.quantization.calibration import KEY, Calibration
from compiler.artifact.steps.quantization.matrices import Found, Matrix
from compiler.artifact.steps.step import Bench

_DAMPING = 0.01
"""Share of the mean second moment that is added to all of them, so that they can be inverted."""
_MEMORY = 256 * 2**20
"""Bytes of moments that are collected in one run over the texts; one matrix's may be more."""


def method(source: Path, found: Found, parameters: Mapping[str, Any], bench: Bench) -> Method:
    """Raises Refused when there is nothing to calibrate on."""
    if KEY not in bench.files:
        raise Refused("`method: gptq` needs texts: `calibrate: {data: …}`.")
    moments = _Moments(source, found, parameters, bench)
    return Method(lambda matrix: partial(_quantize, matrix, moments), whole=True)


def _quantize(matrix: Matrix, moments: _Moments, values: Any, scheme: Scheme, stored: Any, buffers: Buffers) -> Blocks:
    """All blocks of some columns. Raises NotFinite, and Refused for texts that cannot be used."""
    extremes(values)
    blocks, size, columns = values.shape
    factor = moments.factor(matrix)
    weights = values.reshape(-1, columns)[: matrix.depth].copy()
    weights[factor.idle] = 0
    quantized = np.zeros((blocks * size, columns), np.uint8)
    scales, zeros = np.empty((blocks, columns), stored), np.empty((blocks, columns), np.uint8)
    for block in range(blocks):
        start, stop = block * size, min((block + 1) * size, matrix.depth)
        part = weights[start:stop]
        made, points = rounding.ranges(part.min(axis=0), part.max(axis=0), scheme)
        scales[block], zeros[block] = made.astype(stored), points
        errors = np.empty_like(part)
        for row in range(stop - start):
            across = factor.upper[start + row, start + row : stop]
            quantized[start + row] = rounding.nearest(part[row], scales[block], points, scheme)
            back = (quantized[start + row] - points) * scales[block].astype(np.float32)
            errors[row] = (part[row] - back) / across[0]
            part[row + 1 :] -= across[1:, None] * errors[row]
        weights[stop:] -= factor.upper[start:stop, stop:].T @ errors
    return Blocks(quantized.reshape(blocks, size, columns), scales, None if scheme.symmetric else zeros)


class _Factor:
    """The upper Cholesky factor of inverted moments, and which inputs are always 0."""

    def __init__(self, moments: Any) -> None:
        depth = np.arange(len(moments))
        self.idle = np.diag(moments) == 0
        moments[self.idle, self.idle] = 1
        moments[depth, depth] += _DAMPING * np.mean(np.diag(moments))
        self.upper = np.linalg.cholesky(np.linalg.inv(moments)).T.astype(np.float32)


class _Moments:
    """Second moments of what matrices are multiplied with, collected when they are asked for, some at a time."""

    def __init__(self, source: Path, found: Found, parameters: Mapping[str, Any], bench: Bench) -> None:
        self._source, self._parameters, self._bench = source, parameters, bench
        self._values: dict[str, str] = {}
        """Matrix → the value that is multiplied with it, of several the first."""
        self._depths: dict[str, int] = {}
        inputs = {value.name for value in graphs.load(source, weights=False).graph.input}
        for product in found.products:
            if product.input in inputs:
                raise Refused(f"`{product.name}` multiplies an input of the model: gptq has nothing to go by there.")
            name = self._values.setdefault(product.matrix.name, product.input)
            self._depths[name] = product.matrix.depth
        self._collected: dict[str, Any] = {}
        self._factors: dict[str, _Factor] = {}
        self._lock = threading.Lock()

    def factor(self, matrix: Matrix) -> _Factor:
        name = self._values[matrix.name]
        with self._lock:
            if name not in self._factors:
                if name not in self._collected:
                    self._collected = self._collect(name)
                    self._factors.clear()
                self._factors[name] = _Factor(self._collected.pop(name))
            return self._factors[name]

    def _collect(self, first: str) -> dict[str, Any]:
        """The moments of `first` and as many of those after it as there is memory for."""
        names = list(self._depths)
        chosen: list[str] = []
        size = 0
        for name in names[names.index(first) :]:
            size += 8 * self._depths[name] ** 2
            if chosen and size > _MEMORY:
                break
            chosen.append(name)
        sums = {name: np.zeros((self._depths[name], self._depths[name])) for name in chosen}
        for values in Calibration.of(self._source, chosen, self._parameters, self._bench):
            for name, value in values.items():
                rows = value.astype(np.float64)
                sums[name] += rows.T @ rows
        return sums
