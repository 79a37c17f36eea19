"""A graph with its products and lookups replaced by those of quantized weights."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from onnx import helper

from compiler.artifact.graph import graphs
from compiler.artifact.steps.quantization.blockwise.scheme import Scheme
from compiler.artifact.steps.quantization.matrices import Lookup, Product

DOMAIN = "com.microsoft"
"""Of onnxruntime's own operators."""


def replace_product(found: Product, tensors: list[Any], scheme: Scheme, accuracy_level: int) -> None:
    """Multiply with quantized weights; `tensors` are their values, scales and perhaps zero points."""
    node = found.node
    level: dict[str, Any] = {"accuracy_level": accuracy_level} if accuracy_level else {}
    output, name, added = node.output[0], node.name, found.bias
    made = helper.make_node(
        "MatMulNBits",
        [node.input[0], *(tensor.name for tensor in tensors)],
        [f"{output}_product" if added else output],
        name=f"{name}_Q{scheme.bits}" if name else "",
        domain=DOMAIN,
        K=found.matrix.depth,
        N=found.matrix.columns,
        bits=scheme.bits,
        block_size=scheme.block_size,
        **level,
    )
    if added:
        place = next(number for number, other in enumerate(found.graph.node) if other is node)
        found.graph.node.insert(place + 1, helper.make_node("Add", [made.output[0], added], [output], name=name))
    node.CopyFrom(made)


def replace_lookup(found: Lookup, tensors: list[Any], scheme: Scheme) -> None:
    """Look up in quantized rows; onnxruntime's CPU provider has this for 8 bits since 1.22."""
    node = found.node
    made = helper.make_node(
        "GatherBlockQuantized",
        [tensors[0].name, node.input[1], *(tensor.name for tensor in tensors[1:])],
        list(node.output),
        name=node.name,
        domain=DOMAIN,
        bits=scheme.bits,
        block_size=scheme.block_size,
        gather_axis=0,
        quantize_axis=1,
    )
    node.CopyFrom(made)


def drop_idle_transposes(model: Any) -> None:
    """Those of weights that are read in another form now."""
    read = graphs.names_read(model.graph)
    for graph in graphs.all_graphs(model.graph):
        constants = {tensor.name for tensor in graph.initializer}
        for node in [node for node in graph.node if node.op_type == "Transpose" and node.input[0] in constants]:
            if node.output[0] not in read:
                graph.node.remove(node)


def set_initializers(graph: Any, tensors: Iterable[Any]) -> None:
    """Give a graph these initializers; those that went are no inputs any more, either."""
    kept = list(tensors)
    gone = {tensor.name for tensor in graph.initializer} - {tensor.name for tensor in kept}
    inputs = [value for value in graph.input if value.name not in gone]
    if len(inputs) < len(graph.input):
        del graph.input[:]
        graph.input.extend(inputs)
    del graph.initializer[:]
    graph.initializer.extend(kept)
