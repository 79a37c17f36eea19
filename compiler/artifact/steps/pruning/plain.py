"""Heads of attention that is written in plain ONNX nodes, as exporters of encoders do.

MatMul(+Add) → Reshape(…, heads, size) → Transpose   of queries, keys and values
MatMul of queries and keys → … → Softmax → MatMul with the values → Transpose → Reshape(…, heads × size) → MatMul
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnx import helper, numpy_helper

from compiler.artifact.graph.wiring import Dense, Wiring, label
from compiler.artifact.steps.pruning.structure import Cut, Layer

_TO_SCORES = {"Softmax", "Add", "Sub", "Mul", "Div", "Where", "Cast", "Identity", "Dropout", "IsNaN", "Max", "Min"}
_TO_HEADS = {"Transpose", "Mul", "Div", "Cast", "Identity"}


@dataclass(slots=True)
class Plain:
    """One layer, found from the MatMul of probabilities and values on."""

    wiring: Wiring
    product: Any
    values: set[str] = field(default_factory=set)
    shapes: list[tuple[Any, int, int]] = field(default_factory=list)
    """Reshape nodes, with which number of their shape counts heads (from the end), and its size for each head."""

    def layer(self) -> Layer | None:
        scores = self._reach(self.product.input[0], _TO_SCORES, "MatMul")
        value = self._reach(self.product.input[1], _TO_HEADS, "Reshape")
        if scores is None or value is None or not self._has_softmax():
            return None
        query, key = (self._reach(name, _TO_HEADS, "Reshape") for name in scores.input)
        out = self._out()
        if query is None or key is None or out is None:
            return None
        made = [self._projection(reshape) for reshape in (query, key, value)]
        alone = [self._alone(reshape.output[0], scores) for reshape in (query, key)]
        if None in made or not all(alone) or not self._alone(value.output[0], self.product):
            return None
        cuts = [cut for one in made if one for cut in one]
        heads, size = self._heads(value)
        places = np.arange(heads * size).reshape(heads, size)
        if any(cut.places.shape != places.shape for cut in cuts) or out.weight.dims[out.inner] != places.size:
            return None
        if self._knows_heads(heads) or self.values & self.wiring.outputs:
            return None
        last = Cut(out.weight.name, out.inner, places)
        return Layer(
            name=label(self.product),
            units=heads,
            cuts=(*cuts, last),
            into=(cuts[-1],),
            out_of=(last,),
            values=frozenset(self.values),
            resize=self._resize,
        )

    def _reach(self, start: str, through: set[str], goal: str) -> Any:
        """The only node of kind `goal` behind a value, through nodes that treat all heads alike; else None."""
        waiting, found, seen = [start], [], set()
        while waiting:
            name = waiting.pop()
            node = self.wiring.maker.get(name)
            if node is None or name in seen:
                continue
            seen.add(name)
            if node.op_type == goal:
                self.values.add(name)
                found.append(node)
            elif node.op_type in through:
                self.values.add(name)
                waiting += node.input
        return found[0] if len(found) == 1 else None

    def _alone(self, value: str, end: Any) -> bool:
        """Whether a value goes to the node `end` and nowhere else; who asks for its shape does not count."""
        while True:
            readers = [node for node in self.wiring.readers.get(value, []) if node.op_type != "Shape"]
            if len(readers) != 1:
                return False
            if readers[0] is end:
                return True
            value = readers[0].output[0]

    def _has_softmax(self) -> bool:
        return any(self.wiring.maker[name].op_type == "Softmax" for name in self.values)

    def _knows_heads(self, heads: int) -> bool:
        """Whether a constant on the way, such as a bias of positions, differs from head to head."""
        for name in self.values:
            for read in self.wiring.maker[name].input:
                dims = self.wiring.dims(read) or ()
                if len(dims) >= 3 and dims[-3] == heads > 1:
                    return True
        return False

    def _projection(self, reshape: Any) -> list[Cut] | None:
        """The bias, if any, and then the matrix that make the heads; None if it is otherwise."""
        heads, size = self._heads(reshape)
        value, cuts = reshape.input[0], []
        self.values |= {value, reshape.output[0]}
        places = np.arange(heads * size).reshape(heads, size)
        node = self.wiring.maker.get(value)
        if node is not None and node.op_type == "Add":
            data, constant = self._sides(node)
            if constant is None:
                return None
            cuts.append(Cut(constant, len(self.wiring.weights[constant].dims) - 1, places))
            self.values.add(data)
            node = self.wiring.maker.get(data)
        dense = self.wiring.dense(node) if node is not None else None
        if dense is None or dense.weight.dims[dense.outer] != places.size or not places.size:
            return None
        if not self._alone(dense.node.output[0], reshape):
            return None
        if dense.bias:
            cuts.append(Cut(dense.bias, 0, places))
        self.shapes.append((reshape, -2, 1))
        return [*cuts, Cut(dense.weight.name, dense.outer, places)]

    def _sides(self, add: Any) -> tuple[str, str | None]:
        """The data and the constant vector of an Add."""
        for data, constant in (add.input, reversed(add.input)):
            dims = self.wiring.dims(constant)
            if constant in self.wiring.weights and dims and dims[-1] == int(np.prod(dims)) > 1:
                return data, constant
        return add.input[0], None

    def _heads(self, reshape: Any) -> tuple[int, int]:
        """Heads and their size, as the last two numbers of a shape; 0 where it does not say."""
        numbers = self._numbers(reshape)
        last = [numbers.get(-2, 0), numbers.get(-1, 0)]
        if last[0] == -1 and last[1] > 0:
            value = self.wiring.maker.get(reshape.input[0])
            width = self._width(value)
            last[0] = width // last[1]
        return max(last[0], 0), max(last[1], 0)

    def _width(self, node: Any) -> int:
        """Columns of what a product, perhaps with a bias, makes."""
        while node is not None and node.op_type == "Add":
            node = self.wiring.maker.get(self._sides(node)[0])
        dense = self.wiring.dense(node) if node is not None else None
        return int(dense.weight.dims[dense.outer]) if dense else 0

    def _out(self) -> Dense | None:
        """The matrix that sums the heads up, behind Transpose and Reshape."""
        value = self.product.output[0]
        for kind in ("Transpose", "Reshape"):
            self.values.add(value)
            node = self.wiring.single_reader(value)
            if node is None or node.op_type != kind or node.input[0] != value:
                return None
            value = node.output[0]
        self.values.add(value)
        reader = self.wiring.single_reader(value)
        dense = self.wiring.dense(reader) if reader is not None else None
        if dense is None or dense.data != value:
            return None
        self.shapes.append((node, -1, self._width_of_head()))
        return dense

    def _width_of_head(self) -> int:
        value = self._reach(self.product.input[1], _TO_HEADS, "Reshape")
        return self._heads(value)[1] if value is not None else 0

    def _numbers(self, reshape: Any) -> dict[int, int]:
        """The constant numbers of a shape, counted from its end."""
        return {-1 - place: number for place, (_, _, number) in enumerate(self._places(reshape))}

    def _places(self, reshape: Any) -> Iterator[tuple[int, int, int]]:
        """The numbers of a shape from its end on, up to the first that is computed: in which of its parts each is (a
        Concat has several), where in that part, and the number."""
        parts = self._parts(reshape)
        for part in range(len(parts) - 1, -1, -1):
            constant = self.wiring.constant(parts[part])
            if constant is None:
                return
            numbers = constant.reshape(-1)
            for index in range(len(numbers) - 1, -1, -1):
                yield part, index, int(numbers[index])

    def _parts(self, reshape: Any) -> list[str]:
        shape = self.wiring.maker.get(reshape.input[1])
        return list(shape.input) if shape is not None and shape.op_type == "Concat" else [reshape.input[1]]

    def _resize(self, heads: int) -> None:
        """Give each Reshape a shape of its own: another node may read the old one."""
        graph = self.wiring.graph
        for reshape, place, size in self.shapes:
            found = list(self._places(reshape))
            if -place > len(found) or found[-1 - place][2] == -1:
                continue
            part, index, _ = found[-1 - place]
            parts, name = self._parts(reshape), f"{reshape.output[0]}_shape"
            numbers = self.wiring.constant(parts[part]).reshape(-1).copy()
            numbers[index] = heads * size
            if len(parts) == 1:
                graph.initializer.append(numpy_helper.from_array(numbers, name))
                reshape.input[1] = name
                continue
            parts[part] = f"{name}_{part}"
            graph.initializer.append(numpy_helper.from_array(numbers, parts[part]))
            at = next(number for number, node in enumerate(graph.node) if node.output[0] == reshape.output[0])
            graph.node.insert(at, helper.make_node("Concat", parts, [name], name, axis=0))
            reshape.input[1] = name


def layers(wiring: Wiring) -> Iterator[Layer]:
    """Every attention whose heads can go, in the order of the graph."""
    for node in wiring.graph.node:
        computed = node.op_type == "MatMul" and all(name not in wiring.weights for name in node.input)
        if computed and (layer := Plain(wiring, node).layer()):
            yield layer
