"""Which values of a graph become float16, and the casts where they meet float32.

Every value that its operator lets be float16 becomes so, but for arithmetic with positions and masks: what comes of
integers (token positions, of which float16 knows none beyond 2,048 exactly, rotary angles, masks) stays float32 until
it meets an activation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from onnx import TensorProto, numpy_helper

from compiler.artifact.refused import Refused
from compiler.artifact.steps.half.element_types import Schemas, allows_half, cast, formal, infer

_FLOAT, _HALF = TensorProto.FLOAT, TensorProto.FLOAT16

_FLOAT_ONLY = frozenset({"DynamicQuantizeMatMul", "DynamicQuantizeLSTM", "QEmbedLayerNormalization", "QLinearSigmoid"})
"""onnxruntime's own operators that have no float16."""


@dataclass(slots=True)
class Narrowed:
    """A graph's new nodes, and what its float32 initializers have to be: float16, float32 or, by two names, both."""

    nodes: list[Any] = field(default_factory=list)
    wanted: dict[str, set[int]] = field(default_factory=dict)
    kept: list[str] = field(default_factory=list)
    """Operators that stay float32 because they have no float16."""
    masks: set[str] = field(default_factory=set)
    """Initializers that only arithmetic with positions and masks reads."""


def half_name(name: str) -> str:
    """Of the float16 form of an initializer that is needed in both."""
    return f"{name}_fp16"


def narrow(model: Any, keep_io: bool) -> Narrowed:
    """Change the graph of `model` in place, except for its initializers. Raises Refused."""
    _check(model)
    _hoist_constants(model.graph)
    work = _Work(model, keep_io)
    for node in model.graph.node:
        work.take(node)
    work.finish()
    return work.made


def _check(model: Any) -> None:
    if model.functions:
        raise Refused(f"Function `{model.functions[0].name}` of the model cannot be looked into.")
    for node in model.graph.node:
        if any(entry.HasField("g") or entry.graphs for entry in node.attribute):
            raise Refused(f"Node `{node.name or node.output[0]}` ({node.op_type}) has graphs of its own.")


def _hoist_constants(graph: Any) -> None:
    """Make initializers of float32 constants in nodes: then there is one kind of constant."""
    for node in [node for node in graph.node if node.op_type == "Constant"]:
        value = next((entry.t for entry in node.attribute if entry.name == "value"), None)
        if value is not None and value.data_type == _FLOAT:
            tensor = numpy_helper.from_array(numpy_helper.to_array(value), node.output[0])
            graph.initializer.append(tensor)
            graph.node.remove(node)


