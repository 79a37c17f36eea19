"""Neurons of a graph: what a matrix makes, a function changes one by one, and another matrix sums up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from compiler.artifact.graph.wiring import Dense, Wiring, label
from compiler.artifact.steps.pruning.structure import Cut, Layer

_FUNCTIONS = {
    "BiasGelu", "Celu", "Elu", "Erf", "FastGelu", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu", "Mish", "Pow",
    "QuickGelu", "Relu", "Selu", "Sigmoid", "Softplus", "Swish", "Tanh", "ThresholdedRelu",
}  # fmt: skip
_ONE_BY_ONE = _FUNCTIONS | {"Add", "Cast", "Clip", "Div", "Identity", "Mul", "Sub"}


def layers(wiring: Wiring) -> Iterator[Layer]:
    """Every chain of matrices (MatMul, Gemm), functions of single elements, and one matrix, in the order of the graph.

    Gated chains have several matrices at their beginning: act(x · G) ⊙ (x · U) · D.
    """
    for node in wiring.graph.node:
        dense = wiring.dense(node)
        if dense and (layer := _Chain(wiring, dense).layer()):
            yield layer


@dataclass(slots=True)
class _Chain:
    """The chain that ends in `down`, walked from there."""

    wiring: Wiring
    down: Dense
    ups: list[Dense] = field(default_factory=list)
    vectors: list[Cut] = field(default_factory=list)
    nodes: list[Any] = field(default_factory=list)
    values: set[str] = field(default_factory=set)

    def layer(self) -> Layer | None:
        units = self.down.weight.dims[self.down.inner]
        places = np.arange(units).reshape(units, 1)
        if not self._walk(places) or not self._is_closed() or not self._has_function():
            return None
        into = tuple(Cut(up.weight.name, up.outer, places) for up in self.ups)
        out_of = Cut(self.down.weight.name, self.down.inner, places)
        return Layer(
            name=label(self.down.node),
            units=units,
            cuts=(*into, *self.vectors, out_of),
            into=into,
            out_of=(out_of,),
            values=frozenset(self.values),
            resize=lambda units: None,
        )

    def _walk(self, places: Any) -> bool:
        """Fill the fields; whether all that was found can shrink."""
        waiting = [self.down.data]
        while waiting:
            value = waiting.pop()
            node = self.wiring.maker.get(value)
            if value in self.values:
                continue
            if node is None:
                return False
            self.values.add(value)
            self.nodes.append(node)
            if up := self.wiring.dense(node):
                if up.weight.dims[up.outer] != len(places) or not self._constant(up.bias, places):
                    return False
                self.ups.append(up)
                continue
            if node.op_type not in _ONE_BY_ONE:
                return False
            for name in node.input:
                if not name or self.wiring.dims(name) is None:
                    waiting += [name] if name else []
                elif not self._constant(name, places):
                    return False
        return bool(self.ups)

    def _constant(self, name: str, places: Any) -> bool:
        """Take a constant in; whether it goes with any number of units."""
        dims = self.wiring.dims(name) if name else ()
        if dims is None:
            return False
        if int(np.prod(dims)) == 1:
            return True
        if name in self.wiring.weights and dims[-1] == len(places) == int(np.prod(dims)):
            self.vectors.append(Cut(name, len(dims) - 1, places))
            return True
        return False

    def _is_closed(self) -> bool:
        """Whether nobody else reads what is inside."""
        inside = {id(node) for node in (*self.nodes, self.down.node)}
        return not self.values & self.wiring.outputs and all(
            id(reader) in inside for value in self.values for reader in self.wiring.readers.get(value, [])
        )

    def _has_function(self) -> bool:
        """Without one the two matrices are one product, and its middle no neurons. A gate is one too."""
        gates = [n for n in self.nodes if n.op_type == "Mul" and all(name in self.values for name in n.input)]
        return bool(gates) or any(node.op_type in _FUNCTIONS for node in self.nodes)
