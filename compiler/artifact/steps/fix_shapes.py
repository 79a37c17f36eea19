"""`fix-shapes`: symbolic dimensions get a number.

Size, speed and quality on ONNX Runtime's CPU kernels: unchanged, apart from what a later `optimize` can fold when sizes
are known. What it is for: NPUs and compilers that take static shapes only. The model then takes inputs of these sizes
and no others: texts are padded to them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compiler.artifact.steps.step import Bench, Effect, Refused, Remark, listed

VERSION = 1
REPRODUCIBLE = True
SUFFIX = ".onnx"

_CACHE = "past_key_values."


@dataclass(frozen=True, slots=True)
class Configuration:
    dimensions: Mapping[str, int]


def apply(source: Path, target: Path, configuration: Configuration, bench: Bench) -> Effect:
    """Put the numbers wherever the names stand, and check with ONNX's shape inference that they agree.

    The weights are copied as they are. Raises Refused for a name that no input or output has, for numbers that
    contradict the graph, and for those that a text generator cannot run with.
    """
    from compiler.artifact.graph import graphs, outline
    from compiler.artifact.graph.weights import Source

    with Source(source) as weights:
        model = weights.model
        known = _names([*model.graph.input, *model.graph.output])
        if unknown := [name for name in configuration.dimensions if name not in known]:
            has = f"it has {listed(known)}" if known else "all of its dimensions are fixed or have no name"
            raise Refused(f"no input or output has a dimension {listed(unknown)}; {has}.", parameter="dimensions")
        _check_generator(model.graph, configuration.dimensions)
        for graph in graphs.all_graphs(model.graph):
            for dimension in _dimensions([*graph.input, *graph.output, *graph.value_info]):
                if dimension.dim_param in configuration.dimensions:
                    dimension.dim_value = configuration.dimensions[dimension.dim_param]
        added = outline.take_weights_out(model)
        _infer_outputs(model)
        outline.remove_inputs(model, added)
        outline.save(weights, model, target)
    return Effect(True, tuple(_left(model.graph.input)), {"dimensions": dict(configuration.dimensions)})


def _check_generator(graph: Any, numbers: Mapping[str, int]) -> None:
    """Raise Refused for a number that would leave a text generator without a use: its texts grow token by token."""
    cache = next((value.name for value in graph.input if value.name.startswith(_CACHE)), None)
    if cache is None or all(value.name != "logits" for value in graph.output):
        return
    for value in graph.input:
        for axis, dimension in enumerate(_dimensions([value])):
            number, what = numbers.get(dimension.dim_param), f"`{dimension.dim_param}` of input `{value.name}`"
            if number is not None and axis == (2 if value.name.startswith(_CACHE) else 1):
                raise Refused(
                    f"{what} cannot be fixed: a text generator with a cache (`{cache}`) gets a text at once and then "
                    "one token at a time.",
                    parameter=f"dimensions.{dimension.dim_param}",
                )
            if number is not None and axis == 0 and number != 1:
                why = f"{what} can be 1 alone: one text is generated at a time."
                raise Refused(why, parameter=f"dimensions.{dimension.dim_param}")


def _names(values: Iterable[Any]) -> list[str]:
    return list(dict.fromkeys(dimension.dim_param for dimension in _dimensions(values) if dimension.dim_param))


def _dimensions(values: Iterable[Any]) -> Iterator[Any]:
    for value in values:
        yield from value.type.tensor_type.shape.dim


def _infer_outputs(model: Any) -> None:
    """Fix the output dimensions that follow from the inputs. Raises Refused when the graph contradicts itself.

    What exporters wrote about values in between is left out: some of it is wrong before any number is put in.
    """
    from onnx import ModelProto, shape_inference

    bare = ModelProto()
    bare.CopyFrom(model)
    del bare.graph.value_info[:]
    try:
        inferred = shape_inference.infer_shapes(bare, strict_mode=True, data_prop=True)
    except shape_inference.InferenceError as error:
        why = next(line for line in reversed(str(error).splitlines()) if line).rpartition("[ShapeInferenceError] ")
        raise Refused(f"the numbers contradict the graph: {_place(error)}{why[2]}.") from None
    for value, found in zip(model.graph.output, inferred.graph.output, strict=True):
        for dimension, known in zip(_dimensions([value]), _dimensions([found]), strict=False):
            if not dimension.HasField("dim_value") and known.HasField("dim_value"):
                dimension.dim_value = known.dim_value


def _place(error: Exception) -> str:
    """The node that an InferenceError is about: `(op_type:Add, node name: /add)` stands in its text."""
    _, found, rest = str(error).partition("node name: ")
    return f"node `{rest.partition(')')[0]}`: " if found else ""


def _left(inputs: Iterable[Any]) -> Iterator[Remark]:
    """Which dimensions of inputs are still open."""
    named: dict[str, str] = {}
    unnamed = []
    for value in inputs:
        for number, dimension in enumerate(_dimensions([value])):
            if dimension.dim_param:
                named.setdefault(dimension.dim_param, value.name)
            elif not dimension.HasField("dim_value"):
                unnamed.append(f"dimension {number} of `{value.name}`, which has no name")
    if left := [f"`{name}` (of `{value}`)" for name, value in named.items()] + unnamed:
        yield Remark(f"dimensions that stay open: {', '.join(left)}.")
