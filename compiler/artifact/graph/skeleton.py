"""An ONNX file without its weights, however large it is.

protobuf reads a file as a whole, and none of 2 GiB or more. Here the few fields around the weights are read one by
one, and every large initializer becomes a reference to the place in the file where its bytes lie: as if the file were
its own external data. Field numbers are those of onnx.proto; the encoding is protobuf's wire format.
"""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any

import onnx
from google.protobuf.message import DecodeError
from onnx import ModelProto, TensorProto

EMBEDDED = 1024
"""Bytes up to which a tensor stays in the graph, where shape inference and fusions look at it."""

_GRAPH, _INITIALIZER, _RAW_DATA = 7, 5, 9
_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5


def load(path: Path) -> Any:
    """The ModelProto, its initializers of more than EMBEDDED bytes external, in this file or another.

    Raises DecodeError as protobuf does. Initializers of graphs inside nodes, and those whose values are not in
    `raw_data`, stay as they are.
    """
    model = ModelProto()
    with path.open("rb") as file:
        end = file.seek(0, 2)
        file.seek(0)
        outside = bytearray()
        for number, head, size in _fields(file, end):
            if number == _GRAPH:
                _graph(file, size, path.name, model.graph)
            else:
                outside += head + file.read(size)
    model.MergeFromString(bytes(outside))
    _embed_attributes(model, path.parent)
    return model


def _graph(file: IO[bytes], size: int, name: str, graph: Any) -> None:
    """Read a GraphProto of `size` bytes into `graph`."""
    kept = bytearray()
    tensors = []
    for number, head, length in _fields(file, file.tell() + size):
        if number == _INITIALIZER:
            tensors.append(_tensor(file, length, name))
        else:
            kept += head + file.read(length)
    graph.MergeFromString(bytes(kept))
    graph.initializer.extend(tensors)


def _tensor(file: IO[bytes], size: int, name: str) -> Any:
    kept = bytearray()
    place = None
    for number, head, length in _fields(file, file.tell() + size):
        if number == _RAW_DATA and length > EMBEDDED:
            place = (file.tell(), length)
            file.seek(length, 1)
        else:
            kept += head + file.read(length)
    tensor = TensorProto.FromString(bytes(kept))
    if place:
        refer(tensor, name, *place)
    return tensor


def refer(tensor: Any, location: str, offset: int, length: int) -> None:
    """Say that a tensor's bytes lie in the file `location`."""
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", offset), ("length", length)):
        tensor.external_data.add(key=key, value=str(value))


def _fields(file: IO[bytes], end: int) -> Any:
    """Number, encoded head and size of every field up to `end`, with the file at the field's content."""
    while file.tell() < end:
        head = bytearray()
        key = _varint(file, head)
        kind = key & 7
        if kind == _BYTES:
            size = _varint(file, head)
        elif kind == _VARINT:
            _varint(file, head)
            size = 0
        else:
            size = {_EIGHT: 8, _FOUR: 4}.get(kind, end)
        if file.tell() + size > end:
            raise DecodeError("the file is no ONNX model, or only a part of one")
        yield key >> 3, bytes(head), size


def _varint(file: IO[bytes], head: bytearray) -> int:
    """The number at the file's position; its bytes are added to `head`."""
    value = shift = 0
    while True:
        byte = file.read(1)
        if not byte or shift > 63:
            raise DecodeError("the file is no ONNX model, or only a part of one")
        head += byte
        value |= (byte[0] & 127) << shift
        if byte[0] < 128:
            return value
        shift += 7


def _embed_attributes(model: Any, folder: Path) -> None:
    """Take into the graph what nodes hold outside it: constants, which are small."""
    from compiler.artifact.graph import graphs

    for graph in graphs.all_graphs(model.graph):
        for node in graph.node:
            for attribute in node.attribute:
                for tensor in [attribute.t, *attribute.tensors]:
                    if tensor.data_location == TensorProto.EXTERNAL:
                        onnx.external_data_helper.load_external_data_for_tensor(tensor, str(folder))
