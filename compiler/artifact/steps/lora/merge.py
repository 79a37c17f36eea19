"""Find the matrix of each module of an adapter in a graph, and add to it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from compiler.artifact.graph.weights import Source, Target, write_changed
from compiler.artifact.graph.wiring import Dense, Wiring, attribute, matrices
from compiler.artifact.steps.lora.adapter import Adapter, Update
from compiler.artifact.steps.step import Bench, Effect, Refused

_SPELT = {"self_attn": "attn"}
"""What onnxruntime-genai's builder calls modules of Hugging Face."""

_UNSAID = {"weight", "MatMul", "Gemm", "FusedMatMul", "base_model", "model", "module", "onnx", "transposed"}
"""Parts of a name that do not tell modules apart."""

_PACKED = {"q_proj": 0, "k_proj": 1, "v_proj": 2}
"""Modules that the builder joins to one matrix, `qkv_proj`, in this order."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a module's weights are: columns (outputs) `start` to `stop` of a matrix."""

    dense: Dense
    start: int
    stop: int


def merge(source: Path, target: Path, adapter: Adapter, bench: Bench) -> Effect:
    """Write the model with the adapter in it."""
    with Source(source) as weights:
        places = _places(Wiring(weights.model), adapter)
        modules: dict[str, list[str]] = {}
        for module, place in places.items():
            modules.setdefault(place.dense.weight.name, []).append(module)
        rows: list[dict[str, Any]] = []

        def change(made: Target, tensor: Any) -> Any:
            updates = [(places[module], adapter.update(module)) for module in modules.get(tensor.name, [])]
            for _, update in updates:
                row = {"module": update.module, "weight": tensor.name, "rank": len(update.down), "scale": update.scale}
                rows.append(row)
            return _added(weights, made, tensor, updates) if updates else None

        write_changed(weights, target, change, bench.tell)
    return Effect(True, report={"modules": rows})


def _added(source: Source, target: Target, tensor: Any, updates: list[tuple[Place, Update]]) -> Any:
    """Sums in float64, one rank after the other: a library's matrix product would add in an order of its own."""
    new, at = target.reserve(tensor.name, tensor.data_type, tensor.dims), 0
    for start, rows in source.row_pieces(tensor):
        stop = start + len(rows)
        sums = rows.astype(np.float64)
        for place, update in updates:
            if place.dense.inner == 0:
                part, left, right = sums[:, place.start : place.stop], update.down[:, start:stop], update.up.T
            else:
                low, high = max(start, place.start), max(start, min(stop, place.stop))
                part = sums[low - start : high - start]
                left, right = update.up.T[:, low - place.start : high - place.start], update.down
            change = np.zeros(part.shape)
            for one, other in zip(left, right, strict=True):
                change += one[:, None] * other
            part += update.scale * change
        result = sums.astype(rows.dtype)
        if not np.isfinite(result).all():
            raise Refused(f"Weight `{tensor.name}` is infinite or not a number once the adapter is added.")
        target.write(new, result, at)
        at += result.nbytes
    return new


def _places(wiring: Wiring, adapter: Adapter) -> dict[str, Place]:
    """Of every module. Raises Refused with the names of those that the graph does not have."""
    known = [(parts, dense) for dense in matrices(wiring) for parts in _names(dense)]
    found: dict[str, Place] = {}
    missing = []
    for module in adapter.modules:
        place = _whole(known, module) or _packed(wiring, known, module)
        if place is None:
            missing.append(module)
            continue
        outputs, inputs = adapter.shape(module)
        dims = place.stop - place.start, place.dense.weight.dims[place.dense.inner]
        if dims != (outputs, inputs):
            raise Refused(
                f"`{module}` of the adapter is {outputs} × {inputs}, and `{place.dense.weight.name}` has "
                f"{dims[0]} × {dims[1]}.",
                parameter="adapter",
            )
        found[module] = place
    if missing:
        shown = ", ".join(f"`{module}`" for module in missing[:5]) + (" …" if len(missing) > 5 else "")
        raise Refused(
            f"{len(missing)} of {len(adapter.modules)} modules of the adapter have no constant float matrix in the "
            f"graph: {shown}."
        )
    return _apart(found)


def _apart(found: dict[str, Place]) -> dict[str, Place]:
    taken: dict[tuple[str, int], str] = {}
    for module, place in found.items():
        other = taken.setdefault((place.dense.weight.name, place.start), module)
        if other != module:
            why = f"`{other}` and `{module}` of the adapter both fit `{place.dense.weight.name}`."
            raise Refused(why, parameter="adapter")
    return found


def _whole(known: list[tuple[tuple[str, ...], Dense]], module: str) -> Place | None:
    dense = _match(known, _parts(module))
    return Place(dense, 0, dense.weight.dims[dense.outer]) if dense else None


def _packed(wiring: Wiring, known: list[tuple[tuple[str, ...], Dense]], module: str) -> Place | None:
    """A part of a matrix that makes queries, keys and values together."""
    parts = _parts(module)
    if parts[-1] not in _PACKED:
        return None
    dense = _match(known, (*parts[:-1], "qkv_proj"))
    attention = _attention(wiring, dense) if dense else None
    if dense is None or attention is None:
        return None
    heads, groups = (attribute(attention, name, 0) for name in ("num_heads", "kv_num_heads"))
    size = dense.weight.dims[dense.outer] // (heads + 2 * groups)
    ends = [0, heads * size, (heads + groups) * size, (heads + 2 * groups) * size]
    number = _PACKED[parts[-1]]
    return Place(dense, ends[number], ends[number + 1])


def _attention(wiring: Wiring, dense: Dense) -> Any:
    """The GroupQueryAttention that reads a product, perhaps with a bias."""
    node = wiring.single_reader(dense.node.output[0])
    if node is not None and node.op_type == "Add":
        node = wiring.single_reader(node.output[0])
    return node if node is not None and node.op_type == "GroupQueryAttention" else None


def _match(known: list[tuple[tuple[str, ...], Dense]], parts: tuple[str, ...]) -> Dense | None:
    """The matrix with this name; else the only one whose name ends so, or which is the end of this one."""
    for same in (lambda one: one == parts, lambda one: _is_end(one, parts)):
        fitting = {dense.weight.name: dense for names, dense in known if same(names)}
        if len(fitting) == 1:
            return next(iter(fitting.values()))
        if fitting:
            return None
    return None


def _is_end(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether the shorter name is the end of the longer one, with all its numbers: layers are told apart by them."""
    shorter, longer = sorted((one, other), key=len)
    rest = longer[: len(longer) - len(shorter)]
    return bool(shorter) and longer[len(rest) :] == shorter and not any(part.isdigit() for part in rest)


def _names(dense: Dense) -> Iterable[tuple[str, ...]]:
    """By which a matrix may be known: its own and its node's."""
    return {parts for name in (dense.weight.name, dense.node.name) if (parts := _parts(name))}


def _parts(name: str) -> tuple[str, ...]:
    return tuple(_SPELT.get(part, part) for part in re.split(r"[./:]+", name) if part and part not in _UNSAID)