class _Work:
    def __init__(self, model: Any, keep_io: bool) -> None:
        self.graph, self.keep_io = model.graph, keep_io
        self.schemas = Schemas(model)
        self.types = infer(model, self.schemas)
        self.constants = {tensor.name for tensor in model.graph.initializer if tensor.data_type == _FLOAT}
        self.is_now: dict[str, int] = {}
        """What a value that was float32 is in the new graph."""
        self.exact: set[str] = set()
        """Values that come of integers."""
        self.cast: dict[tuple[str, int], str] = {}
        self.readers: dict[str, list[bool]] = {}
        self.outputs = {value.name for value in model.graph.output}
        self.made = Narrowed()
        for value in [value for value in model.graph.input if value.name in self.constants]:
            model.graph.input.remove(value)
        for value in model.graph.input:
            if self.types.get(value.name) == _FLOAT:
                self.is_now[value.name] = _FLOAT if keep_io else _HALF
                if not keep_io:
                    value.type.tensor_type.elem_type = _HALF

    def take(self, node: Any) -> None:
        """Add the node, after the casts that it needs."""
        schema, exact = self.schemas.of(node), self._is_exact(node)
        for number, name in enumerate(node.input):
            if self.types.get(name) == _FLOAT:
                wanted = _FLOAT if exact else self._type(node, schema, schema and formal(schema.inputs, number))
                if name in self.constants:
                    self.readers.setdefault(name, []).append(exact)
                node.input[number] = self._as(name, wanted)
        for number, name in enumerate(node.output):
            if self.types.get(name) == _FLOAT:
                self.is_now[name] = (
                    _FLOAT if exact else self._type(node, schema, schema and formal(schema.outputs, number), name)
                )
                if exact:
                    self.exact.add(name)
        self.made.nodes.append(node)

    def finish(self) -> None:
        """Casts at the outputs, and the types of what is known of values."""
        for value in self.graph.output:
            now = self.is_now.get(value.name)
            wanted = _FLOAT if self.keep_io else _HALF
            if now is not None and now != wanted:
                self._cast_output(value.name, wanted)
            if now is not None:
                value.type.tensor_type.elem_type = wanted
        known = [value for value in self.graph.value_info if self.types.get(value.name) != _FLOAT]
        del self.graph.value_info[:]
        self.graph.value_info.extend(known)
        self.made.masks = {name for name, exact in self.readers.items() if all(exact)}
        for name in self.outputs & self.constants:
            self.made.wanted.setdefault(name, set()).add(_FLOAT)

    def _type(self, node: Any, schema: Any, variable: str | None, output: str | None = None) -> int:
        """What a float32 input or output of a node becomes."""
        if schema is None:
            half = node.op_type not in _FLOAT_ONLY
        elif node.op_type in ("Cast", "ConstantOfShape") and output:
            half = True
            self._set_type(node)
        else:
            half = bool(variable) and allows_half(schema, str(variable))
        if not half and node.op_type not in self.made.kept:
            self.made.kept.append(node.op_type)
        return _HALF if half else _FLOAT

    def _set_type(self, node: Any) -> None:
        """Let a node whose attribute says the type of its output give float16."""
        for entry in node.attribute:
            if entry.name == "to":
                entry.i = _HALF
            elif entry.name == "value":
                values = numpy_helper.to_array(entry.t)
                entry.t.CopyFrom(numpy_helper.from_array(values.clip(-65504, 65504).astype("float16")))
                return
        if node.op_type == "ConstantOfShape":
            zero = node.attribute.add(name="value", type=4)
            zero.t.CopyFrom(TensorProto(data_type=_HALF, dims=[1], raw_data=b"\0\0"))

    def _is_exact(self, node: Any) -> bool:
        """Whether a node computes with positions or masks: from integers, or from what came of them and constants."""
        if node.op_type == "Cast":
            given = self.types.get(node.input[0])
            return node.input[0] in self.exact or given not in (None, _FLOAT, _HALF, TensorProto.DOUBLE)
        floats = [name for name in node.input if self.types.get(name) == _FLOAT and name not in self.constants]
        return bool(floats) and self.exact.issuperset(floats)

    def _as(self, name: str, wanted: int) -> str:
        """The name under which a float32 value of the old graph is of type `wanted`."""
        if name in self.constants:
            self.made.wanted.setdefault(name, set()).add(wanted)
            return half_name(name) if wanted == _HALF else name
        if self.is_now.get(name, _FLOAT) == wanted:
            return name
        if (name, wanted) not in self.cast:
            made = f"{name}_{'fp16' if wanted == _HALF else 'fp32'}"
            self.made.nodes.append(cast(name, made, wanted))
            self.cast[name, wanted] = made
        return self.cast[name, wanted]

    def _cast_output(self, name: str, wanted: int) -> None:
        """Give an output its type by a cast at the end; inside the graph the value gets another name."""
        inner = f"{name}_inner"
        for node in self.made.nodes:
            for names in (node.input, node.output):
                for number, other in enumerate(names):
                    if other == name:
                        names[number] = inner
        self.made.nodes.append(cast(inner, name, wanted))


def initializer_names(wanted: Mapping[str, set[int]]) -> dict[str, str]:
    """The names of float16 initializers: their own where no float32 form is needed beside them."""
    return {half_name(name): name for name, kinds in wanted.items() if kinds == {_HALF}}
