"""A one-layer encoder of BERT's kind, with every operation spelt out as exporters do it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

WORDS, WIDTH, HEADS, INNER = 32, 16, 2, 24
SIZE = WIDTH // HEADS


class _Graph:
    def __init__(self, seed: int) -> None:
        self._draw = np.random.default_rng(seed).standard_normal
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def weight(self, name: str, *shape: int) -> str:
        return self.constant(name, self._draw(shape).astype(np.float32) / np.float32(np.sqrt(shape[0])))

    def constant(self, name: str, value: Any) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def node(self, operator: str, *inputs: str, out: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(operator, list(inputs), [out], name=f"/{out}", **attributes))
        return out

    def linear(self, name: str, value: str, columns: int, rows: int = WIDTH) -> str:
        product = self.node("MatMul", value, self.weight(f"{name}.weight", rows, columns), out=f"{name}.product")
        return self.node("Add", product, self.weight(f"{name}.bias", columns), out=name)

    def norm(self, name: str, value: str) -> str:
        scale = self.constant(f"{name}.scale", np.ones(WIDTH, np.float32))
        bias = self.weight(f"{name}.shift", WIDTH)
        return self.node("LayerNormalization", value, scale, bias, out=name, axis=-1, epsilon=1e-12)


def graph(seed: int = 5) -> Any:
    """Inputs `input_ids` and `attention_mask` (batch × sequence), output `last_hidden_state`; opset 17."""
    made = _Graph(seed)
    tokens = made.node("Gather", made.weight("embeddings", WORDS, WIDTH), "input_ids", out="tokens")
    hidden = made.norm("embedded", tokens)
    context = _attention(made, hidden)
    hidden = made.norm("attended", made.node("Add", made.linear("merged", context, WIDTH), hidden, out="sum_1"))
    inner = _gelu(made, made.linear("wide", hidden, INNER))
    made.norm(
        "last_hidden_state",
        made.node("Add", made.linear("narrow", inner, WIDTH, INNER), hidden, out="sum_2"),
    )
    body = helper.make_graph(
        made.nodes,
        "encoder",
        [
            helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "sequence"]),
            helper.make_tensor_value_info("attention_mask", TensorProto.INT64, ["batch", "sequence"]),
        ],
        [helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["batch", "sequence", WIDTH])],
        made.constants,
    )
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def _attention(made: _Graph, hidden: str) -> str:
    shape = made.constant("heads_shape", np.array([0, 0, HEADS, SIZE]))
    cut = {}
    for name, order in (("query", [0, 2, 1, 3]), ("key", [0, 2, 3, 1]), ("value", [0, 2, 1, 3])):
        heads = made.node("Reshape", made.linear(name, hidden, WIDTH), shape, out=f"{name}.heads")
        cut[name] = made.node("Transpose", heads, out=f"{name}.turned", perm=order)
    root = made.constant("root", np.float32(np.sqrt(SIZE)))
    scores = made.node("Div", made.node("MatMul", cut["query"], cut["key"], out="products"), root, out="scores")
    weights = made.node("Softmax", made.node("Add", scores, _mask(made), out="masked"), out="weights", axis=-1)
    context = made.node("MatMul", weights, cut["value"], out="context")
    turned = made.node("Transpose", context, out="context.turned", perm=[0, 2, 1, 3])
    return made.node("Reshape", turned, made.constant("flat_shape", np.array([0, 0, WIDTH])), out="context.flat")


def _mask(made: _Graph) -> str:
    """0 where a token may be looked at, a large negative number where not."""
    first = made.node("Unsqueeze", "attention_mask", made.constant("axis_1", np.array([1])), out="mask.1")
    second = made.node("Unsqueeze", first, made.constant("axis_2", np.array([2])), out="mask.2")
    cast = made.node("Cast", second, out="mask.float", to=TensorProto.FLOAT)
    missing = made.node("Sub", made.constant("one", np.float32(1)), cast, out="mask.missing")
    return made.node("Mul", missing, made.constant("low", np.float32(-10000)), out="mask.low")


def _gelu(made: _Graph, value: str) -> str:
    scaled = made.node("Div", value, made.constant("root_2", np.float32(np.sqrt(2))), out="gelu.scaled")
    error = made.node("Add", made.node("Erf", scaled, out="gelu.erf"), "one", out="gelu.sum")
    return made.node(
        "Mul", made.node("Mul", value, error, out="gelu.product"), made.constant("half", np.float32(0.5)), out="gelu"
    )


def write(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "model.onnx"
    path.write_bytes(graph().SerializeToString(deterministic=True))
    return path


def run(model: Path) -> Any:
    """The output for two texts, padded at the left and at the right; where there is padding, 0."""
    import onnxruntime

    ids = np.random.default_rng(1).integers(0, WORDS, (2, 8))
    mask = np.ones((2, 8), np.int64)
    mask[0, :3], mask[1, 6:] = 0, 0
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    feeds = {"input_ids": ids, "attention_mask": mask}
    return session.run(None, {value.name: feeds[value.name] for value in session.get_inputs()})[0] * mask[:, :, None]


def operators(model: Path) -> dict[str, int]:
    found: dict[str, int] = {}
    for node in onnx.load(model, load_external_data=False).graph.node:
        found[node.op_type] = found.get(node.op_type, 0) + 1
    return found
