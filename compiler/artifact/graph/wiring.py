"""How the nodes of a graph are wired: who makes a value, who reads it, what is constant."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from compiler.artifact.graph import graphs

FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16)


@dataclass(frozen=True, slots=True)
class Dense:
    """A product of activations with a constant float32 or float16 matrix."""

    node: Any
    weight: Any
    """The matrix's TensorProto."""
    data: str
    """The value that is multiplied."""
    inner: int
    """The matrix's axis along which products are summed; the other one gives the output's last axis."""

    @property
    def outer(self) -> int:
        return 1 - self.inner

    @property
    def bias(self) -> str:
        """What a Gemm adds; empty for none."""
        return self.node.input[2] if self.node.op_type == "Gemm" and len(self.node.input) > 2 else ""


class Wiring:
    """Of a graph's main level; a node with graphs inside reads whatever those read."""

    def __init__(self, model: Any) -> None:
        self.graph = model.graph
        self.weights = {tensor.name: tensor for tensor in model.graph.initializer}
        self.outputs = {value.name for value in model.graph.output}
        self.maker: dict[str, Any] = {}
        self.readers: dict[str, list[Any]] = {}
        for node in model.graph.node:
            for name in node.output:
                self.maker[name] = node
            for name in dict.fromkeys(reads(node)):
                self.readers.setdefault(name, []).append(node)

    def constant(self, name: str) -> Any:
        """The array of an initializer in the graph or of a Constant node, else None."""
        tensor = self.weights.get(name)
        if tensor is not None:
            return None if tensor.data_location == TensorProto.EXTERNAL else numpy_helper.to_array(tensor)
        node = self.maker.get(name)
        if node is None or node.op_type != "Constant":
            return None
        value = helper.get_attribute_value(node.attribute[0])
        return numpy_helper.to_array(value) if isinstance(value, TensorProto) else np.asarray(value)

    def dims(self, name: str) -> tuple[int, ...] | None:
        """The shape of a constant, else None."""
        if name in self.weights:
            return tuple(self.weights[name].dims)
        value = self.constant(name)
        return None if value is None else tuple(value.shape)

    def dense(self, node: Any) -> Dense | None:
        """The node as a product with a constant matrix on its right side, else None."""
        if node.op_type not in ("MatMul", "Gemm", "FusedMatMul"):
            return None
        weight = self.weights.get(node.input[1])
        if weight is None or len(weight.dims) != 2 or weight.data_type not in FLOATS:
            return None
        return Dense(node, weight, node.input[0], 1 if attribute(node, "transB", 0) else 0)

    def single_reader(self, name: str) -> Any:
        """The node that alone reads a value, which is no output of the graph; else None."""
        readers = self.readers.get(name, [])
        return readers[0] if len(readers) == 1 and name not in self.outputs else None


def matrices(wiring: Wiring) -> Iterator[Dense]:
    """The matrices that only products read, each once, in the order of the initializers.

    Not those that are a table too, such as embeddings tied to the last matrix, nor those read along both axes.
    """
    for tensor in wiring.graph.initializer:
        if tensor.name in wiring.outputs or 0 in tensor.dims:
            continue
        found = [wiring.dense(node) for node in wiring.readers.get(tensor.name, [])]
        first = found[0] if found else None
        if first and all(one and one.weight is tensor and one.inner == first.inner for one in found):
            yield first


def attribute(node: Any, name: str, default: Any) -> Any:
    return next((helper.get_attribute_value(found) for found in node.attribute if found.name == name), default)


def set_attribute(node: Any, name: str, value: int) -> None:
    """Change an integer attribute that the node has."""
    next(found for found in node.attribute if found.name == name).i = value


def label(node: Any) -> str:
    """What messages call a node; exporters need not name it."""
    return str(node.name or node.output[0])


def reads(node: Any) -> Iterator[str]:
    """The values that a node reads, those of graphs inside it too."""
    yield from (name for name in node.input if name)
    for graph in graphs.inner_graphs(node):
        for inner in graphs.all_graphs(graph):
            for one in inner.node:
                yield from (name for name in one.input if name)
            yield from (value.name for value in inner.output)
