"""The graph to come, node after node: products and lookups give way, all other nodes stay."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from compiler.artifact.steps.quantization import products
from compiler.artifact.steps.quantization.embeddings import DOMAIN, Blocks, tables
from compiler.artifact.steps.quantization.products import Product, unused_name
from compiler.artifact.steps.quantization.rewrite import Replacement, Rewrite
from compiler.artifact.weights import Source

Names = tuple[str, str, str]
"""Of quantized values, their scales and their zero points."""


@dataclass(slots=True)
class Assembly:
    """Nodes and tensors in the making. Each tensor of the source is quantized once, however many nodes read it."""

    source: Source
    taken: set[str] = field(init=False)
    nodes: list[Any] = field(default_factory=list)
    small: list[Any] = field(default_factory=list)
    _replacements: dict[str, list[Replacement]] = field(default_factory=dict)
    _made: dict[tuple[str, str], Names] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.taken = products.names(self.source.model)

    def finish(
        self,
        chosen: Sequence[Product],
        add: Callable[[Product], None],
        blocks: Blocks | None,
        instead: Mapping[str, Any] | None = None,
    ) -> Rewrite:
        """Go through the source's nodes: `add` appends what stands for a product, and with `blocks` the token
        embeddings are looked up in blocks. `instead` has nodes that stand for others, by their first output."""
        model = self.source.model
        by_output = {product.node.output[0]: product for product in chosen}
        lookups = {node.output[0] for node in tables(model)} if blocks else set()
        for node in model.graph.node:
            first = next(iter(node.output), "")
            if product := by_output.get(first):
                add(product)
            elif blocks and first in lookups:
                self._add_lookup(node, blocks)
            else:
                self.nodes.append((instead or {}).get(first, node))
        if lookups:
            products.import_domain(model, DOMAIN)
        return Rewrite(self.nodes, self._replacements, self.small)

    def tensor(self, name: str, kind: str, names: Names, replacement: Callable[[Any, Names], Replacement]) -> Names:
        """Names of what `replacement` makes of the source's tensor; of one `kind` it is made once."""
        if (name, kind) not in self._made:
            first, second, third = (unused_name(wanted, self.taken) for wanted in names)
            self._made[name, kind] = made = (first, second, third)
            self._replacements.setdefault(name, []).append(replacement(self.source.tensors[name], made))
        return self._made[name, kind]

    def name(self, wanted: str) -> str:
        return unused_name(wanted, self.taken)

    def _add_lookup(self, node: Any, blocks: Blocks) -> None:
        table = node.input[0]
        names = self.tensor(table, "blocks", blocks.names(table), blocks.replacement)
        self.nodes.append(blocks.lookup(node, names))


def suffixed(stem: str) -> Names:
    """As onnxruntime's quantizer names them."""
    return f"{stem}_quantized", f"{stem}_scale", f"{stem}_zero_point"
