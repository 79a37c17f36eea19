"""The graph to come, node after node: products and lookups give way, all other nodes stay."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from compiler.artifact.graph import graphs
from compiler.artifact.graph.weights import New, Source
from compiler.artifact.steps.quantization.blockwise import rounding
from compiler.artifact.steps.quantization.blockwise.rewrite import DOMAIN, replace_lookup
from compiler.artifact.steps.quantization.blockwise.scheme import Scheme
from compiler.artifact.steps.quantization.blockwise.stream import Work
from compiler.artifact.steps.quantization.matrices import Lookup, Product
from compiler.artifact.steps.quantization.products import Products
from compiler.artifact.steps.quantization.rewrite import Replacement, Reserve, Rewrite

Names = tuple[str, str, str]
"""Of quantized values, their scales and their zero points."""


@dataclass(slots=True)
class Assembly:
    """Nodes and tensors in the making. Each tensor of the source is quantized once, however many nodes read it."""

    source: Source
    taken: set[str] = field(init=False)
    nodes: list[Any] = field(default_factory=list)
    small: list[Any] = field(default_factory=list)
    _reserves: dict[str, list[Reserve]] = field(default_factory=dict)
    _made: dict[tuple[str, str], Names] = field(default_factory=dict)
    _tables: dict[str, list[New]] = field(default_factory=dict)
    """What becomes of the tables of embeddings."""

    def __post_init__(self) -> None:
        self.taken = graphs.value_names(self.source.model.graph)

    def finish(
        self,
        found: Products,
        add: Callable[[Product], None],
        embeddings: Scheme | None,
        instead: Mapping[str, Any] | None = None,
    ) -> Rewrite:
        """Go through the source's nodes: `add` appends what stands for a product, and with `embeddings` tokens are
        looked up in blocks. `instead` has nodes that stand for others, by their first output."""
        by_output = {product.node.output[0]: product for product in found.chosen}
        if embeddings and found.lookups:
            graphs.import_domain(self.source.model, DOMAIN)
            for lookup in found.lookups:
                replace_lookup(lookup, self._blocks(lookup, embeddings), embeddings)
        for node in self.source.model.graph.node:
            first = next(iter(node.output), "")
            if product := by_output.get(first):
                add(product)
            else:
                self.nodes.append((instead or {}).get(first, node))
        return Rewrite(self.nodes, self._reserves, self.small)

    def tensor(self, name: str, kind: str, names: Names, replacement: Callable[[Any, Names], Replacement]) -> Names:
        """Names of what `replacement` makes of the source's tensor; of one `kind` it is made once."""
        if (name, kind) not in self._made:
            first, second, third = (self.name(wanted) for wanted in names)
            self._made[name, kind] = made = (first, second, third)
            reserve = replacement(self.source.tensors[name], made).reserve
            self._reserves.setdefault(name, []).append(reserve)
        return self._made[name, kind]

    def name(self, wanted: str) -> str:
        return graphs.unused_name(wanted, self.taken)

    def _blocks(self, lookup: Lookup, scheme: Scheme) -> list[New]:
        name = lookup.matrix.tensor.name
        if name not in self._tables:
            work = Work(lookup.matrix, scheme, rounding.quantize, flat=True).named(self.taken)
            self._tables[name] = work.tensors
            self._reserves.setdefault(name, []).append(lambda stream: stream.reserve(work))
        return self._tables[name]


def suffixed(stem: str) -> Names:
    """As onnxruntime's quantizer names them."""
    return f"{stem}_quantized", f"{stem}_scale", f"{stem}_zero_point"
