"""An encoder as sentence-transformers has it, of whatever size: BERT with LayerNorm after each part, a Gemm at the end.

Weights go by the names of Hugging Face's BertModel; its matrices are outputs × inputs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from tests.artifact import tiny

HEADS, HIDDEN, LAYERS, INNER, POSITIONS = 2, 32, 2, 48, 64


def random_weights(seed: int = 5) -> dict[str, Any]:
    """Of a small model. The norms have outliers in a few channels, as those of trained transformers have."""
    draw = np.random.default_rng(seed)

    def matrix(*shape: int) -> Any:
        return (draw.standard_normal(shape) / np.sqrt(shape[-1])).astype(np.float32)

    def norm(name: str) -> dict[str, Any]:
        scale = np.ones(HIDDEN, np.float32)
        scale[draw.integers(0, HIDDEN, 2)] = 20
        return {f"{name}.weight": scale, f"{name}.bias": matrix(HIDDEN) / 4}

    found = {
        "embeddings.word_embeddings.weight": matrix(len(tiny.WORDS), HIDDEN),
        "embeddings.position_embeddings.weight": matrix(POSITIONS, HIDDEN),
        "embeddings.token_type_embeddings.weight": matrix(2, HIDDEN),
        "pooler.dense.weight": matrix(HIDDEN, HIDDEN),
        "pooler.dense.bias": matrix(HIDDEN),
        **norm("embeddings.LayerNorm"),
    }
    for layer in range(LAYERS):
        stem = f"encoder.layer.{layer}"
        parts = [f"attention.self.{name}" for name in ("query", "key", "value")] + ["attention.output.dense"]
        shapes = dict.fromkeys(parts, (HIDDEN, HIDDEN))
        shapes |= {"intermediate.dense": (INNER, HIDDEN), "output.dense": (HIDDEN, INNER)}
        for name, shape in shapes.items():
            found |= {f"{stem}.{name}.weight": matrix(*shape), f"{stem}.{name}.bias": matrix(shape[0]) / 4}
        found |= norm(f"{stem}.attention.output.LayerNorm") | norm(f"{stem}.output.LayerNorm")
    return found


def graph(weights: Mapping[str, Any], heads: int = HEADS) -> Any:
    """The model as ONNX; matrices stand on the right of MatMul, inputs × outputs, as exporters write them."""
    drawing = _Drawing(weights)
    layers = 1 + max(int(name.split(".")[2]) for name in weights if name.startswith("encoder.layer."))
    hidden = drawing.embeddings()
    for layer in range(layers):
        hidden = drawing.layer(f"encoder.layer.{layer}", hidden, heads)
    drawing.add("Identity", [hidden], "last_hidden_state")
    first = drawing.add("Gather", [hidden, drawing.constant("zero", np.array(0))], "first", axis=1)
    pooled = ["pooler.dense.weight", "pooler.dense.bias"]
    for name in pooled:
        drawing.constant(name, weights[name])
    drawing.add("Tanh", [drawing.add("Gemm", [first, *pooled], "pooled", transB=1)], "pooler_output")
    ints = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"])
        for name in ("input_ids", "attention_mask", "token_type_ids")
    ]
    size = weights["pooler.dense.bias"].size
    outputs = [
        helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["batch", "tokens", size]),
        helper.make_tensor_value_info("pooler_output", TensorProto.FLOAT, ["batch", size]),
    ]
    body = helper.make_graph(drawing.nodes, "bert", ints, outputs, list(drawing.constants.values()))
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def write(folder: Path, weights: Mapping[str, Any] | None = None) -> Path:
    """A model folder: graph, tokenizer, configuration."""
    tiny.write(folder)
    (folder / "genai_config.json").unlink()
    (folder / "model.onnx").write_bytes(graph(weights or random_weights()).SerializeToString(deterministic=True))
    (folder / "config.json").write_text(json.dumps({"max_position_embeddings": POSITIONS}))
    return folder


@dataclass
class _Drawing:
    weights: Mapping[str, Any]
    nodes: list[Any] = field(default_factory=list)
    constants: dict[str, Any] = field(default_factory=dict)

    def constant(self, name: str, value: Any) -> str:
        self.constants.setdefault(name, numpy_helper.from_array(np.asarray(value, order="C"), name))
        return name

    def add(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [output], name=f"/{output}", **attributes))
        return output

    def embeddings(self) -> str:
        tables = {name: f"embeddings.{name}_embeddings.weight" for name in ("word", "position", "token_type")}
        for table in tables.values():
            self.constant(table, self.weights[table])
        words = self.add("Gather", [tables["word"], "input_ids"], "words")
        kinds = self.add("Gather", [tables["token_type"], "token_type_ids"], "kinds")
        ones = self.add(
            "Sub", [self.add("CumSum", ["attention_mask", self.constant("one", np.array(1))], "sums"), "one"], "order"
        )
        places = self.add("Gather", [tables["position"], ones], "places")
        both = self.add("Add", [self.add("Add", [words, kinds], "both"), places], "embedded")
        return self.norm("embeddings.LayerNorm", both)

    def norm(self, name: str, value: str) -> str:
        parts = [self.constant(f"{name}.{part}", self.weights[f"{name}.{part}"]) for part in ("weight", "bias")]
        return self.add("LayerNormalization", [value, *parts], name, epsilon=1e-12)

    def dense(self, name: str, value: str) -> str:
        weight = self.constant(f"{name}.weight", self.weights[f"{name}.weight"].T)
        product = self.add("MatMul", [value, weight], f"{name}.product")
        return self.add("Add", [self.constant(f"{name}.bias", self.weights[f"{name}.bias"]), product], name)

    def layer(self, stem: str, hidden: str, heads: int) -> str:
        size = self.weights[f"{stem}.attention.self.query.bias"].size
        shape = self.constant("split", np.array([0, 0, heads, size // heads]))
        orders = {"query": [0, 2, 1, 3], "key": [0, 2, 3, 1], "value": [0, 2, 1, 3]}
        parts = {}
        for part, order in orders.items():
            dense = self.dense(f"{stem}.attention.self.{part}", hidden)
            split = self.add("Reshape", [dense, shape], f"{dense}.heads")
            parts[part] = self.add("Transpose", [split], f"{dense}.turned", perm=order)
        scores = self.add("MatMul", [parts["query"], parts["key"]], f"{stem}.scores")
        root = self.constant("root", np.array(np.sqrt(size // heads), np.float32))
        shares = self.add("Softmax", [self.add("Div", [scores, root], f"{stem}.scaled")], f"{stem}.shares", axis=-1)
        mixed = self.add("MatMul", [shares, parts["value"]], f"{stem}.mixed")
        turned = self.add("Transpose", [mixed], f"{stem}.back", perm=[0, 2, 1, 3])
        joined = self.add("Reshape", [turned, self.constant("join", np.array([0, 0, size]))], f"{stem}.joined")
        output = self.dense(f"{stem}.attention.output.dense", joined)
        attended = self.norm(f"{stem}.attention.output.LayerNorm", self.add("Add", [output, hidden], f"{output}.sum"))
        inner = self.gelu(self.dense(f"{stem}.intermediate.dense", attended))
        outer = self.dense(f"{stem}.output.dense", inner)
        return self.norm(f"{stem}.output.LayerNorm", self.add("Add", [outer, attended], f"{outer}.sum"))

    def gelu(self, value: str) -> str:
        half = self.constant("half", np.array(0.5, np.float32))
        one = self.constant("one.float", np.array(1, np.float32))
        scaled = self.add(
            "Div", [value, self.constant("root.two", np.array(np.sqrt(2), np.float32))], f"{value}.scaled"
        )
        share = self.add("Add", [self.add("Erf", [scaled], f"{value}.erf"), one], f"{value}.share")
        return self.add("Mul", [self.add("Mul", [value, share], f"{value}.twice"), half], f"{value}.gelu")
