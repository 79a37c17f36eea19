"""One layer of an encoder as exporters write it: attention in plain nodes, then a feed-forward layer with GELU.

    x + Attention(x) = y,   y + GELU(y · I + i) · O + o

Without norms, so that what a unit adds to the output can be told. 8 wide, 4 heads of 2, 12 neurons.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

WIDTH, HEADS, NEURONS = 8, 4, 12
SIZE = WIDTH // HEADS
ATTENTION = "encoder.layer.0.attention"


def weights(seed: int = 5) -> dict[str, Any]:
    draw = np.random.default_rng(seed).standard_normal
    shapes = {
        **{f"{ATTENTION}.self.{part}.weight": (WIDTH, WIDTH) for part in ("query", "key", "value")},
        **{f"{ATTENTION}.self.{part}.bias": (WIDTH,) for part in ("query", "key", "value")},
        f"{ATTENTION}.output.dense.weight": (WIDTH, WIDTH),
        f"{ATTENTION}.output.dense.bias": (WIDTH,),
        "encoder.layer.0.intermediate.dense.weight": (WIDTH, NEURONS),
        "encoder.layer.0.intermediate.dense.bias": (NEURONS,),
        "encoder.layer.0.output.dense.weight": (NEURONS, WIDTH),
        "encoder.layer.0.output.dense.bias": (WIDTH,),
    }
    return {name: draw(shape).astype(np.float32) for name, shape in shapes.items()}


@dataclass
class _Layer:
    """The nodes and constants of the graph, in the order that they were asked for."""

    computed_shapes: bool
    nodes: list[Any] = field(default_factory=list)
    constants: dict[str, Any] = field(
        default_factory=lambda: {
            "root": np.array(np.sqrt(SIZE), np.float32),
            "sqrt2": np.array(np.sqrt(2), np.float32),
            "one": np.array(1, np.float32),
            "half": np.array(0.5, np.float32),
        }
    )

    def add(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [output], name=f"/{output}", **attributes))
        return output

    def linear(self, data: str, name: str) -> str:
        product = self.add("MatMul", [data, f"{name}.weight"], f"{name}.MatMul")
        return self.add("Add", [f"{name}.bias", product], f"{name}.Add")

    def shape(self, name: str, tail: list[int]) -> str:
        """Constant, or joined to the sizes of the input. Who asks twice gets the same."""
        if not self.computed_shapes:
            self.constants[name] = np.array([0, 0, *tail])
        elif name not in [node.output[0] for node in self.nodes]:
            self.constants.update({f"number{value}": np.array([value]) for value in tail})
            self.add("Concat", ["ends", *(f"number{value}" for value in tail)], name, axis=0)
        return name

    def attention(self) -> str:
        """Of `x`, with what it is added to."""
        turned = {}
        for part, order in (("query", [0, 2, 1, 3]), ("key", [0, 2, 3, 1]), ("value", [0, 2, 1, 3])):
            made = self.linear("x", f"{ATTENTION}.self.{part}")
            heads = self.add("Reshape", [made, self.shape("heads_shape", [HEADS, SIZE])], f"{part}_heads")
            turned[part] = self.add("Transpose", [heads], f"{part}_turned", perm=order)
        products = self.add("MatMul", [turned["query"], turned["key"]], "products")
        scores = self.add("Div", [products, "root"], "scaled")
        probabilities = self.add("Softmax", [self.add("Add", [scores, "m"], "masked")], "probabilities", axis=-1)
        context = self.add("MatMul", [probabilities, turned["value"]], "context")
        context = self.add("Transpose", [context], "context_turned", perm=[0, 2, 1, 3])
        context = self.add("Reshape", [context, self.shape("context_shape", [WIDTH])], "context_joined")
        return self.add("Add", [self.linear(context, f"{ATTENTION}.output.dense"), "x"], "middle")

    def feed_forward(self, middle: str) -> str:
        inner = self.linear(middle, "encoder.layer.0.intermediate.dense")
        erf = self.add("Erf", [self.add("Div", [inner, "sqrt2"], "divided")], "erf")
        gated = self.add("Mul", [inner, self.add("Add", [erf, "one"], "raised")], "gated")
        gelu = self.add("Mul", [gated, "half"], "gelu")
        return self.add("Add", [self.linear(gelu, "encoder.layer.0.output.dense"), middle], "y")


def graph(values: Mapping[str, Any], *, computed_shapes: bool = False) -> Any:
    """Input `x` (batch × tokens × width) and a mask `m` of 0 and -10000 (batch × 1 × 1 × tokens), output `y`.

    With `computed_shapes` batch and tokens of a Reshape come from a Shape node and are joined to constants.
    """
    layer = _Layer(computed_shapes)
    if computed_shapes:
        layer.add("Shape", ["x"], "ends", start=0, end=2)
    layer.feed_forward(layer.attention())
    sizes = ["batch", "tokens", WIDTH]
    body = helper.make_graph(
        layer.nodes,
        "encoder",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, sizes),
            helper.make_tensor_value_info("m", TensorProto.FLOAT, ["batch", 1, 1, "tokens"]),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, sizes)],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in {**values, **layer.constants}.items()],
    )
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def feeds(seed: int = 1) -> dict[str, Any]:
    draw = np.random.default_rng(seed).standard_normal
    mask = np.zeros((2, 1, 1, 5), np.float32)
    mask[1, 0, 0, 3:] = -10000
    return {"x": draw((2, 5, WIDTH)).astype(np.float32), "m": mask}
