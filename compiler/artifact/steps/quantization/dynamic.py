"""A graph whose products are of integers: DynamicQuantizeLinear → MatMulInteger → Cast → Mul.

The names are those that onnxruntime's quantizer gives, and so its fusions find what they look for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from onnx import TensorProto, helper

from compiler.artifact.steps.quantization import products
from compiler.artifact.steps.quantization.embeddings import DOMAIN, Blocks, tables
from compiler.artifact.steps.quantization.integers import Integers, as_they_are
from compiler.artifact.steps.quantization.products import Product, unused_name
from compiler.artifact.steps.quantization.rewrite import Replacement, Rewrite
from compiler.artifact.weights import Source


def quantized(source: Source, chosen: Sequence[Product], integers: Integers, blocks: Blocks | None) -> Rewrite:
    """The graph with these products in integers and, with `blocks`, its token embeddings in blocks."""
    work = _Work(source, integers, products.names(source.model))
    by_output = {product.node.output[0]: product for product in chosen}
    lookups = {node.output[0] for node in tables(source.model)} if blocks else set()
    for node in source.model.graph.node:
        first = next(iter(node.output), "")
        if product := by_output.get(first):
            work.add_product(product)
        elif blocks and first in lookups:
            work.add_lookup(node, blocks)
        else:
            work.nodes.append(node)
    if lookups:
        products.import_domain(source.model, DOMAIN)
    return Rewrite(work.nodes, work.replacements)


@dataclass(slots=True)
class _Work:
    source: Source
    integers: Integers
    taken: set[str]
    nodes: list[Any] = field(default_factory=list)
    replacements: dict[str, list[Replacement]] = field(default_factory=dict)
    inputs: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    """Quantized value, scale and zero point of a value that is multiplied."""
    weights: dict[tuple[str, bool], tuple[str, str, str]] = field(default_factory=dict)
    embeddings: dict[str, tuple[str, str, str]] = field(default_factory=dict)

    def add_product(self, product: Product) -> None:
        value, scale, zero = self._input(product.input)
        weight, weight_scale, weight_zero = self._weight(product)
        output, name = product.node.output[0], product.node.name
        result = unused_name(f"{output}_MatMul", self.taken) if product.bias else output
        integer = unused_name(f"{result}_output_quantized", self.taken)
        cast = unused_name(f"{integer}_cast_output", self.taken)
        both = unused_name(f"{name or result}_quant_scales_mul:0", self.taken)
        self.nodes += [
            helper.make_node("MatMulInteger", [value, weight, zero, weight_zero], [integer], f"{name or result}_quant"),
            helper.make_node("Cast", [integer], [cast], f"{integer}_cast", to=TensorProto.FLOAT),
            helper.make_node("Mul", [scale, weight_scale], [both], f"{name or result}_quant_scales_mul"),
            helper.make_node("Mul", [cast, both], [result], f"{name or result}_quant_output_scale_mul"),
        ]
        if product.bias:
            self.nodes.append(helper.make_node("Add", [result, product.bias], [output], f"{name or output}_Add"))

    def add_lookup(self, node: Any, blocks: Blocks) -> None:
        table = node.input[0]
        if table not in self.embeddings:
            self.embeddings[table] = made = blocks.names(table, self.taken)
            self.replacements.setdefault(table, []).append(blocks.replacement(self.source.tensors[table], made))
        self.nodes.append(blocks.lookup(node, self.embeddings[table]))

    def _input(self, value: str) -> tuple[str, str, str]:
        if value not in self.inputs:
            self.inputs[value] = made = self._three(value)
            self.nodes.append(helper.make_node("DynamicQuantizeLinear", [value], made, f"{value}_QuantizeLinear"))
        return self.inputs[value]

    def _weight(self, product: Product) -> tuple[str, str, str]:
        key = (product.weight, product.transposed)
        if key not in self.weights:
            stem = f"{product.weight}_Transposed" if product.transposed else product.weight
            self.weights[key] = made = self._three(stem)
            tensor = self.source.tensors[product.weight]
            replacement = self.integers.replacement(tensor, product.transposed, made, as_they_are)
            self.replacements.setdefault(product.weight, []).append(replacement)
        return self.weights[key]

    def _three(self, stem: str) -> tuple[str, str, str]:
        first, second, third = (
            unused_name(f"{stem}_{part}", self.taken) for part in ("quantized", "scale", "zero_point")
        )
        return first, second, third
