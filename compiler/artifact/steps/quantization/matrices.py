"""The constant matrices of a graph: those that products multiply with, and those that tokens are looked up in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from onnx import helper

from compiler.artifact.graph import graphs
from compiler.artifact.graph.wiring import FLOATS, attribute, label

_QUANTIZED = frozenset(
    {
        "DequantizeLinear", "DynamicQuantizeMatMul", "MatMulInteger", "MatMulIntegerToFloat", "MatMulNBits",
        "QAttention", "QGemm", "QLinearMatMul",
    }
)  # fmt: skip
"""What multiplies quantized weights, or makes floats of them."""

_HOLDERS = {"Attention": 1, "EmbedLayerNormalization": 2, "FusedGemm": 1, "FusedMatMul": 1, "MultiHeadAttention": 0}
"""Fused operators of onnxruntime that may hold a matrix of their own, with the number of that input."""

_NAMED = 3
"""Nodes that a sentence names; of more it says how many."""

_BEHIND_HEAD = frozenset({"Add", "Cast", "Clip", "Div", "Identity", "Mul", "Reshape", "Softcap", "Tanh"})
"""What may stand between the last product and the logits."""


@dataclass(frozen=True, slots=True)
class Matrix:
    """K × N constants; stored so, or with `transposed` as N × K. `name` begins the names of what is made of it."""

    name: str
    tensor: Any
    graph: Any
    """The GraphProto that holds the tensor."""
    transposed: bool = False

    @property
    def depth(self) -> int:
        """K: what a product sums over."""
        return int(self.tensor.dims[1 if self.transposed else 0])

    @property
    def columns(self) -> int:
        return int(self.tensor.dims[0 if self.transposed else 1])


@dataclass(frozen=True, slots=True)
class Product:
    """A MatMul or Gemm with a constant second factor. `head`: it gives the logits."""

    node: Any
    graph: Any
    matrix: Matrix
    head: bool

    @property
    def input(self) -> str:
        return str(self.node.input[0])

    @property
    def name(self) -> str:
        return label(self.node)

    @property
    def weight(self) -> str:
        """Name of the initializer, which is N × K if `transposed`."""
        return str(self.matrix.tensor.name)

    @property
    def transposed(self) -> bool:
        return self.matrix.transposed

    @property
    def bias(self) -> str:
        """What a Gemm adds to the product; empty for none."""
        return str(self.node.input[2]) if self.node.op_type == "Gemm" and len(self.node.input) > 2 else ""


@dataclass(frozen=True, slots=True)
class Lookup:
    """A Gather of tokens in a constant matrix, tokens × dimensions."""

    node: Any
    graph: Any
    matrix: Matrix


@dataclass(slots=True)
class Found:
    """All that there is to quantize, by order of the nodes, and what looks as if it were but is not."""

    products: list[Product] = field(default_factory=list)
    lookups: list[Lookup] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    """Names of products with constants that cannot be quantized, each with the reason."""
    quantized: list[str] = field(default_factory=list)
    """Names of nodes whose weights are quantized already."""

    def all(self) -> list[Product | Lookup]:
        return [*self.products, *self.lookups]

    def none(self, model: Any) -> str:
        """A sentence on why there is nothing to quantize, which names a node that stands for it."""
        if self.quantized:
            return f"Quantized already: {listed(self.quantized)}; nothing else is left to quantize."
        if self.left:
            return f"No product can be quantized: {listed(self.left)}."
        node = next((node for node in model.graph.node if node.op_type in ("MatMul", "Gemm")), None)
        if node is not None:
            return f"`{label(node)}` ({node.op_type}) multiplies by no constant; no node does."
        last = model.graph.node[-1]
        return f"No node multiplies matrices; the last one, `{label(last)}`, is {last.op_type}."


def find(model: Any) -> Found:
    found = Found()
    _walk(model.graph, {}, {}, _heads(model.graph), found)
    return found


def left_as_they_are(names: list[str]) -> str:
    return f"Left as they are: {listed(names)}."


def listed(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def by_input(products: Iterable[Product]) -> dict[str, list[Product]]:
    """The products that share an input, under its name, in the graph's order."""
    groups: dict[str, list[Product]] = {}
    for product in products:
        groups.setdefault(product.input, []).append(product)
    return groups


