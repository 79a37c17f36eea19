"""Weights outside the graph: read in pieces, written to places that are known before anything is written.

A step that goes through a model tensor by tensor opens a Source and a Target. Neither holds more than the piece that
is asked for, so memory grows with the piece and not with the tensor or the model. Pieces are read and written with
pread and pwrite (pages of a mapped file would count as memory of the process), by as many threads as there are: where
a tensor lies depends on the order of `reserve` alone.
"""

from __future__ import annotations

import errno
import math
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from compiler.artifact.graph import graphs, skeleton
from compiler.artifact.graph.skeleton import EMBEDDED
from compiler.artifact.graph.threads import Job
from compiler.artifact.refused import Refused

PIECE = 4 * 2**20
"""Bytes that are read at a time."""

_ALIGNED, _PAGE = 64, 4096
"""Tensors begin at multiples of a cache line; those of a page or more at multiples of a page, to be mapped."""

_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True, slots=True)
class New:
    """A tensor to come."""

    name: str
    data_type: int
    dims: Sequence[int]

    @property
    def bytes(self) -> int:
        return graphs.tensor_bytes(TensorProto(data_type=self.data_type, dims=self.dims))


class Source:
    """The initializers of an ONNX file, embedded or in files beside it. Every method may be called by any thread."""

    def __init__(self, path: Path) -> None:
        self.model = skeleton.load(path)
        self._folder = path.parent
        self._files: dict[str, int] = {}
        self._embedded: dict[int, tuple[Any, memoryview]] = {}
        self._opening = threading.Lock()
        self.tensors = {tensor.name: tensor for tensor in self.model.graph.initializer}

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_: object) -> None:
        for descriptor in self._files.values():
            os.close(descriptor)
        self._files.clear()

    def array(self, tensor: Any) -> Any:
        """The whole tensor as a numpy array, a copy."""
        return self.rows(tensor, 0, tensor.dims[0]) if tensor.dims else self._array(tensor, 0, 1, ())

    def rows(self, tensor: Any, start: int, stop: int) -> Any:
        """`tensor[start:stop]` along its first axis, a copy."""
        inner = tuple(tensor.dims[1:])
        row = math.prod(inner)
        return self._array(tensor, start * row, (stop - start) * row, (stop - start, *inner))

    def row_pieces(self, tensor: Any, most: int | None = None) -> Iterator[tuple[int, Any]]:
        """The first row's number and the rows of each piece of a tensor: of `most` bytes (else PIECE), or one row."""
        rows = tensor.dims[0]
        step = max(1, (most or PIECE) * rows // max(1, graphs.tensor_bytes(tensor)))
        for start in range(0, rows, step):
            yield start, self.rows(tensor, start, min(rows, start + step))

    def pieces(self, tensor: Any) -> Iterator[bytearray]:
        """The tensor's bytes, in order."""
        size = graphs.tensor_bytes(tensor)
        for start in range(0, size, PIECE):
            piece = bytearray(min(PIECE, size - start))
            self.read(tensor, start, piece)
            yield piece

    def read(self, tensor: Any, start: int, into: Any) -> None:
        """Fill the buffer `into` with the tensor's bytes from `start` on.

        Raises ValueError when its file ends before, and Refused when it lies outside the model's folder.
        """
        buffer = memoryview(into).cast("B")
        if tensor.data_location != TensorProto.EXTERNAL:
            buffer[:] = self._content(tensor)[start : start + len(buffer)]
            return
        facts = {entry.key: entry.value for entry in tensor.external_data}
        descriptor = self._open(facts["location"], tensor)
        offset = int(facts.get("offset") or 0) + start
        while len(buffer):
            count = os.preadv(descriptor, [buffer], offset)
            if not count:
                raise ValueError(f"`{facts['location']}` ends inside tensor `{tensor.name}`")
            buffer, offset = buffer[count:], offset + count

    def _array(self, tensor: Any, start: int, count: int, shape: tuple[int, ...]) -> Any:
        """`count` elements from element `start` on."""
        if tensor.data_type in (TensorProto.INT4, TensorProto.UINT4):
            return numpy_helper.to_array(tensor, str(self._folder)).reshape(-1)[start : start + count].reshape(shape)
        array = np.empty(count, helper.tensor_dtype_to_np_dtype(tensor.data_type))
        if count:
            self.read(tensor, start * array.itemsize, array.view(np.uint8))
        return array.reshape(shape)

    def _content(self, tensor: Any) -> memoryview:
        """What a tensor in the graph holds; kept, since protobuf copies it at every look."""
        with self._opening:
            if id(tensor) not in self._embedded:
                data = tensor.raw_data or numpy_helper.from_array(numpy_helper.to_array(tensor)).raw_data
                self._embedded[id(tensor)] = tensor, memoryview(data)
            return self._embedded[id(tensor)][1]

    def _open(self, location: str, tensor: Any) -> int:
        with self._opening:
            if location not in self._files:
                path = self._folder / location
                if not path.resolve().is_relative_to(self._folder.resolve()):
                    raise Refused(f"Tensor `{tensor.name}` lies in `{location}`, outside the model's folder.")
                self._files[location] = os.open(path, os.O_RDONLY)
            return self._files[location]


@dataclass(slots=True)
class Target:
    """The weights of an ONNX file in the making. Small ones stay in the graph, and so do all when there is little.

    What is reserved may be written in any order and by any thread; reserving is the work of one.
    """

    path: Path
    _end: int = 0
    _checked: int = 0
    """Bytes that the disk was found to have room for."""
    _descriptor: int = -1
    _opening: Any = field(default_factory=threading.Lock)

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
        skeleton.refer(tensor, self._data.name, offset, size)
        return tensor

    def write(self, tensor: Any, data: Any, at: int = 0) -> None:
        """Put an array's or a buffer's bytes into a reserved tensor, `at` bytes from its beginning.

        Raises Refused with DISK_FULL, before the first byte when the disk has too little space for all reserved.
        """
        buffer: Any = np.ascontiguousarray(data).view(np.uint8) if isinstance(data, np.ndarray) else data
        view = memoryview(buffer).cast("B")
        if tensor.data_location != TensorProto.EXTERNAL:
            with self._opening:
                tensor.raw_data = tensor.raw_data[:at] + view.tobytes() + tensor.raw_data[at + len(view) :]
            return
        descriptor = self._open()
        offset = next(int(entry.value) for entry in tensor.external_data if entry.key == "offset") + at
        while len(view):
            try:
                written = os.pwrite(descriptor, view, offset)
            except OSError as error:
                raise self._full() if error.errno in _FULL else error from error
            view, offset = view[written:], offset + written

    def copy(self, source: Source, tensor: Any) -> Any:
        """The tensor of `source` under its name, unchanged."""
        kept, jobs = self.keep(source, tensor)
        for job in jobs:
            job.do()
        return kept

    def keep(self, source: Source, tensor: Any) -> tuple[Any, list[Job]]:
        """Reserve a tensor of `source` under its name; the jobs copy it, a piece each."""
        if tensor.data_type == TensorProto.STRING:
            return tensor, []
        kept = self.reserve(tensor.name, tensor.data_type, tensor.dims)
        size = graphs.tensor_bytes(tensor)

        def copy(start: int) -> None:
            piece = bytearray(min(PIECE, size - start))
            source.read(tensor, start, piece)
            self.write(kept, piece, start)

        return kept, [Job(min(PIECE, size - start), partial(copy, start)) for start in range(0, size, PIECE)]

    def finish(self, model: Any) -> None:
        """Write the graph, whose initializers came from this target and are written."""
        if self._descriptor >= 0:
            os.ftruncate(self._descriptor, self._end)
            os.close(self._descriptor)
            self._descriptor = -1
        if self._end and self._end <= graphs.LARGEST_SINGLE_FILE:
            for tensor in graphs.tensors(model):
                if tensor.data_location == TensorProto.EXTERNAL:
                    onnx.external_data_helper.load_external_data_for_tensor(tensor, str(self.path.parent))
                    tensor.data_location = TensorProto.DEFAULT
                    del tensor.external_data[:]
            self._data.unlink()
        graphs.write(model, self.path)

    @property
    def _data(self) -> Path:
        return graphs.data_file(self.path)

    def _open(self) -> int:
        with self._opening:
            if self._checked < self._end:
                if shutil.disk_usage(self.path.parent).free < self._end - self._checked:
                    raise self._full()
                self._checked = self._end
            if self._descriptor < 0:
                self._descriptor = os.open(self._data, os.O_RDWR | os.O_CREAT, 0o644)
            return self._descriptor

    def _full(self) -> Refused:
        free = shutil.disk_usage(self.path.parent).free
        needed = f"The weights take {self._end:,} bytes; the disk of the store has {free:,} bytes free."
        return Refused(needed, "DISK_FULL")


def write_changed(
    source: Source, path: Path, change: Callable[[Target, Any], Any], tell: Callable[[float], None]
) -> list[Any]:
    """Write the model of `source`; gives its initializers.

    Each is what `change` makes of it in the target, or stays as it is where that gives None.
    """
    target, graph, made = Target(path), source.model.graph, []
    listed = list(graph.initializer)
    for number, tensor in enumerate(listed):
        new = change(target, tensor)
        made.append(target.copy(source, tensor) if new is None else new)
        tell((number + 1) / len(listed))
    del graph.initializer[:]
    graph.initializer.extend(made)
    target.finish(source.model)
    return made
