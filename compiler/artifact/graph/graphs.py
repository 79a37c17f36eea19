"""ONNX graphs on the disk: read, strip of what says where they were made, write."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
from onnx import external_data_helper, helper

from compiler.base import files

LARGEST_SINGLE_FILE = 16 * 2**20
"""Bytes of weights up to which a graph is one file: larger weights can then be mapped, and are never parsed."""


def data_file(model: Path) -> Path:
    return model.with_name(f"{model.name}.data")


def load(model: Path, *, weights: bool = True) -> Any:
    """The ModelProto; without `weights`, external data stays on the disk."""
    return onnx.load(str(model), load_external_data=weights)


def save(model: Any, path: Path) -> None:
    """Write a model whose weights are in memory; when they are large, into a file beside the graph."""
    if weight_bytes(model) > LARGEST_SINGLE_FILE:
        data = data_file(path)
        external_data_helper.convert_model_to_external_data(model, location=data.name)
        with files.refusals(data):
            external_data_helper.write_external_data_tensors(model, str(path.parent))
    write(model, path)


def write(model: Any, path: Path) -> None:
    """Write a graph without places, names and notes of the machine that made it."""
    _strip(model)
    files.write(path, model.SerializeToString(deterministic=True))


def all_graphs(graph: Any) -> Iterator[Any]:
    """The graph and the graphs inside its nodes."""
    yield graph
    for node in graph.node:
        for inner in inner_graphs(node):
            yield from all_graphs(inner)


def inner_graphs(node: Any) -> Iterator[Any]:
    """The graphs that a node holds, such as the branches of an If."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def operators(model: Any) -> Counter[str]:
    """How many nodes there are of each operator."""
    return Counter(node.op_type for graph in all_graphs(model.graph) for node in graph.node)


def tensors(model: Any) -> Iterator[Any]:
    for graph in all_graphs(model.graph):
        yield from graph.initializer


def other_tensors(model: Any) -> Iterator[tuple[Any, str]]:
    """The tensors that are no initializers, with words for each: constants in nodes, parts of sparse initializers."""
    for graph in (*all_graphs(model.graph), *(inner for function in model.functions for inner in all_graphs(function))):
        for node in graph.node:
            for attribute in node.attribute:
                for tensor in (attribute.t, *attribute.tensors, *_parts(attribute.sparse_tensor)):
                    yield tensor, f"Attribute `{attribute.name}` of node `{node.name or next(iter(node.output), '')}`"
    for graph in all_graphs(model.graph):
        for sparse in graph.sparse_initializer:
            for tensor in _parts(sparse):
                yield tensor, f"Sparse initializer `{sparse.values.name}`"


def _parts(sparse: Any) -> tuple[Any, Any]:
    return sparse.values, sparse.indices


def elements(tensor: Any) -> int:
    count = 1
    for size in tensor.dims:
        count *= size
    return count


def tensor_bytes(tensor: Any) -> int:
    """Bytes of a tensor's content; two 4-bit elements share a byte."""
    if tensor.data_type in (onnx.TensorProto.INT4, onnx.TensorProto.UINT4):
        return (elements(tensor) + 1) // 2
    return int(elements(tensor) * helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize)


def weight_bytes(model: Any) -> int:
    """Bytes of the weights in memory: onnxruntime makes sparse tensors dense when it loads them."""
    sparse = [tensor for graph in all_graphs(model.graph) for tensor in graph.sparse_initializer]
    whole = [onnx.TensorProto(data_type=tensor.values.data_type, dims=tensor.dims) for tensor in sparse]
    return sum(tensor_bytes(tensor) for tensor in (*tensors(model), *whole))


def drop_unused(model: Any) -> None:
    """Remove initializers that no node reads: some quantizers leave the old weights behind."""
    used = names_read(model.graph)
    kept = [tensor for tensor in model.graph.initializer if tensor.name in used]
    if len(kept) < len(model.graph.initializer):
        del model.graph.initializer[:]
        model.graph.initializer.extend(kept)


def names_read(graph: Any) -> set[str]:
    """The values that some node reads, or that are outputs."""
    nodes = {name for inner in all_graphs(graph) for node in inner.node for name in node.input}
    return nodes | {output.name for inner in all_graphs(graph) for output in inner.output}


def value_names(graph: Any) -> set[str]:
    """Of all values and initializers, but for those of graphs inside nodes."""
    found = {value.name for value in (*graph.input, *graph.output, *graph.initializer)}
    for node in graph.node:
        found.update(node.input)
        found.update(node.output)
    return found


def unused_name(wanted: str, taken: set[str]) -> str:
    """`wanted`, or with a number behind it; then taken."""
    name, number = wanted, 1
    while name in taken:
        name, number = f"{wanted}_{number}", number + 1
    taken.add(name)
    return name


def import_domain(model: Any, domain: str) -> None:
    """Let the graph use operators of `domain`, version 1."""
    if all(entry.domain != domain for entry in model.opset_import):
        model.opset_import.add(domain=domain, version=1)


def _strip(model: Any) -> None:
    for holder in (model, model.graph):
        del holder.metadata_props[:]
        holder.doc_string = ""
    model.producer_name = "slmc"
    model.producer_version = ""
    for graph in all_graphs(model.graph):
        for node in graph.node:
            del node.metadata_props[:]
            node.doc_string = ""
        for tensor in graph.initializer:
            tensor.doc_string = ""
        for value in (*graph.input, *graph.output, *graph.value_info):
            del value.metadata_props[:]
            value.doc_string = ""
