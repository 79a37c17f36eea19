"""The element types of all values of a graph, from the operators' schemas alone.

onnx's shape inference stops at the first operator that it does not know, which in the graphs of language models is a
layer normalization at the beginning. Element types take less: most operators give what they get.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from onnx import TensorProto, defs, helper

_FIXED: dict[str, int] = {
    f"tensor({name})": getattr(TensorProto, kind)
    for name, kind in (
        ("float", "FLOAT"),
        ("double", "DOUBLE"),
        ("float16", "FLOAT16"),
        ("int64", "INT64"),
        ("int32", "INT32"),
        ("uint8", "UINT8"),
        ("int8", "INT8"),
        ("bool", "BOOL"),
        ("string", "STRING"),
    )
}
_FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE)
_STANDARD = ("", "ai.onnx")


class Schemas:
    """The operators of a model's opset, as onnx knows them."""

    def __init__(self, model: Any) -> None:
        self._versions = {
            "" if entry.domain in _STANDARD else entry.domain: entry.version for entry in model.opset_import
        }

    def of(self, node: Any) -> Any:
        """The schema of a node's operator; None for operators of others, such as onnxruntime's."""
        domain = "" if node.domain in _STANDARD else node.domain
        try:
            return defs.get_schema(node.op_type, self._versions.get(domain, 1), domain)
        except defs.SchemaError:
            return None


def formal(parameters: Any, number: int) -> str:
    """The type that a schema gives an input or output: `tensor(float)`, or a variable such as `T`."""
    if not parameters:
        return ""
    return str(parameters[min(number, len(parameters) - 1)].type_str)


def infer(model: Any, schemas: Schemas) -> dict[str, int]:
    """Value → element type, as far as it is known, for the outer graph."""
    graph = model.graph
    types = {tensor.name: tensor.data_type for tensor in graph.initializer}
    types |= {value.name: value.type.tensor_type.elem_type for value in graph.input}
    for node in graph.node:
        for number, name in enumerate(node.output):
            if name and (found := _output(node, number, schemas.of(node), types)):
                types[name] = found
    return types


def _output(node: Any, number: int, schema: Any, types: Mapping[str, int]) -> int:
    """0 when it is not known."""
    attributes = {entry.name: entry for entry in node.attribute}
    if node.op_type == "Constant" and attributes:
        return _constant(next(iter(attributes.values())))
    if node.op_type == "Cast":
        return int(attributes["to"].i)
    if node.op_type == "ConstantOfShape":
        return int(attributes["value"].t.data_type) if "value" in attributes else int(TensorProto.FLOAT)
    if "dtype" in attributes:
        return int(attributes["dtype"].i)
    if schema is None:
        return next((types[name] for name in node.input if types.get(name) in _FLOATS), 0)
    wanted = formal(schema.outputs, number)
    for place, name in enumerate(node.input):
        if name in types and formal(schema.inputs, place) == wanted:
            return types[name]
    return _FIXED.get(wanted, int(TensorProto.FLOAT) if node.op_type.startswith("Random") else 0)


def _constant(attribute: Any) -> int:
    kinds = {"value_float": TensorProto.FLOAT, "value_floats": TensorProto.FLOAT, "value": attribute.t.data_type}
    return int(kinds.get(attribute.name, TensorProto.INT64))


def allows_half(schema: Any, variable: str) -> bool:
    """Whether a type variable of an operator may stand for float16."""
    for constraint in schema.type_constraints:
        if constraint.type_param_str == variable:
            return "tensor(float16)" in constraint.allowed_type_strs
    return variable == "tensor(float16)"


def cast(value: str, output: str, kind: int) -> Any:
    return helper.make_node("Cast", [value], [output], name=f"/{output}/Cast", to=kind)
