"""`extract`: the part of a graph between named values.

Size and speed: what the rest took is saved. Quality: that of the part. What it is for: an encoder without its pooling,
a model without a head that a device does not use.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compiler.artifact.steps.step import Bench, Effect, Refused, Remark, listed

VERSION = 1
REPRODUCIBLE = True
SUFFIX = ".onnx"


@dataclass(frozen=True, slots=True)
class Configuration:
    inputs: Sequence[str]
    outputs: Sequence[str]


def apply(source: Path, target: Path, configuration: Configuration, bench: Bench) -> Effect:
    """Keep the nodes on the way from the inputs to the outputs, and the weights that these read.

    The semantics are those of `onnx.utils.Extractor`, with values that graphs inside nodes read from around them.
    Raises Refused for names that the graph does not have, an output that needs something else than the inputs, and a
    part without a node.
    """
    from compiler.artifact.graph import outline
    from compiler.artifact.graph.weights import Source

    with Source(source) as weights:
        model = weights.model
        before = len(model.graph.node)
        unchanged = [[value.name for value in values] for values in (model.graph.input, model.graph.output)]
        _check_names(model.graph, configuration)
        kept, unused = _reached(model.graph, weights.tensors, configuration)
        _reduce(model, kept, configuration)
        outline.save(weights, model, target)
    changed = len(kept) < before or [list(configuration.inputs), list(configuration.outputs)] != unchanged
    remarks = (Remark(f"no output needs input {listed(unused)}; it is an input all the same."),) if unused else ()
    return Effect(changed, remarks, {"nodes": {"before": before, "after": len(kept)}})


def _check_names(graph: Any, configuration: Configuration) -> None:
    values = {value.name for value in graph.input} | {name for node in graph.node for name in node.output if name}
    weights = {tensor.name for tensor in graph.initializer}
    named = [(f"inputs.{number}", name) for number, name in enumerate(configuration.inputs)]
    named += [(f"outputs.{number}", name) for number, name in enumerate(configuration.outputs)]
    for at, name in named:
        if name in weights:
            why = f"`{name}` is a weight; inputs and outputs are values that the graph computes or is fed."
            raise Refused(why, parameter=at)
        if name not in values:
            near = difflib.get_close_matches(name, sorted(values), n=3)
            why = f"the graph has no value `{name}`{f'; {listed(near)} is near' if near else ''}."
            raise Refused(why, parameter=at)


def _reached(graph: Any, weights: Mapping[str, Any], configuration: Configuration) -> tuple[list[Any], list[str]]:
    """The nodes that the outputs need, in the graph's order, and the inputs that they do not. Raises Refused."""
    made_by = {name: number for number, node in enumerate(graph.node) for name in node.output if name}
    inputs = set(configuration.inputs)
    found: set[int] = set()
    read: set[str] = set()
    for output in configuration.outputs:
        open_names = [output]
        while open_names:
            name = open_names.pop()
            if name in read or not name:
                continue
            read.add(name)
            if name in inputs or name in weights:
                continue
            if name not in made_by:
                raise Refused(f"output `{output}` needs `{name}`, which is not among the inputs.")
            found.add(made_by[name])
            open_names += _reads(graph.node[made_by[name]])
    if not found:
        raise Refused(f"there is no node between {listed(configuration.inputs)} and {listed(configuration.outputs)}.")
    return [graph.node[number] for number in sorted(found)], [name for name in configuration.inputs if name not in read]


def _reads(node: Any) -> list[str]:
    """The values of the graph around it that a node reads, also inside its own graphs."""
    from compiler.artifact.graph import graphs

    names = list(node.input)
    for inner in graphs.inner_graphs(node):
        own = {tensor.name for graph in graphs.all_graphs(inner) for tensor in graph.initializer}
        own |= {value.name for graph in graphs.all_graphs(inner) for value in graph.input}
        own |= {name for graph in graphs.all_graphs(inner) for node in graph.node for name in node.output}
        names += sorted(graphs.names_read(inner) - own)
    return names


def _reduce(model: Any, nodes: list[Any], configuration: Configuration) -> None:
    """Make `model` the part of itself that consists of `nodes`. Raises Refused for an input of unknown type."""
    from compiler.artifact.graph import graphs

    types = _types(model, [*configuration.inputs, *configuration.outputs])
    if unknown := [name for name in configuration.inputs if name not in types]:
        raise Refused(f"the type of {listed(unknown)} is not known, so it cannot be an input.")
    graph = model.graph
    del graph.node[:]
    graph.node.extend(nodes)
    named = {name for node in graph.node for name in (*node.input, *node.output)}
    edges = {*configuration.inputs, *configuration.outputs}
    between = [value for value in graph.value_info if value.name in named - edges]
    for values, names in ((graph.input, configuration.inputs), (graph.output, configuration.outputs)):
        del values[:]
        for name in names:
            values.add(name=name)
            if name in types:
                values[-1].CopyFrom(types[name])
    del graph.value_info[:]
    graph.value_info.extend(between)
    graphs.drop_unused(model)


def _types(model: Any, names: Sequence[str]) -> dict[str, Any]:
    """What the graph says of the named values; else what onnx infers; else onnxruntime, which knows its operators."""
    from onnx import ModelProto, shape_inference

    from compiler.artifact.graph import outline

    found = _typed([*model.graph.input, *model.graph.output, *model.graph.value_info], names)
    if all(name in found for name in names):
        return found
    bare = ModelProto()
    bare.CopyFrom(model)
    outline.take_weights_out(bare)
    inferred = shape_inference.infer_shapes(bare, data_prop=True)
    found = _typed(inferred.graph.value_info, names) | found
    return _runtime_types(bare, [name for name in names if name not in found]) | found


def _typed(values: Iterable[Any], names: Sequence[str]) -> dict[str, Any]:
    wanted = set(names)
    return {value.name: value for value in values if value.name in wanted and value.type.tensor_type.elem_type}


def _runtime_types(bare: Any, names: Sequence[str]) -> dict[str, Any]:
    from onnx import TensorProto, helper

    from compiler.artifact.inference import runtime

    if not names:
        return {}
    shown = {output.name for output in bare.graph.output}
    for name in names:
        if name not in shown:
            bare.graph.output.add(name=name)
    try:
        found = runtime.output_types(bare.SerializeToString())
    except Exception:
        return {}  # Some kernels want their weights constant. What is not known is said by the caller.
    kinds = {"float": TensorProto.FLOAT, "double": TensorProto.DOUBLE}
    made = {}
    for name in names:
        kind = found[name][0].removeprefix("tensor(").removesuffix(")")
        element = kinds.get(kind) or TensorProto.DataType.Value(kind.upper())
        made[name] = helper.make_tensor_value_info(name, element, found[name][1])
    return made