def _walk(
    graph: Any,
    outer: Mapping[str, Matrix],
    outer_tokens: Mapping[str, bool],
    heads: set[str],
    found: Found,
) -> None:
    """Look through a graph and the graphs in its nodes, which see the constants around them."""
    known = {**outer, **{tensor.name: Matrix(tensor.name, tensor, graph) for tensor in graph.initializer}}
    tokens = {**outer_tokens, "input_ids": True}
    for node in graph.node:
        if node.op_type == "Transpose" and (matrix := _transposed(node, known)):
            known[node.output[0]] = matrix
        elif node.op_type == "Cast" and node.input[0] in tokens:
            tokens[node.output[0]] = True
        elif node.op_type in ("MatMul", "Gemm"):
            _product(node, graph, known, heads, found)
        elif node.op_type == "Gather" and (matrix := known.get(node.input[0])) and node.input[1] in tokens:
            if attribute(node, "axis", 0) == 0 and _is_float_matrix(matrix.tensor) and not matrix.transposed:
                found.lookups.append(Lookup(node, graph, _as_rows(matrix)))
        elif node.op_type in _QUANTIZED:
            found.quantized.append(f"`{label(node)}`")
        elif (at := _HOLDERS.get(node.op_type)) is not None and at < len(node.input) and node.input[at] in known:
            found.left.append(f"`{label(node)}` ({node.op_type} holds its weights in a fused form)")
        for inner in graphs.inner_graphs(node):
            _walk(inner, known, tokens, heads, found)


def _product(node: Any, graph: Any, known: Mapping[str, Matrix], heads: set[str], found: Found) -> None:
    matrix = known.get(node.input[1])
    if matrix is None or node.input[0] in known:
        return
    if why := _unfit(node, matrix.tensor):
        found.left.append(f"`{label(node)}` ({why})")
        return
    if node.op_type == "Gemm" and attribute(node, "transB", 0):
        matrix = Matrix(f"{matrix.name}_transposed", matrix.tensor, matrix.graph, not matrix.transposed)
    found.products.append(Product(node, graph, matrix, node.output[0] in heads))


def _unfit(node: Any, tensor: Any) -> str:
    """Why a product with constants cannot be quantized; empty when it can."""
    if len(tensor.dims) != 2:
        return f"its weights have {len(tensor.dims)} dimensions"
    if 0 in tensor.dims:
        return "it has no weights"
    if tensor.data_type not in FLOATS:
        return f"its weights are {kind(tensor)}"
    if node.op_type == "Gemm" and (
        attribute(node, "transA", 0) or attribute(node, "alpha", 1.0) != 1 or attribute(node, "beta", 1.0) != 1
    ):
        return "it transposes or scales its inputs"
    return ""


def _transposed(node: Any, known: Mapping[str, Matrix]) -> Matrix | None:
    matrix = known.get(node.input[0])
    if matrix is None or len(matrix.tensor.dims) != 2 or list(attribute(node, "perm", [1, 0])) != [1, 0]:
        return None
    return Matrix(node.output[0], matrix.tensor, matrix.graph, not matrix.transposed)


def _as_rows(matrix: Matrix) -> Matrix:
    """Blocks of an embedding lie along its rows: as if it were the transposed factor of a product."""
    return Matrix(matrix.name, matrix.tensor, matrix.graph, True)


def _is_float_matrix(tensor: Any) -> bool:
    return len(tensor.dims) == 2 and tensor.data_type in FLOATS


def _heads(graph: Any) -> set[str]:
    """The products that give the logits: walking back from them, the first on every way."""
    makers = {name: node for node in graph.node for name in node.output if name}
    heads, seen = set(), set()
    waiting = ["logits"] if any(value.name == "logits" for value in graph.output) else []
    while waiting:
        name = waiting.pop()
        node = makers.get(name)
        if node is None or name in seen:
            continue
        seen.add(name)
        if node.op_type in ("MatMul", "Gemm"):
            heads.add(name)
        elif node.op_type in _BEHIND_HEAD:
            waiting += node.input
    return heads


def kind(tensor: Any) -> str:
    return str(helper.tensor_dtype_to_np_dtype(tensor.data_type).name)
