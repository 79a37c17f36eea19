"""Operators that a graph must not have: those that onnxruntime lacks, and those that it writes for one processor."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from onnx import TensorProto

from compiler.artifact.configuration import Unusable
from compiler.artifact.graph import graphs

_ONE_PROCESSOR = {"com.microsoft.nchwc", "com.ms.internal.nhwc"}
"""Domains whose operators take tensors in blocks as wide as the vectors of the processor that optimized the graph."""

_REORDERING = {"ReorderInput", "ReorderOutput", "NhwcFusedConv", "NhwcMaxPool"}

_HALF = (TensorProto.FLOAT16, TensorProto.BFLOAT16)

_CAST = "Inserted"
"""What the names of the Cast nodes begin with that onnxruntime adds where a processor has no kernel for 16 bits."""


def custom_operators(model: Any) -> Iterator[Unusable]:
    """The operators that are neither onnxruntime's nor functions of the model itself; each once."""
    from compiler.artifact.inference import runtime

    known = runtime.operators() | {(_domain(function), function.name) for function in model.functions}
    seen = set()
    for node in _nodes(model):
        operator = (_domain(node), node.op_type)
        if operator not in known and operator not in seen:
            seen.add(operator)
            yield Unusable(
                "CUSTOM_OPERATOR",
                f"Node {named(node)} is operator `{node.op_type}` of domain `{operator[0] or 'ai.onnx'}`, which "
                "onnxruntime does not have.",
            )


def for_one_processor(model: Any) -> Any | None:
    """The first node whose operator, or whose place in the graph, is due to the processor that optimized it."""
    return next(
        (
            node
            for node in _nodes(model)
            if node.domain in _ONE_PROCESSOR
            or node.op_type in _REORDERING
            or (node.op_type == "Cast" and node.name.startswith(_CAST))
        ),
        None,
    )


def half_node(model: Any) -> Any | None:
    """The first node that computes on 16-bit weights or inputs, and not only casts them."""
    half = {tensor.name for tensor in graphs.tensors(model) if tensor.data_type in _HALF}
    half |= {value.name for value in model.graph.input if value.type.tensor_type.elem_type in _HALF}
    return next((node for node in _nodes(model) if node.op_type != "Cast" and half.intersection(node.input)), None)


def named(node: Any) -> str:
    """How a message calls a node: exporters may leave it without a name."""
    return f"`{node.name}`" if node.name else f"that gives `{next(iter(node.output), '')}`"


def _nodes(model: Any) -> Iterator[Any]:
    for graph in graphs.all_graphs(model.graph):
        yield from graph.node
    for function in model.functions:
        for graph in graphs.all_graphs(function):
            yield from graph.node


def _domain(of: Any) -> str:
    return "" if of.domain == "ai.onnx" else str(of.domain)
