"""A graph whose products are of integers: DynamicQuantizeLinear → MatMulInteger → Cast → Mul.

The names are those that onnxruntime's quantizer gives, and so its fusions find what they look for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from onnx import TensorProto, helper

from compiler.artifact.graph.weights import Source
from compiler.artifact.steps.quantization.assembly import Assembly, Names, suffixed
from compiler.artifact.steps.quantization.blockwise.scheme import Scheme
from compiler.artifact.steps.quantization.integers import Integers
from compiler.artifact.steps.quantization.matrices import Product
from compiler.artifact.steps.quantization.products import Products
from compiler.artifact.steps.quantization.rewrite import Rewrite


def quantized(source: Source, found: Products, integers: Integers, embeddings: Scheme | None) -> Rewrite:
    """The graph with these products in integers and, with `embeddings`, its lookups of tokens in blocks."""
    assembly = Assembly(source)
    return assembly.finish(found, _Form(assembly, integers).add, embeddings)


@dataclass(slots=True)
class _Form:
    assembly: Assembly
    integers: Integers
    inputs: dict[str, Names] = field(default_factory=dict)

    def add(self, product: Product) -> None:
        name = self.assembly.name
        value, scale, zero = self._input(product.input)
        weight, weight_scale, weight_zero = self.integers.weight(self.assembly, product)
        output = product.node.output[0]
        result = name(f"{output}_MatMul") if product.bias else output
        stem = f"{product.node.name or result}_quant"
        integer = name(f"{result}_output_quantized")
        cast, both = name(f"{integer}_cast_output"), name(f"{stem}_scales_mul:0")
        self.assembly.nodes += [
            helper.make_node("MatMulInteger", [value, weight, zero, weight_zero], [integer], stem),
            helper.make_node("Cast", [integer], [cast], f"{integer}_cast", to=TensorProto.FLOAT),
            helper.make_node("Mul", [scale, weight_scale], [both], f"{stem}_scales_mul"),
            helper.make_node("Mul", [cast, both], [result], f"{stem}_output_scale_mul"),
            *bias(product, result),
        ]

    def _input(self, value: str) -> Names:
        if value not in self.inputs:
            first, second, third = (self.assembly.name(wanted) for wanted in suffixed(value))
            self.inputs[value] = made = (first, second, third)
            node = helper.make_node("DynamicQuantizeLinear", [value], made, f"{value}_QuantizeLinear")
            self.assembly.nodes.append(node)
        return self.inputs[value]


def bias(product: Product, result: str) -> list[Any]:
    """The node, if there is one, that adds a Gemm's bias to the product's result."""
    if not product.bias:
        return []
    return [helper.make_node("Add", [result, product.bias], [product.node.output[0]], f"{product.name}_Add")]
