"""A graph in QDQ form: QuantizeLinear → DequantizeLinear before each product and after each weight.

A runtime fuses these with the product where it has a kernel for integers; elsewhere it computes in floats. Results of
products are not rounded to 8 bits: onnxruntime's CPU kernels gain nothing from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from onnx import helper, numpy_helper

from compiler.artifact.graph import graphs
from compiler.artifact.graph.weights import Source
from compiler.artifact.steps.quantization.assembly import Assembly, suffixed
from compiler.artifact.steps.quantization.blockwise.rewrite import DOMAIN
from compiler.artifact.steps.quantization.blockwise.scheme import Scheme
from compiler.artifact.steps.quantization.dynamic import bias
from compiler.artifact.steps.quantization.integers import Integers
from compiler.artifact.steps.quantization.matrices import Product, by_input
from compiler.artifact.steps.quantization.products import Products
from compiler.artifact.steps.quantization.ranges import Range
from compiler.artifact.steps.quantization.rewrite import Rewrite
from compiler.artifact.steps.quantization.rows import Prepare, as_they_are
from compiler.artifact.steps.quantization.smoothing import Smoothing

_LAST_WITHOUT_INT16 = 20
"""The last opset whose own QuantizeLinear knows no int16; onnxruntime's does."""


@dataclass(frozen=True, slots=True)
class Activations:
    """What each product's input is quantized to."""

    kind: Literal["int8", "int16"]
    ranges: Mapping[str, Range]
    factors: Mapping[str, Any]
    """What inputs are divided by before, if they are smoothed: s of each channel."""

    def of(self, value: str) -> tuple[Any, Any]:
        """Scale and zero point. 8 bits are unsigned: onnxruntime has kernels for these on every processor."""
        kind = np.dtype("uint8" if self.kind == "int8" else self.kind)
        limits = np.iinfo(kind)
        scale, zero = self.ranges[value].integers(limits.min, limits.max)
        return np.array(scale, np.float32), np.array(zero, kind)


def quantized(
    source: Source, found: Products, integers: Integers, activations: Activations, embeddings: Scheme | None
) -> tuple[Rewrite, int]:
    """The graph in new form, and how many norms took in the factors of smoothing."""
    assembly = Assembly(source)
    smoothing = Smoothing(source, activations.factors, assembly.taken)
    groups = by_input(product for product in found.chosen if product.input in activations.factors)
    instead, divided = smoothing.nodes(groups)
    form = _Form(assembly, integers, activations, divided, _domain(source.model, activations.kind))
    rewrite = assembly.finish(found, form.add, embeddings, instead)
    assembly.small += smoothing.constants
    return rewrite, len(instead)


def _domain(model: Any, kind: str) -> str:
    opset = next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    if kind == "int8" or opset > _LAST_WITHOUT_INT16:
        return ""
    graphs.import_domain(model, DOMAIN)
    return DOMAIN


@dataclass(slots=True)
class _Form:
    assembly: Assembly
    integers: Integers
    activations: Activations
    divided: Mapping[str, tuple[str, Any]]
    domain: str
    inputs: dict[str, str] = field(default_factory=dict)
    weights: dict[str, str] = field(default_factory=dict)

    def add(self, product: Product) -> None:
        value, weight = self._input(product.input), self._weight(product)
        output = product.node.output[0]
        result = self.assembly.name(f"{output}_MatMul") if product.bias else output
        self.assembly.nodes += [
            helper.make_node("MatMul", [value, weight], [result], product.name),
            *bias(product, result),
        ]

    def _input(self, value: str) -> str:
        if value in self.inputs:
            return self.inputs[value]
        divided, node = self.divided.get(value, (value, None))
        parts = zip(suffixed(divided)[1:], self.activations.of(value), strict=True)
        scale, zero = (self._constant(name, array) for name, array in parts)
        integer = self.assembly.name(f"{divided}_QuantizeLinear_Output")
        self.inputs[value] = back = self.assembly.name(f"{divided}_DequantizeLinear_Output")
        domain = self.domain
        self.assembly.nodes += [
            *([node] if node else []),
            helper.make_node(
                "QuantizeLinear", [divided, scale, zero], [integer], f"{divided}_QuantizeLinear", domain=domain
            ),
            helper.make_node(
                "DequantizeLinear", [integer, scale, zero], [back], f"{divided}_DequantizeLinear", domain=domain
            ),
        ]
        return back

    def _weight(self, product: Product) -> str:
        smoothed = product.input if product.input in self.activations.factors else ""
        names = self.integers.weight(self.assembly, product, self._prepare(product), smoothed)
        if names[0] not in self.weights:
            self.weights[names[0]] = back = self.assembly.name(f"{names[0]}_DequantizeLinear_Output")
            node = helper.make_node("DequantizeLinear", list(names), [back], f"{names[0]}_DequantizeLinear")
            if self.integers.per_channel:
                node.attribute.append(helper.make_attribute("axis", 1))
            self.assembly.nodes.append(node)
        return self.weights[names[0]]

    def _prepare(self, product: Product) -> Prepare:
        factors = self.activations.factors.get(product.input)
        if factors is None:
            return as_they_are
        if product.transposed:
            return lambda rows, _: rows * factors
        return lambda rows, start: rows * factors[start : start + len(rows), None]

    def _constant(self, name: str, value: Any) -> str:
        name = self.assembly.name(name)
        self.assembly.small.append(numpy_helper.from_array(value, name))
        return name
