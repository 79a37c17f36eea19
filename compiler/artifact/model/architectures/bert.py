"""BERT (Devlin et al., 2019) as transformers' BertModel and BertForSequenceClassification compute it.

Attention, GELU and embeddings are written in the node patterns that `onnxruntime.transformers` fuses, as PyTorch's old
exporter wrote them. Batch and sequence stay symbolic. Where sentence-transformers' files ask for pooling and
normalization, the graph does them: a device needs no code of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto

from compiler.artifact.configuration import Unusable
from compiler.artifact.model.architectures import pooling
from compiler.artifact.model.architectures.graph import Graph, Value
from compiler.artifact.model.checkpoint import CONFIG, FLOATS, Checkpoint

TASKS = frozenset({"embeddings", "text-classification"})

_MASKED = -10000.0
"""Added to the scores of padding: e to that power is 0, and it fits a float16."""

_MOST_LAYERS = 512
_MOST_NAMED = 4
_ACTIVATIONS = ("gelu", "gelu_new", "gelu_pytorch_tanh", "relu")

_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
_SIZES = ("batch", "sequence")


def problems(checkpoint: Checkpoint, task: str) -> Iterable[Unusable]:
    """What is wrong with configuration, pooling and weights, without reading the weights."""
    try:
        sizes = _Sizes.of(checkpoint)
        tensors = checkpoint.tensors
        if task == "embeddings":
            pooling.of(checkpoint.folder, sizes.hidden)
    except Unusable as error:
        return [error]
    return [*_missing(sizes, tensors, task)]


def export(checkpoint: Checkpoint, task: str, path: Path) -> None:
    sizes = _Sizes.of(checkpoint)
    graph = Graph.at(path, checkpoint, lambda name: _stored_name(name, checkpoint.tensors) or name)
    hidden = _embedded(graph, sizes)
    masked = _mask(graph)
    for number in range(sizes.layers):
        hidden = _layer(graph, hidden, masked, f"encoder.layer.{number}", sizes)
    output: tuple[str, Value]
    if task == "text-classification":
        labels = checkpoint.tensors["classifier.weight"].shape[0]
        output = _classified(graph, hidden), ("logits", TensorProto.FLOAT, ["batch", labels])
    elif chosen := pooling.of(checkpoint.folder, sizes.hidden):
        vector = pooling.pooled(graph, hidden, chosen)
        output = vector, ("sentence_embedding", TensorProto.FLOAT, ["batch", sizes.hidden])
    else:
        output = hidden, ("last_hidden_state", TensorProto.FLOAT, [*_SIZES, sizes.hidden])
    graph.finish("bert", [(name, TensorProto.INT64, _SIZES) for name in _INPUTS], output)


@dataclass(frozen=True, slots=True)
class _Sizes:
    hidden: int
    inner: int
    heads: int
    layers: int
    vocabulary: int
    positions: int
    types: int
    epsilon: float
    activation: str

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> _Sizes:
        """Raises Unusable for a configuration that this module does not know."""
        config, number = checkpoint.config, checkpoint.number
        found = cls(
            hidden=number("hidden_size"),
            inner=number("intermediate_size"),
            heads=number("num_attention_heads"),
            layers=number("num_hidden_layers"),
            vocabulary=number("vocab_size"),
            positions=number("max_position_embeddings"),
            types=number("type_vocab_size", 2),
            epsilon=config.get("layer_norm_eps", 1e-12),
            activation=config.get("hidden_act", "gelu"),
        )
        for wrong, why in (
            (found.hidden % found.heads, "`hidden_size` is no multiple of `num_attention_heads`"),
            (found.layers > _MOST_LAYERS, f"more than {_MOST_LAYERS} layers are not supported"),
            (not isinstance(found.epsilon, float) or not 0 <= found.epsilon < 1, "`layer_norm_eps` is no small number"),
            (found.activation not in _ACTIVATIONS, f"`hidden_act` is none of {', '.join(_ACTIVATIONS)}"),
            (config.get("position_embedding_type", "absolute") != "absolute", "positions are not absolute"),
            (config.get("is_decoder"), "it is a decoder"),
        ):
            if wrong:
                raise Unusable("UNSUPPORTED_MODEL", f"`{CONFIG}`: {why}.")
        return found


def _shapes(sizes: _Sizes, task: str) -> Iterator[tuple[str, tuple[int | None, ...]]]:
    """The weights that the graph takes; None stands for any size."""
    hidden, inner = sizes.hidden, sizes.inner
    for kind, rows in (("word", sizes.vocabulary), ("position", sizes.positions), ("token_type", sizes.types)):
        yield f"embeddings.{kind}_embeddings.weight", (rows, hidden)
    square = ["attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"]
    layers = [f"encoder.layer.{number}" for number in range(sizes.layers)]
    for layer in layers:
        linears = [(name, hidden, hidden) for name in square]
        for name, out, into in [*linears, ("intermediate.dense", inner, hidden), ("output.dense", hidden, inner)]:
            yield f"{layer}.{name}.weight", (out, into)
            yield f"{layer}.{name}.bias", (out,)
    for name in ("embeddings", *(f"{layer}.{part}output" for layer in layers for part in ("attention.", ""))):
        yield f"{name}.LayerNorm.weight", (hidden,)
        yield f"{name}.LayerNorm.bias", (hidden,)
    if task == "text-classification":
        yield "pooler.dense.weight", (hidden, hidden)
        yield "pooler.dense.bias", (hidden,)
        yield "classifier.weight", (None, hidden)
        yield "classifier.bias", (None,)


def _missing(sizes: _Sizes, tensors: Mapping[str, Any], task: str) -> Iterator[Unusable]:
    """Weights that are absent or of another kind; the first few by name."""
    wrong = []
    for name, wanted in _shapes(sizes, task):
        stored = _stored_name(name, tensors)
        if stored is None:
            wrong.append(f"The weights have no tensor `{name}`.")
        elif not _fits(tensors[stored].shape, wanted):
            shown = " × ".join("…" if size is None else str(size) for size in wanted)
            found = " × ".join(map(str, tensors[stored].shape)) or "a single number"
            wrong.append(f"Tensor `{stored}` is {found}; `{CONFIG}` asks for {shown}.")
        elif tensors[stored].dtype not in FLOATS:
            wrong.append(f"Tensor `{stored}` is {tensors[stored].dtype}; known are {', '.join(FLOATS)}.")
    for message in wrong[:_MOST_NAMED]:
        yield Unusable("UNSUPPORTED_MODEL", message)
    if len(wrong) > _MOST_NAMED:
        yield Unusable("UNSUPPORTED_MODEL", f"So it is with {len(wrong) - _MOST_NAMED} more of its tensors.")


def _fits(shape: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    return len(shape) == len(wanted) and all(
        size >= 1 and other in (None, size) for size, other in zip(shape, wanted, strict=True)
    )


def _stored_name(name: str, tensors: Mapping[str, Any]) -> str | None:
    """What the checkpoint calls a weight: models with a head have a prefix, weights from TensorFlow other words."""
    old = name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
    return next((found for found in (name, f"bert.{name}", old, f"bert.{old}") if found in tensors), None)


def _embedded(graph: Graph, sizes: _Sizes) -> str:
    """Words, segments and positions, added and normalized: batch × sequence × hidden."""
    at = "embeddings"
    words = graph.node("Gather", [graph.weight(f"{at}.word_embeddings.weight"), "input_ids"], f"{at}/word_embeddings")
    types = graph.weight(f"{at}.token_type_embeddings.weight")
    segments = graph.node("Gather", [types, "token_type_ids"], f"{at}/token_type_embeddings")
    shape = graph.node("Shape", ["input_ids"], at)
    length = graph.node("Gather", [shape, graph.constant("one", np.int64(1))], f"{at}/length", axis=0)
    axes = [graph.constant(f"axis_{axis}", np.array([axis])) for axis in (0, 1)]
    end = graph.node("Unsqueeze", [length, axes[0]], at)
    places = graph.constant(f"{at}.position_ids", np.arange(sizes.positions)[None])
    position = graph.node("Slice", [places, axes[0], end, axes[1], axes[1]], at)
    table = graph.weight(f"{at}.position_embeddings.weight")
    positions = graph.node("Gather", [table, position], f"{at}/position_embeddings")
    both = graph.node("Add", [words, segments], at)
    return graph.layer_norm(graph.node("Add", [both, positions], f"{at}/positions"), f"{at}.LayerNorm", sizes.epsilon)


def _mask(graph: Graph) -> str:
    """0 for tokens and _MASKED for padding: batch × 1 × 1 × sequence."""
    rows = graph.node("Unsqueeze", ["attention_mask", graph.constant("axis_1", np.array([1]))], "mask/heads")
    mask = graph.node("Unsqueeze", [rows, graph.constant("axis_2", np.array([2]))], "mask/queries")
    floats = graph.node("Cast", [mask], "mask", to=TensorProto.FLOAT)
    inverted = graph.node("Sub", [graph.constant("one_float", np.float32(1)), floats], "mask")
    return graph.node("Mul", [inverted, graph.constant("masked", np.float32(_MASKED))], "mask")


def _layer(graph: Graph, hidden: str, mask: str, name: str, sizes: _Sizes) -> str:
    at = name.replace(".", "/")
    attended = graph.linear(
        _attention(graph, hidden, mask, f"{name}.attention.self", sizes), f"{name}.attention.output.dense"
    )
    added = graph.node("Add", [attended, hidden], f"{at}/attention/output")
    middle = graph.layer_norm(added, f"{name}.attention.output.LayerNorm", sizes.epsilon)
    inner = _activated(
        graph, graph.linear(middle, f"{name}.intermediate.dense"), f"{at}/intermediate", sizes.activation
    )
    outer = graph.linear(inner, f"{name}.output.dense")
    return graph.layer_norm(
        graph.node("Add", [outer, middle], f"{at}/output"), f"{name}.output.LayerNorm", sizes.epsilon
    )


def _attention(graph: Graph, hidden: str, mask: str, name: str, sizes: _Sizes) -> str:
    """All heads, concatenated: batch × sequence × hidden."""
    at, size = name.replace(".", "/"), sizes.hidden // sizes.heads
    split = graph.constant("heads", np.array([0, 0, sizes.heads, size]))
    joined = graph.constant("joined", np.array([0, 0, sizes.hidden]))

    def heads(part: str, order: list[int]) -> str:
        projected = graph.node("Reshape", [graph.linear(hidden, f"{name}.{part}"), split], f"{at}/{part}")
        return graph.node("Transpose", [projected], f"{at}/{part}", perm=order)

    query, key, value = (
        heads(p, o) for p, o in (("query", [0, 2, 1, 3]), ("key", [0, 2, 3, 1]), ("value", [0, 2, 1, 3]))
    )
    scores = graph.node("MatMul", [query, key], f"{at}/scores")
    scaled = graph.node("Div", [scores, graph.constant("scale", np.float32(math.sqrt(size)))], at)
    shares = graph.node("Softmax", [graph.node("Add", [scaled, mask], at)], at, axis=-1)
    mixed = graph.node("Transpose", [graph.node("MatMul", [shares, value], f"{at}/context")], at, perm=[0, 2, 1, 3])
    return graph.node("Reshape", [mixed, joined], at)


def _activated(graph: Graph, value: str, at: str, activation: str) -> str:
    if activation == "relu":
        return graph.node("Relu", [value], at)
    half, one = graph.constant("half", np.float32(0.5)), graph.constant("one_float", np.float32(1))
    if activation == "gelu":
        root = graph.constant("root_two", np.float32(math.sqrt(2)))
        curve = graph.node("Erf", [graph.node("Div", [value, root], at)], at)
        return graph.node(
            "Mul", [graph.node("Mul", [value, graph.node("Add", [curve, one], at)], at), half], f"{at}/half"
        )
    # Hendrycks and Gimpel (2016): x/2 · (1 + tanh(√(2/π) · (x + 0.044715 x³)))
    cube = graph.node("Pow", [value, graph.constant("three", np.float32(3))], at)
    small = graph.node("Mul", [cube, graph.constant("cubic", np.float32(0.044715))], f"{at}/cube")
    total = graph.node("Add", [value, small], f"{at}/sum")
    bent = graph.node("Mul", [total, graph.constant("root", np.float32(math.sqrt(2 / math.pi)))], f"{at}/root")
    curve = graph.node("Add", [graph.node("Tanh", [bent], at), one], at)
    return graph.node("Mul", [graph.node("Mul", [value, half], f"{at}/half"), curve], at)


def _classified(graph: Graph, hidden: str) -> str:
    """Logits from the first token, through the pooler."""
    first = graph.node("Gather", [hidden, graph.constant("zero", np.int64(0))], "pooler", axis=1)
    pooled = graph.node("Tanh", [graph.linear(first, "pooler.dense")], "pooler")
    return graph.linear(pooled, "classifier")
