"""A decoder of the Llama kind with random weights, of any size, written piece by piece.

The whole is TinyLlama's shape: 2,048 wide, 22 layers, 5,632 between, 32,000 words, 32 heads of 64 that share 4 of
keys and values; 1.1 billion parameters, 4.4 GB in float32. Operators and names are those of onnxruntime-genai's model
builder.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from compiler.artifact.graph.weights import Target

_CONTEXT = 512
_PIECE = 2**20
"""Values that are drawn at a time."""
_SPREAD = np.float32(0.02)


@dataclass(frozen=True, slots=True)
class Decoder:
    layers: int = 22
    hidden: int = 2048
    between: int = 5632
    words: int = 32_000
    heads: int = 32
    kv_heads: int = 4

    @property
    def head(self) -> int:
        return self.hidden // self.heads

    def matrices(self) -> dict[str, tuple[int, int]]:
        """Name → shape, in the order of the file."""
        joint = self.hidden + 2 * self.kv_heads * self.head
        found = {"model.embed_tokens.weight": (self.words, self.hidden)}
        for layer in range(self.layers):
            at = f"model.layers.{layer}"
            found |= {
                f"{at}.attn.qkv_proj.MatMul.weight": (self.hidden, joint),
                f"{at}.attn.o_proj.MatMul.weight": (self.hidden, self.hidden),
                f"{at}.mlp.gate_proj.MatMul.weight": (self.hidden, self.between),
                f"{at}.mlp.up_proj.MatMul.weight": (self.hidden, self.between),
                f"{at}.mlp.down_proj.MatMul.weight": (self.between, self.hidden),
            }
        return found | {"lm_head.MatMul.weight": (self.hidden, self.words)}

    def parameters(self) -> int:
        return sum(rows * columns for rows, columns in self.matrices().values())


WHOLE = Decoder()


def write(decoder: Decoder, path: Path) -> None:
    """Write the graph and, beside it, its weights: normal, with a standard deviation of 0.02."""
    target = Target(path)
    made = [target.reserve(name, TensorProto.FLOAT, shape) for name, shape in decoder.matrices().items()]
    for number, tensor in enumerate(made):
        draw = np.random.default_rng([7, number])
        count = int(np.prod(tensor.dims))
        for start in range(0, count, _PIECE):
            values = draw.standard_normal(min(_PIECE, count - start), np.float32)
            target.write(tensor, values * _SPREAD, 4 * start)
    graph = _Graph(decoder)
    graph.build()
    body = helper.make_graph(graph.nodes, "decoder", graph.inputs, graph.outputs, [*graph.small, *made])
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    target.finish(helper.make_model(body, opset_imports=opsets, ir_version=10))
    (path.parent / "genai_config.json").write_text(json.dumps(_configuration(decoder)))


def _configuration(decoder: Decoder) -> dict[str, Any]:
    inner = {
        "filename": "model.onnx",
        "head_size": decoder.head,
        "num_key_value_heads": decoder.kv_heads,
        "num_hidden_layers": decoder.layers,
    }
    return {"model": {"context_length": _CONTEXT, "vocab_size": decoder.words, "decoder": inner}}


class _Graph:
    def __init__(self, decoder: Decoder) -> None:
        self.decoder = decoder
        self.nodes: list[Any] = []
        self.small: list[Any] = []
        self.inputs = [
            helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "new"]),
            helper.make_tensor_value_info("attention_mask", TensorProto.INT64, ["batch", "total"]),
        ]
        logits = ["batch", "new", decoder.words]
        self.outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, logits)]

    def build(self) -> None:
        self._lengths()
        self._rotary()
        self._node("Gather", ["model.embed_tokens.weight", "input_ids"], "embedded")
        residual, hidden = "embedded", self._norm("embedded", "model.norm.first")
        for layer in range(self.decoder.layers):
            residual, hidden = self._layer(f"model.layers.{layer}", layer, residual, hidden)
        self._node("MatMul", [hidden, "lm_head.MatMul.weight"], "logits")

    def _layer(self, at: str, layer: int, residual: str, hidden: str) -> tuple[str, str]:
        joint = self._product(hidden, f"{at}.attn.qkv_proj")
        context = self._attention(at, layer, joint)
        residual, hidden = self._add_norm(residual, self._product(context, f"{at}.attn.o_proj"), f"{at}.middle")
        gate, up = self._product(hidden, f"{at}.mlp.gate_proj"), self._product(hidden, f"{at}.mlp.up_proj")
        opened = self._node("Sigmoid", [gate], f"{at}.mlp.sigmoid")
        silu = self._node("Mul", [gate, opened], f"{at}.mlp.silu")
        both = self._node("Mul", [silu, up], f"{at}.mlp.both")
        return self._add_norm(residual, self._product(both, f"{at}.mlp.down_proj"), f"{at}.end")

    def _attention(self, at: str, layer: int, joint: str) -> str:
        d, caches = self.decoder, []
        for part in ("key", "value"):
            name = f"past_key_values.{layer}.{part}"
            past, total = (["batch", d.kv_heads, length, d.head] for length in ("past", "total"))
            self.inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, past))
            self.outputs.append(helper.make_tensor_value_info(f"present.{layer}.{part}", TensorProto.FLOAT, total))
            caches.append(name)
        node = helper.make_node(
            "GroupQueryAttention",
            [joint, "", "", *caches, "last", "total", "cos_cache", "sin_cache"],
            [f"{at}.context", f"present.{layer}.key", f"present.{layer}.value"],
            name=f"{at}.attn",
            domain="com.microsoft",
            num_heads=d.heads,
            kv_num_heads=d.kv_heads,
            do_rotary=1,
        )
        self.nodes.append(node)
        return f"{at}.context"

    def _lengths(self) -> None:
        self._constant("one", np.array([1]))
        self._constant("second", np.array(1))
        self._node("ReduceSum", ["attention_mask", "one"], "counted")
        self._node("Sub", ["counted", "one"], "before")
        self._node("Cast", ["before"], "last", to=TensorProto.INT32)
        self._node("Shape", ["attention_mask"], "shape")
        self._node("Gather", ["shape", "second"], "length")
        self._node("Cast", ["length"], "total", to=TensorProto.INT32)

    def _rotary(self) -> None:
        rates = 10_000.0 ** -(np.arange(0, self.decoder.head, 2) / self.decoder.head)
        angles = np.arange(_CONTEXT)[:, None] * rates
        self._constant("cos_cache", np.cos(angles).astype(np.float32))
        self._constant("sin_cache", np.sin(angles).astype(np.float32))

    def _norm(self, value: str, name: str) -> str:
        self._constant(f"{name}.weight", np.ones(self.decoder.hidden, np.float32))
        return self._node("SimplifiedLayerNormalization", [value, f"{name}.weight"], name, axis=-1, epsilon=1e-5)

    def _add_norm(self, residual: str, added: str, name: str) -> tuple[str, str]:
        self._constant(f"{name}.weight", np.ones(self.decoder.hidden, np.float32))
        node = helper.make_node(
            "SkipSimplifiedLayerNormalization",
            [residual, added, f"{name}.weight"],
            [name, "", "", f"{name}.sum"],
            name=f"/{name}",
            domain="com.microsoft",
            epsilon=1e-5,
        )
        self.nodes.append(node)
        return f"{name}.sum", name

    def _product(self, value: str, name: str) -> str:
        return self._node("MatMul", [value, f"{name}.MatMul.weight"], name)

    def _node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [output], name=f"/{output}", **attributes))
        return output

    def _constant(self, name: str, values: Any) -> None:
        self.small.append(numpy_helper.from_array(values, name))
