"""`extract`: the nodes between named values, their weights, and types that nobody wrote down."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from compiler.artifact.graph import graphs
from tests.artifact import encoder_graph, tiny
from tests.artifact.stepping import applied


def extracted(source: Path, inputs: list[str], outputs: list[str], target: Path) -> dict[str, Any]:
    return applied("extract", {"inputs": inputs, "outputs": outputs}, source, target)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return tiny.write(tmp_path / "m") / "model.onnx"


def test_a_part_computes_what_it_computed(source: Path, tmp_path: Path) -> None:
    made = extracted(source, ["hidden"], ["from_token", "keys"], tmp_path / "a")
    assert made == {
        "graph": "model.onnx",
        "changed": True,
        "remarks": [],
        "report": {"nodes": {"before": 13, "after": 2}},
        "weight_bytes": 4 * (16 * 4 + 16 * 32),
    }
    onnx.checker.check_model(str(tmp_path / "a" / "model.onnx"), full_check=True)
    model = onnx.load(tmp_path / "a" / "model.onnx")
    assert [tensor.name for tensor in model.graph.initializer] == ["K", "W"]
    session = onnxruntime.InferenceSession(str(tmp_path / "a" / "model.onnx"), providers=["CPUExecutionProvider"])
    hidden = np.random.default_rng(2).standard_normal((1, 3, 16)).astype(np.float32)
    weights = tiny.Weights.random()
    from_token, keys = session.run(None, {"hidden": hidden})
    assert from_token == pytest.approx(hidden @ weights.output, abs=1e-5)
    assert keys == pytest.approx(hidden @ weights.cache_in, abs=1e-5)


def test_the_whole_is_no_change(source: Path, tmp_path: Path) -> None:
    graph = onnx.load(source).graph
    names = [[value.name for value in values] for values in (graph.input, graph.output)]
    made = extracted(source, *names, tmp_path / "a")
    assert made["changed"] is False
    assert made["remarks"] == [
        ["STEP_PARTIAL", "no output needs input `attention_mask`; it is an input all the same."],
    ]


def test_types_of_operators_that_only_onnxruntime_knows(tmp_path: Path, repository: Path) -> None:
    whole = repository / "blueprints" / "hello" / "models" / "pydoc-1.0" / "model.onnx"
    model = onnx.load(whole)
    del model.graph.value_info[:]
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    attention = "/model/layers.0/attn/GroupQueryAttention/output_0"
    product = "/model/layers.0/attn/o_proj/MatMul/output_0"
    made = extracted(tmp_path / "model.onnx", [attention], [product], tmp_path / "a")
    assert made["report"] == {"nodes": {"before": 66, "after": 1}}
    part = onnx.load(tmp_path / "a" / "model.onnx")
    assert part.graph.input[0].type.tensor_type.elem_type == TensorProto.FLOAT
    assert [d.dim_value for d in part.graph.input[0].type.tensor_type.shape.dim][-1] == 192


VALUES = "inputs and outputs are values that the graph computes or is fed."


@pytest.mark.parametrize(
    ("inputs", "outputs", "reason", "parameter"),
    [
        (["input_ids", "input_id"], ["logits"], "the graph has no value `input_id`; `input_ids` is near.", "inputs.1"),
        (["input_ids"], ["zzz"], "the graph has no value `zzz`.", "outputs.0"),
        (["E"], ["logits"], f"`E` is a weight; {VALUES}", "inputs.0"),
        (
            ["input_ids"],
            ["logits"],
            "output `logits` needs `past_key_values.0.key`, which is not among the inputs.",
            None,
        ),
        (["input_ids"], ["input_ids"], "there is no node between `input_ids` and `input_ids`.", None),
    ],
    ids=["near", "unknown", "weight", "missing-input", "empty"],
)
def test_refusals(
    source: Path, tmp_path: Path, inputs: list[str], outputs: list[str], reason: str, parameter: str | None
) -> None:
    at = {"parameter": parameter} if parameter else {}
    found = extracted(source, inputs, outputs, tmp_path / "a")
    assert found == {"refused": "STEP_INAPPLICABLE", "reason": reason, **at}
    assert list((tmp_path / "a").iterdir()) == []


def branching(tmp_path: Path) -> Path:
    """An If whose branches read `doubled` and `w` of the graph around them."""
    branches = {}
    for name, operator in (("then_branch", "Add"), ("else_branch", "Sub")):
        node = helper.make_node(operator, ["doubled", "w"], [name])
        branches[name] = helper.make_graph(
            [node], name, [], [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2])]
        )
    nodes = [
        helper.make_node("Add", ["x", "x"], ["doubled"], name="/double"),
        helper.make_node("If", ["which"], ["y"], name="/if", **branches),
        helper.make_node("Neg", ["y"], ["z"], name="/neg"),
    ]
    inputs = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [2]),
        helper.make_tensor_value_info("which", TensorProto.BOOL, []),
    ]
    outputs = [helper.make_tensor_value_info("z", TensorProto.FLOAT, [2])]
    weight = numpy_helper.from_array(np.array([10, 20], np.float32), "w")
    model = helper.make_model(
        helper.make_graph(nodes, "g", inputs, outputs, [weight]),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=9,
    )
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    return tmp_path / "model.onnx"


def test_what_inner_graphs_read_comes_along(tmp_path: Path) -> None:
    extracted(branching(tmp_path), ["x", "which"], ["y"], tmp_path / "a")
    session = onnxruntime.InferenceSession(str(tmp_path / "a" / "model.onnx"), providers=["CPUExecutionProvider"])
    [found] = session.run(None, {"x": np.array([1, 2], np.float32), "which": np.array(False)})
    assert found.tolist() == [-8, -16]
    missing = extracted(tmp_path / "model.onnx", ["which"], ["y"], tmp_path / "b")
    assert missing["reason"] == "output `y` needs `x`, which is not among the inputs."


def test_weights_that_nobody_reads_any_more_stay_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphs, "LARGEST_SINGLE_FILE", 100)
    source = tiny.write_external(tmp_path / "m") / "model.onnx"
    extracted(source, ["hidden"], ["from_token"], tmp_path / "a")
    part = onnx.load(tmp_path / "a" / "model.onnx")
    assert [tensor.name for tensor in part.graph.initializer] == ["W"]
    assert np.array_equal(numpy_helper.to_array(part.graph.initializer[0]), tiny.Weights.random().output)
    assert (tmp_path / "a" / "model.onnx.data").stat().st_size == 4 * 16 * 32


def test_an_encoder_without_its_last_norm(tmp_path: Path) -> None:
    source = encoder_graph.write(tmp_path / "m")
    made = extracted(source, ["input_ids", "attention_mask"], ["sum_2"], tmp_path / "a")
    assert made["report"] == {"nodes": {"before": 41, "after": 40}}
    assert encoder_graph.run(tmp_path / "a" / "model.onnx").shape == (2, 8, 16)
