"""Moves outliers of activations into weights, where a scale for each channel bears them.

Xiao et al., SmoothQuant, ICML 2023, arXiv 2211.10438: with s = max |x|^α / max |w|^(1-α) for each channel of a
product's product's input, x / s times s · w is the same product.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnx import helper, numpy_helper

from compiler.artifact.graph import graphs
from compiler.artifact.graph.weights import Source
from compiler.artifact.steps.quantization.matrices import Product
from compiler.artifact.steps.quantization.ranges import Seen
from compiler.artifact.steps.quantization.rows import as_they_are, finite, pieces

_NORMS = {
    "LayerNormalization": (1, 2),
    "RMSNormalization": (1,),
    "SimplifiedLayerNormalization": (1,),
    "SkipLayerNormalization": (2, 3),
    "SkipSimplifiedLayerNormalization": (2,),
}
"""Nodes whose first output is scaled by these inputs: one factor and perhaps one summand for each channel."""


def factors(
    source: Source, groups: Mapping[str, Sequence[Product]], seen: Mapping[str, Seen], alpha: float
) -> dict[str, Any]:
    """s of each input: float32, one for each channel. A channel that is zero in inputs or weights stays.

    Raises Refused for weights that are not finite numbers.
    """
    found = {}
    for name, group in groups.items():
        weights = np.maximum.reduce([_row_magnitudes(source, product) for product in group]).astype(np.float64)
        inputs = seen[name].magnitude.astype(np.float64)
        used = (weights > 0) & (inputs > 0)
        exponents = alpha * np.log2(inputs, where=used, out=np.zeros_like(inputs))
        exponents -= (1 - alpha) * np.log2(weights, where=used, out=np.zeros_like(weights))
        found[name] = np.exp2(exponents).astype(np.float32)
    return found


@dataclass(slots=True)
class Smoothing:
    """Nodes and constants that divide inputs by their factors. Where it can, the norm before them does."""

    source: Source
    factors: Mapping[str, Any]
    taken: set[str]
    constants: list[Any] = field(default_factory=list)

    def nodes(self, groups: Mapping[str, Sequence[Product]]) -> tuple[dict[str, Any], dict[str, tuple[str, Any]]]:
        """Two parts: by output, nodes that stand for those of the source; by input, the name of the divided value and
        the node that makes it."""
        model = self.source.model
        makers = {name: node for node in model.graph.node for name in node.output}
        readers = _readers(model)
        instead: dict[str, Any] = {}
        divided: dict[str, tuple[str, Any]] = {}
        for name, group in groups.items():
            maker = makers.get(name)
            if maker is not None and readers[name] == len(group) and (inputs := self._scalable(maker, name)):
                instead[name] = self._folded(maker, inputs, self.factors[name])
            else:
                smooth = graphs.unused_name(f"{name}_smooth", self.taken)
                inverse = self._constant(f"{name}_smoothing", 1 / self.factors[name])
                divided[name] = smooth, helper.make_node("Mul", [name, inverse], [smooth], f"{name}_Smooth")
        return instead, divided

    def _scalable(self, node: Any, name: str) -> tuple[int, ...]:
        """The inputs that have to be divided for the output to be."""
        if name != node.output[0]:
            return ()
        places = _NORMS.get(node.op_type, ())
        wanted = tuple(at for at in places if at < len(node.input) and node.input[at])
        if node.op_type == "Mul":
            wanted = tuple(at for at in (0, 1) if node.input[at] in self.source.tensors)[:1]
        for at in wanted:
            tensor = self.source.tensors.get(node.input[at])
            if tensor is None or list(tensor.dims) != [len(self.factors[name])]:
                return ()
        return wanted

    def _folded(self, node: Any, inputs: tuple[int, ...], factors: Any) -> Any:
        made = type(node)()
        made.CopyFrom(node)
        for at in inputs:
            old = node.input[at]
            made.input[at] = self._constant(f"{old}_smooth", self.source.array(self.source.tensors[old]) / factors)
        return made

    def _constant(self, name: str, value: Any) -> str:
        name = graphs.unused_name(name, self.taken)
        self.constants.append(numpy_helper.from_array(value, name))
        return name


def _readers(model: Any) -> Counter[str]:
    """How many times each value is read; an output of the graph once more."""
    found: Counter[str] = Counter()
    for graph in graphs.all_graphs(model.graph):
        for node in graph.node:
            found.update(node.input)
        found.update(value.name for value in graph.output)
    return found


def _row_magnitudes(source: Source, product: Product) -> Any:
    """max |w| for each channel of the product's input."""
    tensor = source.tensors[product.weight]
    parts = [np.abs(piece).max(axis=0 if product.transposed else 1) for _, piece in pieces(source, tensor, as_they_are)]
    return finite(np.maximum.reduce(parts) if product.transposed else np.concatenate(parts), product.weight)
