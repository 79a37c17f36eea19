"""Units of a graph, such as neurons and heads, that go as a whole: matrices and vectors get smaller."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from compiler.artifact.graph import graphs
from compiler.artifact.graph.weights import Source, Target, write_changed
from compiler.artifact.graph.wiring import Wiring, reads
from compiler.artifact.refused import not_finite
from compiler.artifact.steps.step import Bench, Refused


@dataclass(frozen=True, slots=True)
class Cut:
    """Where the units of a layer lie in a tensor: `places` is units × width, indices along `axis`."""

    tensor: str
    axis: int
    places: Any


@dataclass(frozen=True, slots=True)
class Layer:
    """A part of the graph whose units do not mix before they are summed up by one matrix."""

    name: str
    units: int
    cuts: tuple[Cut, ...]
    """All that gets smaller."""
    into: tuple[Cut, ...]
    """The weights that give a unit its value: a unit counts by their norm …"""
    out_of: tuple[Cut, ...]
    """… times that of the weights which take it on."""
    values: frozenset[str]
    """Values whose shape changes."""
    resize: Callable[[int], None]
    """Has the nodes work on so many units."""


@dataclass(frozen=True, slots=True)
class Shrunk:
    parameters: int
    """Of the whole model, after."""
    layers: list[dict[str, Any]]
    """For each: its node, units before and after, the numbers of those that went."""


def removed(layer: Layer, share: float) -> int:
    """How many units go, rounded down. Raises Refused when none would be left."""
    number = int(share * layer.units + 1e-9)
    if number >= layer.units:
        raise Refused(f"A `share` of {share:.0%} leaves nothing of the {layer.units} units at `{layer.name}`.")
    return number


def own(wiring: Wiring, layer: Layer) -> str | None:
    """The first tensor of the layer that another part of the graph needs as it is, else None."""
    for cut in layer.cuts:
        if wiring.single_reader(cut.tensor) is None:
            return cut.tensor
    return None


def shrink(source: Source, path: Path, layers: list[Layer], share: float, bench: Bench) -> Shrunk:
    """Write the model without the `share` of units that counts least in each layer. The others keep their order."""
    keep: dict[str, dict[int, Any]] = {}
    rows = []
    for number, layer in enumerate(layers):
        scores = _scores(source, layer)
        gone = np.sort(np.argsort(scores, kind="stable")[: removed(layer, share)])
        kept = np.setdiff1d(np.arange(layer.units), gone)
        for cut in layer.cuts:
            keep.setdefault(cut.tensor, {})[cut.axis] = np.sort(cut.places[kept].reshape(-1))
        layer.resize(len(kept))
        rows.append({"node": layer.name, "before": layer.units, "after": len(kept), "removed": gone.tolist()})
        bench.tell((number + 1) / len(layers) / 2)
    model = source.model
    _forget(model.graph, {name for layer in layers for name in layer.values} | set(keep))
    _drop_unread(model.graph)
    graphs.drop_unused(model)

    def change(target: Target, tensor: Any) -> Any:
        return _cut(source, target, tensor, keep[tensor.name]) if tensor.name in keep else None

    made = write_changed(source, path, change, lambda share: bench.tell((1 + share) / 2))
    return Shrunk(sum(graphs.elements(tensor) for tensor in made), rows)


def _forget(graph: Any, names: set[str]) -> None:
    kept = [value for value in graph.value_info if value.name not in names]
    del graph.value_info[:]
    graph.value_info.extend(kept)


def _drop_unread(graph: Any) -> None:
    """Remove nodes whose outputs nobody reads, such as shapes that were replaced."""
    nodes = list(graph.node)
    while True:
        read = {value.name for value in graph.output}.union(*(set(reads(node)) for node in nodes))
        kept = [node for node in nodes if read.intersection(node.output)]
        if len(kept) == len(nodes):
            break
        nodes = kept
    if len(nodes) < len(graph.node):
        del graph.node[:]
        graph.node.extend(nodes)


def _cut(source: Source, target: Target, tensor: Any, keep: dict[int, Any]) -> Any:
    dims = [len(keep[axis]) if axis in keep else size for axis, size in enumerate(tensor.dims)]
    new, at = target.reserve(tensor.name, tensor.data_type, dims), 0
    for start, rows in source.row_pieces(tensor):
        if 0 in keep:
            inside = (keep[0] >= start) & (keep[0] < start + len(rows))
            rows = rows[keep[0][inside] - start]
        for axis in keep.keys() - {0}:
            rows = rows.take(keep[axis], axis)
        if rows.size:
            target.write(new, np.ascontiguousarray(rows), at)
            at += rows.nbytes
    return new


def _scores(source: Source, layer: Layer) -> Any:
    """Of each unit: the L2 norm of the weights into it times that of the weights out of it (float64)."""
    return _norms(source, layer.into) * _norms(source, layer.out_of)


def _norms(source: Source, cuts: Iterable[Cut]) -> Any:
    squares: Any = 0.0
    for cut in cuts:
        along = _square_sums(source, source.tensors[cut.tensor], cut.axis)
        if not np.isfinite(along).all():
            raise not_finite(cut.tensor)
        for place in range(cut.places.shape[1]):
            squares = squares + along[cut.places[:, place]]
    return np.sqrt(squares)


def _square_sums(source: Source, tensor: Any, axis: int) -> Any:
    """Sums of squares of a matrix over its other axis. Row is added to row: the order of additions decides the last
    bits, and in sums along a row it would be the library's choice."""
    found = np.zeros(tensor.dims[axis])
    for start, rows in source.row_pieces(tensor):
        squares = np.square(rows, dtype=np.float64)
        if axis == 1:
            for row in squares:
                found += row
        else:
            for column in np.ascontiguousarray(squares.T):
                found[start : start + len(rows)] += column
    return found
