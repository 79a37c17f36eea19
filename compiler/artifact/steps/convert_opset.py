"""`convert-opset`: the graph in another version of the ONNX operators, by onnx's version converter.

Size, speed and quality: unchanged. What it is for: upwards, steps and runtimes that want newer operators; downwards,
older runtimes, as far as the older operators can say the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compiler.artifact.steps.step import Bench, Effect, Refused

VERSION = 1
REPRODUCIBLE = True
SUFFIX = ".onnx"

_ASIDE = "slmc.aside"
"""Domain of nodes while the others are converted: the converter leaves all domains alone but ONNX's own."""


@dataclass(frozen=True, slots=True)
class Configuration:
    opset: int


def apply(source: Path, target: Path, configuration: Configuration, bench: Bench) -> Effect:
    """Convert the graph; the weights are copied as they are.

    Operators of other domains stay. So do those that onnxruntime puts into ONNX's own domain: they have one version.
    Raises Refused for an opset that onnxruntime does not run, and for an operator without a counterpart in it.
    """
    from compiler.artifact.graph import outline
    from compiler.artifact.graph.weights import Source
    from compiler.artifact.inference import runtime

    opset = configuration.opset
    with Source(source) as weights:
        model = weights.model
        before = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), None)
        if before is None:
            raise Refused("the graph has no operators of ONNX's own domain.")
        report = {"opset": {"before": before, "after": opset}}
        if before == opset:
            outline.save(weights, model, target)
            return Effect(False, (), report)
        if opset > before and not runtime.runs_opset(opset):
            raise Refused(f"onnxruntime {runtime.VERSION} does not run opset {opset}.", parameter="opset")
        _check(model)
        added = outline.take_weights_out(model)
        converted = _converted(model, opset)
        outline.remove_inputs(converted, added)
        outline.save(weights, converted, target)
    return Effect(True, (), report)


def _check(model: Any) -> None:
    """The converter drops what it does not know."""
    if model.functions:
        raise Refused(f"the graph has functions of its own (`{model.functions[0].name}`), which cannot be converted.")
    if model.graph.sparse_initializer:
        name = model.graph.sparse_initializer[0].values.name
        raise Refused(f"initializer `{name}` is sparse; graphs with those cannot be converted.")


def _converted(model: Any, opset: int) -> Any:
    """Raises Refused."""
    from onnx import helper, version_converter

    aside = [node for node in _nodes(model) if _is_onnxruntimes(node)]
    names = {node.op_type for node in aside}
    for node in aside:
        node.domain = _ASIDE
    model.opset_import.add(domain=_ASIDE, version=1)
    try:
        converted = version_converter.convert_version(model, opset)
    except (RuntimeError, version_converter.ConvertError) as error:
        raise Refused(_reason(model, opset, str(error))) from None
    for node in _nodes(converted):
        if node.domain == _ASIDE and node.op_type in names:
            node.domain = ""
    imports = [entry for entry in converted.opset_import if entry.domain != _ASIDE]
    del converted.opset_import[:]
    converted.opset_import.extend(imports)
    needed = helper.find_min_ir_version_for(imports, ignore_unknown=True)
    converted.ir_version = max(model.ir_version, needed)
    return converted


def _is_onnxruntimes(node: Any) -> bool:
    """Whether the node stands in ONNX's own domain, but its operator is not in ONNX."""
    from onnx import defs

    return node.domain in ("", "ai.onnx") and not defs.has(node.op_type)


def _nodes(model: Any) -> Iterator[Any]:
    from compiler.artifact.graph import graphs

    for graph in graphs.all_graphs(model.graph):
        yield from graph.node


def _reason(model: Any, opset: int, said: str) -> str:
    """A sentence with the first node that it can be about: the converter names an operator, in varying phrases."""
    from compiler.artifact.graph.operators import named

    words = set(re.findall(r"\w+", said))
    node = next((node for node in _nodes(model) if node.domain != _ASIDE and node.op_type in words), None)
    what = said.splitlines()[0].rpartition("failed: ")[2].rstrip(".").replace("$", "")
    if node is None:
        return f"the graph cannot be had in opset {opset}: {what}."
    return f"node {named(node)} (`{node.op_type}`) cannot be had in opset {opset}: {what}."
