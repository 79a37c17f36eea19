"""`prune` with `heads` and `neurons` on plain ONNX nodes: what is left computes the whole without what went."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.artifact import encoder_layer, tiny
from tests.artifact.encoder_layer import ATTENTION, HEADS, SIZE
from tests.artifact.pruned import DOWN, OUT, arrays, norms, output, plain, prune, run, without, write


@pytest.mark.parametrize("computed", [False, True], ids=["constant-shapes", "computed-shapes"])
def test_heads_of_an_encoder(tmp_path: Path, computed: bool) -> None:
    weights = encoder_layer.weights()
    model = encoder_layer.graph(weights, computed_shapes=computed)
    result = run(write(tmp_path / "m", model), prune("heads", 0.5))
    [[layer]] = [report["layers"] for report in result["reports"]]
    value, out = weights[f"{ATTENTION}.self.value.weight"], weights[OUT]
    scores = norms(value.reshape(-1, HEADS, SIZE), (0, 2)) * norms(out.reshape(HEADS, SIZE, -1), (1, 2))
    removed = sorted(np.argsort(scores)[:2].tolist())
    assert layer == {"node": "/context", "before": 4, "after": 2, "removed": removed}
    made = tmp_path / "made" / "model.onnx"
    feeds = encoder_layer.feeds()
    np.testing.assert_allclose(output(made, feeds), output(without(model, OUT, removed, SIZE), feeds), atol=1e-5)
    shapes = {name: array.shape for name, array in arrays(made).items()}
    assert {shapes[f"{ATTENTION}.self.{part}.{kind}"] for part in ("query", "key", "value") for kind in ("bias",)} == {
        (4,)
    }
    assert {shapes[f"{ATTENTION}.self.{part}.weight"] for part in ("query", "key", "value")} == {(8, 4)}
    assert shapes[OUT] == (4, 8)
    read = {name for node in onnx.load(made).graph.node for name in node.input}
    assert set(shapes) <= read
    assert {name for node in onnx.load(made).graph.node for name in node.output} - read == {"y"}
    assert result["parameters"] == sum(array.size for array in arrays(made).values())


def test_neurons_of_an_encoder(tmp_path: Path) -> None:
    weights = encoder_layer.weights()
    model = encoder_layer.graph(weights)
    result = run(write(tmp_path / "m", model), prune("neurons", 0.34))
    scores = norms(weights["encoder.layer.0.intermediate.dense.weight"], 0) * norms(weights[DOWN], 1)
    removed = sorted(np.argsort(scores)[:4].tolist())
    assert result["reports"] == [
        {"layers": [{"node": "/encoder.layer.0.output.dense.MatMul", "before": 12, "after": 8, "removed": removed}]}
    ]
    made = tmp_path / "made" / "model.onnx"
    feeds = encoder_layer.feeds()
    np.testing.assert_allclose(output(made, feeds), output(without(model, DOWN, removed), feeds), atol=1e-5)
    shapes = {name: array.shape for name, array in arrays(made).items()}
    assert shapes["encoder.layer.0.intermediate.dense.weight"] == (8, 8)
    assert shapes["encoder.layer.0.intermediate.dense.bias"] == (8,)
    assert shapes[DOWN] == (8, 8)


def test_heads_and_neurons_one_after_the_other(tmp_path: Path) -> None:
    model = encoder_layer.graph(encoder_layer.weights())
    result = run(write(tmp_path / "m", model), prune("neurons", 0.5), prune("heads", 0.25))
    neurons, heads = (report["layers"][0]["removed"] for report in result["reports"])
    expected = output(without(without(model, DOWN, neurons), OUT, heads, SIZE), encoder_layer.feeds())
    np.testing.assert_allclose(output(tmp_path / "made" / "model.onnx", encoder_layer.feeds()), expected, atol=1e-5)


def test_a_chain_of_gemms_shrinks_on_both_sides_of_its_middle(tmp_path: Path) -> None:
    draw = np.random.default_rng(2).standard_normal
    shapes = {"A": (10, 6), "a": (10,), "B": (10, 8), "b": (8,), "C": (4, 8), "c": (4,)}
    weights = {name: draw(shape).astype(np.float32) for name, shape in shapes.items()}
    nodes = [
        helper.make_node("Gemm", ["x", "A", "a"], ["1"], name="first", transB=1),
        helper.make_node("Relu", ["1"], ["2"]),
        helper.make_node("Gemm", ["2", "B", "b"], ["3"], name="second"),
        helper.make_node("Tanh", ["3"], ["4"]),
        helper.make_node("Gemm", ["4", "C", "c"], ["y"], name="third", transB=1),
    ]
    model = plain(nodes, weights, ("x", ["rows", 6]), ("y", ["rows", 4]))
    result = run(write(tmp_path / "m", model), prune("neurons", 0.5))
    layers = {layer["node"]: layer["removed"] for layer in result["reports"][0]["layers"]}
    assert {name: len(removed) for name, removed in layers.items()} == {"second": 5, "third": 4}
    made = tmp_path / "made" / "model.onnx"
    assert {name: array.shape for name, array in arrays(made).items()} == {
        "A": (5, 6), "a": (5,), "B": (5, 4), "b": (4,), "C": (4, 4), "c": (4,),
    }  # fmt: skip
    turned = onnx.ModelProto()
    turned.CopyFrom(without(model, "B", layers["second"]))
    last = next(tensor for tensor in turned.graph.initializer if tensor.name == "C")
    array = weights["C"].copy()
    array[:, layers["third"]] = 0
    last.CopyFrom(numpy_helper.from_array(array, "C"))
    feeds = {"x": draw((3, 6)).astype(np.float32)}
    np.testing.assert_allclose(output(made, feeds), output(turned, feeds), atol=1e-5)


@pytest.mark.parametrize(
    ("method", "weight", "what"),
    [
        ("heads", f"{ATTENTION}.self.query.weight", "The heads at `/context`"),
        ("neurons", DOWN, "The neurons before `/encoder.layer.0.output.dense.MatMul`"),
    ],
)
def test_a_matrix_that_another_node_reads_stays(tmp_path: Path, method: str, weight: str, what: str) -> None:
    model = encoder_layer.graph(encoder_layer.weights())
    model.graph.node.append(helper.make_node("Transpose", [weight], ["y2"]))
    model.graph.output.append(helper.make_tensor_value_info("y2", TensorProto.FLOAT, None))
    result = run(write(tmp_path / "m", model), prune(method, 0.5))
    assert result == {
        "failed": 0,
        "refused": "STEP_INAPPLICABLE",
        "reason": f"{what} stay: another node reads `{weight}` too.",
    }


def test_a_mask_that_differs_from_head_to_head_stands_in_the_way(tmp_path: Path) -> None:
    model = encoder_layer.graph(encoder_layer.weights())
    model.graph.initializer.append(numpy_helper.from_array(np.zeros((1, HEADS, 5, 5), np.float32), "bias"))
    masked = next(node for node in model.graph.node if node.output[0] == "masked")
    masked.input[1] = "bias"
    result = run(write(tmp_path / "m", model), prune("heads", 0.5))
    assert result["refused"] == "STEP_INAPPLICABLE"


def test_neurons_that_are_an_output_of_the_graph_stay(tmp_path: Path) -> None:
    model = encoder_layer.graph(encoder_layer.weights())
    model.graph.output.append(helper.make_tensor_value_info("gelu", TensorProto.FLOAT, None))
    result = run(write(tmp_path / "m", model), prune("neurons", 0.5))
    assert result["refused"] == "STEP_INAPPLICABLE"


@pytest.mark.parametrize(
    ("method", "share", "why"),
    [
        ("neurons", 1.0, "A `share` of 100% leaves nothing of the 12 units at `/encoder.layer.0.output.dense.MatMul`."),
        ("heads", 1.0, "A `share` of 100% leaves nothing of the 4 units at `/context`."),
    ],
)
def test_a_share_that_leaves_nothing_is_refused(tmp_path: Path, method: str, share: float, why: str) -> None:
    model = encoder_layer.graph(encoder_layer.weights())
    result = run(write(tmp_path / "m", model), prune(method, share))
    assert result == {"failed": 0, "refused": "STEP_INAPPLICABLE", "reason": why}


@pytest.mark.parametrize(
    ("method", "why"),
    [("heads", "The graph has no attention to shrink"), ("neurons", "The graph has no feed-forward layer to shrink")],
)
def test_a_graph_without_such_parts_is_refused(tmp_path: Path, method: str, why: str) -> None:
    result = run(tiny.write(tmp_path / "m"), prune(method, 0.5))
    assert result["refused"] == "STEP_INAPPLICABLE"
    assert result["reason"].startswith(why)
    assert "MatMul" in result["reason"]


def test_two_matrices_without_a_function_between_are_no_neurons(tmp_path: Path) -> None:
    weights = {"A": np.ones((4, 6), np.float32), "B": np.ones((6, 4), np.float32)}
    nodes = [helper.make_node("MatMul", ["x", "A"], ["1"]), helper.make_node("MatMul", ["1", "B"], ["y"])]
    model = plain(nodes, weights, ("x", ["rows", 4]), ("y", ["rows", 4]))
    assert run(write(tmp_path / "m", model), prune("neurons", 0.5))["refused"] == "STEP_INAPPLICABLE"
