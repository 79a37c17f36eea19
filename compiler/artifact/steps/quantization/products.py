"""The products of a graph whose second factor is a constant matrix: what quantization is about."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from onnx import TensorProto, helper

from compiler.artifact.steps.step import Refused

INTEGER_PRODUCTS = frozenset(
    {
        "DequantizeLinear", "DynamicQuantizeLinear", "DynamicQuantizeMatMul", "MatMulInteger", "MatMulIntegerToFloat",
        "MatMulNBits", "QAttention", "QLinearMatMul", "QuantizeLinear",
    }
)  # fmt: skip
"""What the products of a quantized graph consist of."""

_HOLDERS = {"Attention": 1, "EmbedLayerNormalization": 2, "FusedGemm": 1, "FusedMatMul": 1, "MultiHeadAttention": 0}
"""Fused operators of onnxruntime that may hold a matrix of their own, with the number of that input."""


@dataclass(frozen=True, slots=True)
class Product:
    """A MatMul or Gemm of a computed value, … × K, and a constant float32 matrix, K × N."""

    node: Any
    weight: str
    """Name of the initializer, which is N × K if `transposed`."""
    transposed: bool
    bias: str | None
    """Of a Gemm: added to the product."""

    @property
    def input(self) -> str:
        return str(self.node.input[0])

    @property
    def name(self) -> str:
        """Of the node; its output where the node has no name."""
        return str(self.node.name or self.node.output[0])


@dataclass(frozen=True, slots=True)
class Products:
    """What there is to quantize, in the graph's order, and why the rest is left: one sentence for each such node."""

    found: tuple[Product, ...]
    left: tuple[str, ...]

    def or_refused(self, model: Any) -> tuple[Product, ...]:
        """`found`, unless it is empty. Raises Refused, which names the node that stands for the reason."""
        if self.found:
            return self.found
        if node := _first(model, INTEGER_PRODUCTS):
            raise Refused(f"`{node.name or node.output[0]}` ({node.op_type}) says that the model is quantized already.")
        if self.left:
            raise Refused(self.left[0])
        if node := _first(model, ("MatMul", "Gemm")):
            raise Refused(f"`{node.name or node.output[0]}` ({node.op_type}) multiplies by no constant; no node does.")
        last = model.graph.node[-1]
        raise Refused(f"No node multiplies matrices; the last one, `{last.name or last.output[0]}`, is {last.op_type}.")


def products(model: Any) -> Products:
    """Every MatMul with a constant right factor, and every Gemm that is no more than that with a bias."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    fed = {value.name for value in model.graph.input}
    found, left = [], []
    for node in model.graph.node:
        at = 1 if node.op_type in ("MatMul", "Gemm") else _HOLDERS.get(node.op_type)
        name = node.input[at] if at is not None and at < len(node.input) else ""
        tensor = None if name in fed else constants.get(name)
        if tensor is None:
            continue
        if why := _unsuitable(node, tensor):
            left.append(f"`{node.name or node.output[0]}` ({node.op_type}) {why}.")
        elif node.input[0] not in constants:
            bias = node.input[2] if node.op_type == "Gemm" and len(node.input) > 2 and node.input[2] else None
            found.append(Product(node, name, bool(_attribute(node, "transB", 0)), bias))
    return Products(tuple(found), tuple(left))


def without(found: Sequence[Product], patterns: Sequence[str]) -> tuple[Product, ...]:
    """Those whose weight none of the patterns (`*`, `?`, `[…]`) names.

    Raises Refused for a pattern that names no weight, which says what there is, and when nothing is left.
    """
    named = {pattern: [one for one in found if fnmatchcase(one.weight, pattern)] for pattern in patterns}
    if idle := next((pattern for pattern, those in named.items() if not those), None):
        raise Refused(f"`leave` has `{idle}`, which names no weight of a product. The first is `{found[0].weight}`.")
    dropped = {one.weight for those in named.values() for one in those}
    if left := tuple(one for one in found if one.weight not in dropped):
        return left
    raise Refused("`leave` names the weights of all products: there is nothing to quantize.")


def require_opset(model: Any, least: int, product: Product) -> None:
    """Raise Refused, which names the product, if the default domain's opset is older than `least`."""
    opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0)
    if opset < least:
        raise Refused(
            f"`{product.name}` is of opset {opset}; the quantized form needs {least}. `convert-opset` before it helps."
        )


def import_domain(model: Any, domain: str) -> None:
    """Let the graph use operators of `domain`, version 1."""
    if not any(entry.domain == domain for entry in model.opset_import):
        model.opset_import.add(domain=domain, version=1)


def unused_name(wanted: str, taken: set[str]) -> str:
    """`wanted`, or with a number behind it; then taken."""
    name, number = wanted, 1
    while name in taken:
        name, number = f"{wanted}_{number}", number + 1
    taken.add(name)
    return name


def names(model: Any) -> set[str]:
    """Of all values and initializers of the outer graph."""
    graph = model.graph
    found = {value.name for value in (*graph.input, *graph.output, *graph.initializer)}
    for node in graph.node:
        found.update(node.input)
        found.update(node.output)
    return found


def by_input(found: Iterable[Product]) -> dict[str, list[Product]]:
    """The products that share an input, under its name, in the graph's order."""
    groups: dict[str, list[Product]] = {}
    for product in found:
        groups.setdefault(product.input, []).append(product)
    return groups


def _first(model: Any, operators: Container[str]) -> Any:
    return next((node for node in model.graph.node if node.op_type in operators), None)


def _unsuitable(node: Any, tensor: Any) -> str | None:
    if node.op_type in _HOLDERS:
        return f"holds `{tensor.name}` in a fused form that this step does not know"
    if tensor.data_type != TensorProto.FLOAT:
        kind = helper.tensor_dtype_to_np_dtype(tensor.data_type).name
        return f"multiplies by `{tensor.name}`, which is {kind} and not float32"
    if len(tensor.dims) != 2 or 0 in tensor.dims:
        return f"multiplies by `{tensor.name}`, which has shape {list(tensor.dims)} and is no matrix"
    if node.op_type == "Gemm" and (
        _attribute(node, "alpha", 1.0) != 1 or _attribute(node, "beta", 1.0) != 1 or _attribute(node, "transA", 0)
    ):
        return "scales or transposes its factors"
    return None


def _attribute(node: Any, name: str, otherwise: Any) -> Any:
    return next((helper.get_attribute_value(entry) for entry in node.attribute if entry.name == name), otherwise)
