"""onnxruntime's fusions for transformers: what each kind should find, and the sizes that they need."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from compiler.artifact.configuration import CONFIG
from compiler.artifact.steps.step import Refused, Remark, listed

_ATTENTION = ("Attention", "MultiHeadAttention", "GroupQueryAttention")
_NORMS = ("LayerNormalization", "SkipLayerNormalization")
_PLAIN_NORMS = ("SimplifiedLayerNormalization", "SkipSimplifiedLayerNormalization")
_GELU = ("Gelu", "FastGelu", "BiasGelu", "QuickGelu")
_GPT: Mapping[str, tuple[str, ...]] = {"attention": _ATTENTION, "layer normalization": _NORMS, "GELU": _GELU}

EXPECTED: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "bert": _GPT,
    "gpt2": _GPT,
    "bart": _GPT,
    "vit": _GPT,
    "t5": {"attention": _ATTENTION, "layer normalization": _PLAIN_NORMS},
}
"""By kind of transformer: what its fusions make, by the words for it."""

_HEADS = ("num_attention_heads", "n_head", "num_heads")
_HIDDEN = ("hidden_size", "n_embd", "d_model")
"""What the sizes are called in `config.json`, of various models."""


def fuse(model: Any, kind: str, folder: Path) -> tuple[Any, dict[str, int], list[Remark]]:
    """Fuse, in place: the model, how many nodes of each operator were made, and what was not found.

    `folder` is the model's as it came, for its configuration. Raises Refused when the fusions fail.
    """
    from compiler.artifact.graph import graphs
    from compiler.artifact.inference import runtime
    from compiler.artifact.reason import reason

    before = graphs.operators(model)
    try:
        fused = runtime.fuse_transformer(model, kind, *sizes(model.graph, folder))
    except Exception as error:
        raise Refused(f"onnxruntime's fusions for `{kind}` fail on this graph: {reason(error)}.") from None
    after = graphs.operators(fused)
    made = {name: after[name] - before[name] for name in sorted(after) if after[name] > before[name]}
    return fused, made, list(_missing(kind, before, made))


def _missing(kind: str, before: Mapping[str, int], made: Mapping[str, int]) -> Iterator[Remark]:
    for what, names in EXPECTED[kind].items():
        if not any(name in made for name in names):
            there = [name for name in names if name in before]
            has = f"the graph had {listed(there)} already" if there else f"it would have made {listed(names)}"
            yield Remark(f"`transformer: {kind}` found no {what} to fuse; {has}.")


def sizes(graph: Any, folder: Path) -> tuple[int, int]:
    """Heads and width of attention, by the model's configuration or else by the graph; 0 and 0 when neither says."""
    for name in ("config.json", CONFIG):
        said = _said(folder / name)
        heads = next((said[key] for key in _HEADS if isinstance(said.get(key), int)), 0)
        hidden = next((said[key] for key in _HIDDEN if isinstance(said.get(key), int)), 0)
        if heads > 0 and hidden > 0 and hidden % heads == 0:
            return heads, hidden
    return _sizes_of(graph)


def _said(path: Path) -> Mapping[str, Any]:
    try:
        said = json.loads(path.read_bytes())
        return dict(said["model"]["decoder"] if path.name == CONFIG else said)
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _sizes_of(graph: Any) -> tuple[int, int]:
    """By the first projection that is cut into heads: MatMul, perhaps Add, Reshape to … × heads × head size, Transpose.

    One of the two may be left to Reshape (-1), as exporters do it.
    """
    weights = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    made_by = {name: node for node in graph.node for name in node.output}
    known = {tensor.name: tensor for tensor in graph.initializer} | {
        node.output[0]: node.attribute[0].t for node in graph.node if node.op_type == "Constant"
    }
    for node in graph.node:
        reshape = made_by.get(node.input[0]) if node.op_type == "Transpose" else None
        if reshape is None or reshape.op_type != "Reshape":
            continue
        heads, size = _last_two(reshape.input[1], made_by, known)
        hidden = _width(made_by.get(reshape.input[0]), made_by, weights)
        size = size if size > 0 else hidden // max(heads, 1)
        if hidden and size > 0 and hidden % size == 0 and heads in (-1, hidden // size):
            return hidden // size, hidden
    return 0, 0


def _last_two(shape: str, made_by: Mapping[str, Any], known: Mapping[str, Any]) -> tuple[int, int]:
    """The last two of the four sizes in a shape, constant or concatenated; -1 when left open, 0 when not known."""
    from onnx import numpy_helper

    node = made_by.get(shape)
    parts = list(node.input) if node is not None and node.op_type == "Concat" else [shape]
    values: list[int] = []
    for part in parts:
        values += map(int, numpy_helper.to_array(known[part]).reshape(-1)) if part in known else [0]
    return (values[2], values[3]) if len(values) == 4 else (0, 0)


def _width(node: Any, made_by: Mapping[str, Any], weights: Mapping[str, list[int]]) -> int:
    """The number of columns of the matrix behind a node; 0 when there is none."""
    if node is not None and node.op_type == "Add":
        node = next((made_by[name] for name in node.input if name in made_by and name not in weights), None)
    shape = weights.get(node.input[1], []) if node is not None and node.op_type == "MatMul" else []
    return shape[1] if len(shape) == 2 else 0
