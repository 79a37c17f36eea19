"""Weights outside the graph: read in pieces, written to places that are known before anything is written.

A step that goes through a model tensor by tensor opens a Source and a Target. Neither holds more than the piece that is
asked for, so memory grows with the largest piece and not with the model. Pieces are read and written with pread and
pwrite, by as many threads as there are: where a tensor lies depends on the order of `reserve` alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from compiler.artifact import graphs

EMBEDDED = 1024
"""Bytes up to which a tensor stays in the graph, where shape inference and fusions look at it."""

PIECE = 4 * 2**20
"""Bytes that are read at a time."""

_ALIGNED, _PAGE = 64, 4096
"""Tensors begin at multiples of a cache line; those of a page or more at multiples of a page, to be mapped."""


class Source:
    """The initializers of an ONNX file, embedded or in files beside it."""

    def __init__(self, path: Path) -> None:
        self.model = graphs.load(path, weights=False)
        self._folder = path.parent
        self._files: dict[str, int] = {}
        self.tensors = {tensor.name: tensor for tensor in self.model.graph.initializer}

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_: object) -> None:
        for descriptor in self._files.values():
            os.close(descriptor)
        self._files.clear()

    def array(self, tensor: Any) -> Any:
        """The whole tensor as a numpy array; of one that lies outside the graph, a copy."""
        if tensor.data_location != TensorProto.EXTERNAL:
            return numpy_helper.to_array(tensor)
        kind = helper.tensor_dtype_to_np_dtype(tensor.data_type)
        return np.frombuffer(self._read(tensor, 0, graphs.tensor_bytes(tensor)), kind).reshape(tuple(tensor.dims))

    def rows(self, tensor: Any, start: int, stop: int) -> Any:
        """`tensor[start:stop]` along its first axis; of one that lies outside the graph, a copy."""
        if tensor.data_location != TensorProto.EXTERNAL:
            return numpy_helper.to_array(tensor)[start:stop]
        kind = helper.tensor_dtype_to_np_dtype(tensor.data_type)
        row = graphs.tensor_bytes(tensor) // tensor.dims[0]
        data = self._read(tensor, start * row, (stop - start) * row)
        return np.frombuffer(data, kind).reshape(stop - start, *tensor.dims[1:])

    def pieces(self, tensor: Any) -> Iterator[bytes]:
        """The tensor's bytes, in order."""
        if tensor.data_location != TensorProto.EXTERNAL:
            yield tensor.raw_data or numpy_helper.to_array(tensor).tobytes()
            return
        size = graphs.tensor_bytes(tensor)
        for start in range(0, size, PIECE):
            yield self._read(tensor, start, min(PIECE, size - start))

    def _read(self, tensor: Any, start: int, size: int) -> bytes:
        facts = {entry.key: entry.value for entry in tensor.external_data}
        location = facts["location"]
        if location not in self._files:
            self._files[location] = os.open(self._folder / location, os.O_RDONLY)
        offset = int(facts.get("offset") or 0) + start
        data = bytearray(size)
        done = 0
        while done < size:
            read = os.preadv(self._files[location], [memoryview(data)[done:]], offset + done)
            if not read:
                raise ValueError(f"`{location}` ends inside tensor `{tensor.name}`")
            done += read
        return data  # type: ignore[return-value]


@dataclass(slots=True)
class Target:
    """The weights of an ONNX file in the making. Small ones stay in the graph, and so do all when there is little."""

    path: Path
    _end: int = 0
    _descriptor: int = -1
    _reserved: list[Any] = field(default_factory=list)

    def reserve(self, name: str, data_type: int, dims: Sequence[int]) -> Any:
        """A TensorProto for a tensor that `write` fills; its place comes after all that were reserved before."""
        tensor = TensorProto(name=name, data_type=data_type, dims=dims)
        size = graphs.tensor_bytes(tensor)
        if size <= EMBEDDED:
            tensor.raw_data = bytes(size)
            return tensor
        step = _PAGE if size >= _PAGE else _ALIGNED
        offset = -(-self._end // step) * step
        self._end = offset + size
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", self._data.name), ("offset", offset), ("length", size)):
            tensor.external_data.add(key=key, value=str(value))
        self._reserved.append(tensor)
        return tensor

    def write(self, tensor: Any, data: Any, at: int = 0) -> None:
        """Put an array's or a buffer's bytes into a reserved tensor, `at` bytes from its beginning."""
        buffer: Any = np.ascontiguousarray(data) if isinstance(data, np.ndarray) else data
        view = memoryview(buffer).cast("B")
        if tensor.data_location != TensorProto.EXTERNAL:
            tensor.raw_data = tensor.raw_data[:at] + view.tobytes() + tensor.raw_data[at + len(view) :]
            return
        offset = next(int(entry.value) for entry in tensor.external_data if entry.key == "offset") + at
        while len(view):
            written = os.pwrite(self._open(), view, offset)
            view, offset = view[written:], offset + written

    def copy(self, source: Source, tensor: Any) -> Any:
        """The tensor of `source` under its name, unchanged."""
        kept = self.reserve(tensor.name, tensor.data_type, tensor.dims)
        at = 0
        for piece in source.pieces(tensor):
            self.write(kept, piece, at)
            at += len(piece)
        return kept

    def finish(self, model: Any) -> None:
        """Write the graph, whose initializers came from this target."""
        if self._descriptor >= 0:
            os.ftruncate(self._descriptor, self._end)
            os.close(self._descriptor)
            self._descriptor = -1
        if self._reserved and self._end <= graphs.LARGEST_SINGLE_FILE:
            # A graph holds copies of the tensors that it was given.
            for tensor in (t for t in graphs.tensors(model) if t.data_location == TensorProto.EXTERNAL):
                onnx.external_data_helper.load_external_data_for_tensor(tensor, str(self.path.parent))
                tensor.data_location = TensorProto.DEFAULT
                del tensor.external_data[:]
            self._data.unlink()
        graphs.write(model, self.path)

    @property
    def _data(self) -> Path:
        return graphs.data_file(self.path)

    def _open(self) -> int:
        if self._descriptor < 0:
            self._descriptor = os.open(self._data, os.O_RDWR | os.O_CREAT, 0o644)
        return self._descriptor
