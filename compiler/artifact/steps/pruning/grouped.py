"""Heads of decoders as onnxruntime-genai's builder writes them: one GroupQueryAttention node a layer.

Query heads that share a key and value head go together with it: the operator wants groups of one size.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnx import helper

from compiler.artifact.graph.wiring import Dense, Wiring, attribute, label, set_attribute
from compiler.artifact.steps.pruning.structure import Cut, Layer
from compiler.artifact.steps.step import Refused

OPERATOR = "GroupQueryAttention"

_QUERY, _KEY, _VALUE, _PAST, _SINK = 0, 1, 2, (3, 4), 11
_UNDERSTOOD = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11}
"""Inputs: not a bias for each head, nor scales of a quantized cache."""


@dataclass(slots=True)
class Grouped:
    """One node and what is around it."""

    wiring: Wiring
    node: Any
    size: int = 0
    """Of a head."""
    values: set[str] = field(default_factory=set)
    cuts: list[Cut] = field(default_factory=list)
    rotations: list[tuple[Any, int]] = field(default_factory=list)
    """Nodes beside this one that know a number of heads: so many for each unit."""

    @property
    def queries(self) -> int:
        """Query heads in a group."""
        return int(attribute(self.node, "num_heads", 0)) // self.groups

    @property
    def groups(self) -> int:
        return int(attribute(self.node, "kv_num_heads", 0))

    def layer(self) -> Layer:
        """Raises Refused where something stands in the way, and names it."""
        for number, name in enumerate(self.node.input):
            if name and number not in _UNDERSTOOD:
                raise Refused(f"`{label(self.node)}` has an input `{name}`, which heads cannot be taken out of.")
        self.size = self._head_size()
        value = self._projections()
        out = self._output()
        if self.node.input[_SINK : _SINK + 1] and (sink := self.node.input[_SINK]):
            self.cuts.append(self._vector(sink, self._places(self.queries, 1, 0)))
        return Layer(
            name=label(self.node),
            units=self.groups,
            cuts=(*self.cuts, out),
            into=(value,),
            out_of=(out,),
            values=frozenset(self.values),
            resize=self._resize,
        )

    def _head_size(self) -> int:
        query = self._matrix(self.node.input[_QUERY])
        heads = self.groups * self.queries + (0 if self.node.input[_KEY] else 2 * self.groups)
        return int(query.weight.dims[query.outer]) // heads

    def _projections(self) -> Cut:
        """Cut what makes queries, keys and values; gives where the values' columns are."""
        size, query = self.size, self.node.input[_QUERY]
        if self.node.input[_KEY]:
            self._project(query, self._places(self.queries, size, 0), self.queries)
            self._project(self.node.input[_KEY], self._places(1, size, 0), 1)
            return self._project(self.node.input[_VALUE], self._places(1, size, 0), 0)
        keys = self.groups * self.queries * size
        values = self._places(1, size, keys + self.groups * size)
        parts = [self._places(self.queries, size, 0), self._places(1, size, keys), values]
        packed = self._project(query, np.concatenate(parts, axis=1), 0)
        return Cut(packed.tensor, packed.axis, values)

    def _project(self, value: str, places: Any, rotated: int) -> Cut:
        """Cut the matrix behind a value and the vectors added on the way."""
        dense = self._matrix(value)
        if dense.weight.dims[dense.outer] != places.size:
            raise Refused(f"`{dense.weight.name}` has not the columns that the heads of `{label(self.node)}` need.")
        while self.wiring.maker[value] is not dense.node:
            node = self.wiring.maker[value]
            self.values.add(value)
            if node.op_type == "RotaryEmbedding" and attribute(node, "num_heads", 0):
                self.rotations.append((node, rotated))
            if node.op_type == "Add":
                self.cuts.append(self._vector(next(n for n in node.input if self.wiring.dims(n)), places))
            value = self._before(node)
        self.values.add(value)
        if dense.bias:
            self.cuts.append(self._vector(dense.bias, places))
        cut = Cut(dense.weight.name, dense.outer, places)
        self.cuts.append(cut)
        return cut

    def _matrix(self, value: str) -> Dense:
        """The product behind a value."""
        node = self.wiring.maker.get(value)
        while node is not None and (dense := self.wiring.dense(node)) is None:
            node = self.wiring.maker.get(self._before(node))
        if node is None or dense is None:
            raise Refused(f"Before `{label(self.node)}` there is no MatMul with a constant float matrix.")
        return dense

    def _before(self, node: Any) -> str:
        """The data that a node changes one by one or turns; norms and reshapes of heads are not understood."""
        if node.op_type in ("RotaryEmbedding", "Cast", "Identity"):
            return str(node.input[0])
        if node.op_type == "Add":
            data = [name for name in node.input if self.wiring.dims(name) is None]
            if len(data) == 1:
                return str(data[0])
        raise Refused(
            f"`{label(node)}` ({node.op_type}) stands between `{label(self.node)}` and its MatMul with a constant "
            "float matrix."
        )

    def _vector(self, name: str, places: Any) -> Cut:
        dims = self.wiring.dims(name)
        if name not in self.wiring.weights or not dims or dims[-1] != places.size or int(np.prod(dims)) != places.size:
            raise Refused(f"`{name}`, at or before `{label(self.node)}`, is no constant vector of its heads.")
        return Cut(name, len(dims) - 1, places)

    def _output(self) -> Cut:
        value = self.node.output[0]
        reader = self.wiring.single_reader(value)
        dense = self.wiring.dense(reader) if reader is not None else None
        places = self._places(self.queries, self.size, 0)
        if dense is None or dense.data != value or dense.weight.dims[dense.inner] != places.size:
            raise Refused(f"What `{label(self.node)}` gives does not go into one MatMul with a constant float matrix.")
        self.values.add(value)
        return Cut(dense.weight.name, dense.inner, places)

    def _places(self, heads: int, size: int, at: int) -> Any:
        """Groups × (heads × size): where the groups lie, from `at` on."""
        return at + np.arange(self.groups * heads * size).reshape(self.groups, heads * size)

    def _resize(self, groups: int) -> None:
        caches = {self.node.input[number] for number in _PAST} | set(self.node.output[1:3])
        for value in (*self.wiring.graph.input, *self.wiring.graph.output, *self.wiring.graph.value_info):
            sizes = value.type.tensor_type.shape.dim
            if value.name in caches and value.name and len(sizes) == 4 and sizes[1].HasField("dim_value"):
                sizes[1].dim_value = groups
        set_attribute(self.node, "num_heads", groups * self.queries)
        set_attribute(self.node, "kv_num_heads", groups)
        for node, heads in self.rotations:
            set_attribute(node, "num_heads", groups * heads)

    def cache_bytes(self, groups: int) -> int:
        """Bytes of a token in the caches of this layer, with so many groups of the size they had in `layer`."""
        kinds = {value.name: value.type.tensor_type.elem_type for value in self.wiring.graph.input}
        widths = [
            helper.tensor_dtype_to_np_dtype(kinds[self.node.input[number]]).itemsize
            for number in _PAST
            if self.node.input[number] in kinds
        ]
        return int(groups * self.size * sum(widths))
