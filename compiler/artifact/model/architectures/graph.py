"""An ONNX graph in the making: nodes with the names of the modules that they come from, weights of a checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from compiler.artifact.graph.weights import Target
from compiler.artifact.model.checkpoint import Checkpoint

OPSET, IR_VERSION = 17, 9
"""The first opset with LayerNormalization; what runtimes of that time read."""

Value = tuple[str, int, Sequence[str | int]]
"""Name, element type and dimensions of an input or output."""


@dataclass(slots=True)
class Graph:
    checkpoint: Checkpoint
    target: Target
    find: Callable[[str], str]
    """The checkpoint's name of a weight."""
    _nodes: list[Any] = field(default_factory=list)
    _tensors: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def at(cls, path: Path, checkpoint: Checkpoint, find: Callable[[str], str]) -> Graph:
        return cls(checkpoint, Target(path), find)

    def node(self, operator: str, inputs: Sequence[str], name: str, **attributes: Any) -> str:
        """Add a node with one output, and give the output's name."""
        output = f"/{name}/{operator}_output_0"
        self._nodes.append(helper.make_node(operator, inputs, [output], name=f"/{name}/{operator}", **attributes))
        return output

    def constant(self, name: str, value: Any) -> str:
        """A small array, which stays in the graph."""
        self._tensors.setdefault(name, numpy_helper.from_array(np.asarray(value), name))
        return name

    def weight(self, name: str) -> str:
        """A weight as the checkpoint has it, float32, copied in pieces."""
        stored = self.find(name)
        if stored not in self._tensors:
            tensor = self.target.reserve(stored, TensorProto.FLOAT, self.checkpoint.tensors[stored].shape)
            at = 0
            for piece in self.checkpoint.rows(stored):
                self.target.write(tensor, piece, at)
                at += piece.nbytes
            self._tensors[stored] = tensor
        return stored

    def linear(self, source: str, name: str) -> str:
        """`torch.nn.Linear`: its weight is outputs × inputs, and is stored transposed, as MatMul takes it."""
        stored = self.find(f"{name}.weight")
        if stored not in self._tensors:
            transposed = self.checkpoint.array(stored).T
            tensor = self.target.reserve(stored, TensorProto.FLOAT, transposed.shape)
            self.target.write(tensor, transposed)
            self._tensors[stored] = tensor
        path = name.replace(".", "/")
        product = self.node("MatMul", [source, stored], path)
        return self.node("Add", [product, self.weight(f"{name}.bias")], path)

    def layer_norm(self, source: str, name: str, epsilon: float) -> str:
        weights = [self.weight(f"{name}.weight"), self.weight(f"{name}.bias")]
        return self.node("LayerNormalization", [source, *weights], name.replace(".", "/"), axis=-1, epsilon=epsilon)

    def finish(self, name: str, inputs: Sequence[Value], output: tuple[str, Value]) -> None:
        """Write the model. `output` is the value in the graph, and what the outside calls it."""
        inner, outer = output
        self._nodes[-1].output[0] = outer[0]
        assert inner == f"{self._nodes[-1].name}_output_0"
        body = helper.make_graph(
            self._nodes,
            name,
            [helper.make_tensor_value_info(*value) for value in inputs],
            [helper.make_tensor_value_info(*outer)],
            list(self._tensors.values()),
        )
        opset = [helper.make_opsetid("", OPSET)]
        self.target.finish(helper.make_model(body, opset_imports=opset, ir_version=IR_VERSION))
