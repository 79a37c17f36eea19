"""A graph without its weights, for what works on graphs alone, and back again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from onnx import TensorProto, helper

from compiler.artifact.graph import graphs
from compiler.artifact.graph.skeleton import EMBEDDED
from compiler.artifact.graph.weights import Source, Target

_VERBATIM = (TensorProto.STRING, TensorProto.INT4, TensorProto.UINT4)
"""Types whose values, unless raw, have another form in the graph than in a file."""


def take_weights_out(model: Any) -> list[str]:
    """Make inputs of the initializers of more than a KiB, in place, and give their names.

    What is left is small however big the model: shape inference and version conversion have protobuf's limit of 2 GB.
    Small initializers stay: they say axes and sizes.
    """
    graph = model.graph
    inputs = {value.name for value in graph.input}
    large = [tensor for tensor in graph.initializer if _is_large(tensor)]
    small = [tensor for tensor in graph.initializer if not _is_large(tensor)]
    del graph.initializer[:]
    graph.initializer.extend(small)
    graph.input.extend(
        helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
        for tensor in large
        if tensor.name not in inputs
    )
    return [tensor.name for tensor in large if tensor.name not in inputs]


def remove_inputs(model: Any, names: list[str]) -> None:
    """Undo what `take_weights_out` did to the inputs."""
    gone = set(names)
    kept = [value for value in model.graph.input if value.name not in gone]
    del model.graph.input[:]
    model.graph.input.extend(kept)


def save(source: Source, model: Any, path: Path) -> None:
    """Write a graph that was made from `source`, piece by piece, with the initializers that it reads.

    Of an initializer that the graph itself has, that is taken; of all others, the source's, unchanged.
    """
    target = Target(path)
    used = graphs.names_read(model.graph)
    own = {tensor.name: tensor for tensor in model.graph.initializer}
    names = [name for name in {**source.tensors, **own} if name in used]
    kept = [_kept(source, target, own.get(name, source.tensors.get(name))) for name in names]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    for graph in graphs.all_graphs(model.graph):
        for tensor in graph.initializer if graph is not model.graph else ():
            tensor.CopyFrom(_kept(source, target, tensor))
    target.finish(model)


def _kept(source: Source, target: Target, tensor: Any) -> Any:
    outside = tensor.data_location == TensorProto.EXTERNAL
    if not outside and not tensor.raw_data and tensor.data_type in _VERBATIM:
        return tensor
    return target.copy(source, tensor)


def _is_large(tensor: Any) -> bool:
    return tensor.data_location == TensorProto.EXTERNAL or graphs.tensor_bytes(tensor) > EMBEDDED
