"""A matrix from the source to the target, quantized on its way, a piece at a time.

A piece has all of K, since that is what lies together in the target, and as many columns as its share of the memory
takes. Which columns are in which piece depends on the number of threads and changes no bit of what comes out: columns
have nothing to do with each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
from onnx import TensorProto, helper

from compiler.artifact.graph.threads import Job
from compiler.artifact.graph.weights import New, Source, Target
from compiler.artifact.refused import not_finite
from compiler.artifact.steps.quantization.blockwise.packing import pack, pack_zeros
from compiler.artifact.steps.quantization.blockwise.scheme import Blocks, Buffers, NotFinite, Scheme
from compiler.artifact.steps.quantization.matrices import Matrix

Quantize = Callable[[Any, Scheme, Any, Buffers], Blocks]
"""Of blocks × block size × columns of float32, given the type in which scales are stored."""

_MEMORY = 32 * 2**20
"""Bytes for the pieces of all threads together, as far as that leaves each of them _LEAST."""
_MOST, _LEAST = 8 * 2**20, 2 * 2**20
_SLICE = 2**17
"""Weights that are worked on at a time: of more, what comes of them leaves the processor's caches."""
_EVEN = 1024
"""Columns are cut at multiples of this, where a piece has more: a page of float32."""


@dataclass(frozen=True, slots=True)
class Work:
    """One matrix to quantize. `flat`: for a lookup, whose rows have no padding at their end."""

    matrix: Matrix
    scheme: Scheme
    quantize: Quantize
    flat: bool = False
    whole: bool = False
    """Whether `quantize` needs all blocks of a column at once."""

    @property
    def blocks(self) -> int:
        return self.scheme.blocks(self.matrix.depth)

    @property
    def column_bytes(self) -> int:
        """Of the quantized values of a column."""
        if self.flat:
            return -(-self.matrix.depth * self.scheme.bits // 8)
        return self.blocks * self.scheme.block_bytes

    @property
    def stored(self) -> Any:
        """The type of the scales: that of the weights."""
        return helper.tensor_dtype_to_np_dtype(self.matrix.tensor.data_type)

    @property
    def tensors(self) -> list[New]:
        """For quantized values, scales and perhaps zero points."""
        name, columns, kind = self.matrix.name, self.matrix.columns, self.matrix.tensor.data_type
        inner = [self.column_bytes] if self.flat else [self.blocks, self.scheme.block_bytes]
        made = [
            New(f"{name}_Q{self.scheme.bits}", TensorProto.UINT8, [columns, *inner]),
            New(f"{name}_scales", kind, [columns, self.blocks]),
        ]
        if self.scheme.method == "hqq":
            made.append(New(f"{name}_zero_points", kind, [columns, self.blocks]))
        elif not self.scheme.symmetric:
            packed = -(-self.blocks * self.scheme.bits // 8)
            made.append(New(f"{name}_zero_points", TensorProto.UINT8, [columns, packed]))
        return made

    def named(self, taken: set[str]) -> Work:
        """The same work, with names of tensors that are not yet taken; then they are."""
        work, number = self, 0
        while not taken.isdisjoint(new.name for new in work.tensors):
            number += 1
            work = replace(self, matrix=replace(self.matrix, name=f"{self.matrix.name}_{number}"))
        taken.update(new.name for new in work.tensors)
        return work


@dataclass(slots=True)
class Stream:
    source: Source
    target: Target
    threads: int
    buffers: Buffers = field(default_factory=Buffers)

    def reserve(self, work: Work) -> tuple[list[Any], list[Job]]:
        """The work's tensors and the jobs that fill them, which raise Refused for weights that are not finite."""
        columns, step = work.matrix.columns, self._columns(work)
        tensors = [self.target.reserve(new.name, new.data_type, new.dims) for new in work.tensors]
        size = work.matrix.depth * work.stored.itemsize
        return tensors, [
            Job(
                (min(columns, first + step) - first) * size,
                partial(self._convert, work, tensors, first, min(columns, first + step)),
            )
            for first in range(0, columns, step)
        ]

    @property
    def _room(self) -> int:
        """Bytes of a thread's piece, as it is read and as it is written."""
        return max(_LEAST, min(_MOST, _MEMORY // self.threads))

    def _columns(self, work: Work) -> int:
        """Columns of a piece."""
        count = self._room // max(1, work.blocks * work.scheme.block_bytes)
        if work.whole or not work.matrix.transposed:
            count = min(count, self._room // (4 * work.scheme.block_size * (work.blocks if work.whole else 1)))
        return max(16, count - count % _EVEN if count > _EVEN else count)

    def _convert(self, work: Work, tensors: list[Any], first: int, last: int) -> None:
        columns, blocks, scheme = last - first, work.blocks, work.scheme
        packed = self.buffers.array("piece", (columns, blocks, scheme.block_bytes), np.uint8)
        scales = np.empty((columns, blocks), work.stored)
        zeros = np.empty((columns, blocks), work.stored if scheme.method == "hqq" else np.uint8)
        for block, column, values in self._slices(work, first, last):
            try:
                made = work.quantize(values, scheme, work.stored, self.buffers)
            except NotFinite:
                raise not_finite(work.matrix.tensor.name) from None
            there = np.s_[column : column + values.shape[2], block : block + len(values)]
            pack(made.quantized, scheme, packed[there], self.buffers)
            scales[there] = made.scales.T
            if made.zeros is not None:
                zeros[there] = made.zeros.T
        self._clear_padding(work, packed)
        self.target.write(tensors[0], packed.reshape(columns, -1)[:, : work.column_bytes], first * work.column_bytes)
        self.target.write(tensors[1], scales, first * scales.strides[0])
        if len(tensors) > 2:
            points = pack_zeros(zeros, scheme)
            self.target.write(tensors[2], points, first * points.strides[0])

    def _clear_padding(self, work: Work, packed: Any) -> None:
        """What stands behind the last weight of a column is never used; onnxruntime's kernel leaves it 0."""
        used = work.matrix.depth % work.scheme.block_size
        if used and work.scheme.method == "rtn":
            at, half = divmod(used * work.scheme.bits, 8)
            if half:
                packed[:, -1, at] &= 0x0F
                at += 1
            packed[:, -1, at:] = 0

    def _slices(self, work: Work, first: int, last: int) -> Iterator[tuple[int, int, Any]]:
        """The columns `first` to `last`, blocks × block size × columns of float32, each with its place in the piece."""
        tiles = self._turned if work.matrix.transposed else self._straight
        for block, column, values in tiles(work, first, last):
            count, size, columns = values.shape
            step = columns if work.whole else max(16, _SLICE // (count * size))
            for start in range(0, columns, step):
                yield block, column + start, values[:, :, start : start + step]

    def _straight(self, work: Work, first: int, last: int) -> Iterator[tuple[int, int, Any]]:
        """Of a matrix that is stored K × N: some blocks, all columns."""
        tensor, size, columns = work.matrix.tensor, work.scheme.block_size, last - first
        step = work.blocks if work.whole else max(1, min(work.blocks, self._room // 2 // (4 * size * columns)))
        for block in range(0, work.blocks, step):
            count = min(step, work.blocks - block)
            rows = min(count * size, work.matrix.depth - block * size)
            read = self.buffers.array("read", (count * size, columns), work.stored)
            self._read_rows(tensor, block * size, first, read[:rows])
            read[rows:] = 0
            yield block, 0, self._single(read).reshape(count, size, columns)

    def _read_rows(self, tensor: Any, row: int, column: int, into: Any) -> None:
        """The rows of a matrix from `row` on, their columns from `column` on."""
        rows, columns = into.shape
        width, item = tensor.dims[1], into.itemsize
        if columns == width:
            self.source.read(tensor, row * width * item, into)
            return
        for number in range(rows):
            self.source.read(tensor, ((row + number) * width + column) * item, into[number])

    def _turned(self, work: Work, first: int, last: int) -> Iterator[tuple[int, int, Any]]:
        """Of a matrix that is stored N × K: all blocks, some columns."""
        tensor, size, depth = work.matrix.tensor, work.scheme.block_size, work.matrix.depth
        step = max(16, self._room // 2 // (4 * work.blocks * size))
        for start in range(first, last, step):
            columns = min(step, last - start)
            read = self.buffers.array("read", (columns, depth), work.stored)
            self.source.read(tensor, start * depth * read.itemsize, read)
            values = self.buffers.array("turned", (work.blocks * size, columns), np.float32)
            values[:depth] = read.T
            values[depth:] = 0
            yield 0, start - first, values.reshape(work.blocks, size, columns)

    def _single(self, read: Any) -> Any:
        """The same in float32."""
        if read.dtype == np.float32:
            return read
        values = self.buffers.array("single", read.shape, np.float32)
        np.copyto(values, read)
        return values
