"""Which of a graph's products are quantized together with their inputs or measured one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from onnx import TensorProto

from compiler.artifact.steps.quantization.matrices import Lookup, Product, find, kind
from compiler.artifact.steps.step import Refused


@dataclass(frozen=True, slots=True)
class Products:
    """In the graph's order, and of products with constants that are left, each with the reason."""

    chosen: tuple[Product, ...]
    lookups: tuple[Lookup, ...]
    left: list[str]

    @property
    def weights(self) -> list[str]:
        """Names of the initializers, each once."""
        found = [product.weight for product in self.chosen] + [lookup.matrix.tensor.name for lookup in self.lookups]
        return list(dict.fromkeys(found))


def products(model: Any) -> Products:
    """Those of the graph itself, not of branches, with float32 weights. Raises Refused if there is none."""
    found = find(model)
    chosen = []
    for product in found.products:
        if product.graph is not model.graph or product.matrix.graph is not model.graph:
            found.left.append(f"`{product.name}` (it is in a branch)")
        elif product.matrix.tensor.data_type != TensorProto.FLOAT:
            found.left.append(f"`{product.name}` (its weights are {kind(product.matrix.tensor)} and not float32)")
        else:
            chosen.append(product)
    if not chosen:
        raise Refused(found.none(model))
    outer = (lookup for lookup in found.lookups if lookup.graph is lookup.matrix.graph is model.graph)
    return Products(tuple(chosen), tuple(outer), found.left)


def without(found: Sequence[Product], patterns: Sequence[str]) -> tuple[Product, ...]:
    """Those whose weight none of the patterns (`*`, `?`, `[…]`) names.

    Raises Refused for a pattern that names no weight, which says what there is, and when nothing is left.
    """
    named = {pattern: [one for one in found if fnmatchcase(one.weight, pattern)] for pattern in patterns}
    if idle := next((pattern for pattern, those in named.items() if not those), None):
        why = f"`leave` has `{idle}`, which names no weight of a product. The first is `{found[0].weight}`."
        raise Refused(why, parameter=f"leave.{list(patterns).index(idle)}")
    dropped = {one.weight for those in named.values() for one in those}
    if left := tuple(one for one in found if one.weight not in dropped):
        return left
    raise Refused("`leave` names the weights of all products: there is nothing to quantize.", parameter="leave")


def require_opset(model: Any, least: int, product: Product) -> None:
    """Raise Refused, which names the product, if the default domain's opset is older than `least`."""
    opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0)
    if opset < least:
        raise Refused(
            f"`{product.name}` is of opset {opset}; the quantized form needs {least}. `convert-opset` before it helps."
        )
