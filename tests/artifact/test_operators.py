"""Operators that onnxruntime does not have, and tensors in places that no digest covers, are found before a build."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from compiler.artifact.model.inspection import inspect
from tests.artifact import tiny


def problems(folder: Path, model: onnx.ModelProto) -> list[tuple[str, str]]:
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    return [
        (problem["code"], problem["message"]) for problem in inspect(str(folder), "text-generation").get("problems", [])
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tiny.write(tmp_path)


@pytest.fixture
def model(folder: Path) -> onnx.ModelProto:
    return onnx.load(folder / "model.onnx")


def test_every_custom_operator_is_named_once(folder: Path, model: onnx.ModelProto) -> None:
    model.opset_import.add(domain="acme.ops", version=1)
    for node in model.graph.node:
        if node.op_type == "MatMul":
            node.domain, node.op_type = "acme.ops", "FastMatMul"
    model.graph.node[-1].op_type = "Addd"
    model.graph.node[-1].name = ""
    assert problems(folder, model) == [
        (
            "CUSTOM_OPERATOR",
            "Node `/keys` is operator `FastMatMul` of domain `acme.ops`, which onnxruntime does not have.",
        ),
        (
            "CUSTOM_OPERATOR",
            "Node that gives `logits` is operator `Addd` of domain `ai.onnx`, which onnxruntime does not have.",
        ),
    ]


def test_a_custom_operator_in_a_branch(folder: Path, model: onnx.ModelProto) -> None:
    value = helper.make_tensor_value_info("branch", TensorProto.FLOAT, None)
    node = helper.make_node("Twist", ["hidden"], ["branch"], name="/twist", domain="acme.ops")
    branch = helper.make_graph([node], "branch", [], [value])
    model.graph.node.append(helper.make_node("If", ["one"], ["z"], then_branch=branch, else_branch=branch))
    assert problems(folder, model) == [
        ("CUSTOM_OPERATOR", "Node `/twist` is operator `Twist` of domain `acme.ops`, which onnxruntime does not have.")
    ]


def test_operators_that_the_model_defines_are_its_own(folder: Path, model: onnx.ModelProto) -> None:
    inner = helper.make_node("Add", ["a", "b"], ["c"])
    opsets = [helper.make_opsetid("", 17)]
    model.functions.append(helper.make_function("acme.ops", "Plus", ["a", "b"], ["c"], [inner], opsets))
    model.opset_import.add(domain="acme.ops", version=1)
    model.graph.node[-1].domain, model.graph.node[-1].op_type = "acme.ops", "Plus"
    assert problems(folder, model) == []


def test_unused_initializers_are_no_fault(folder: Path, model: onnx.ModelProto) -> None:
    model.graph.initializer.append(helper.make_tensor("dead", TensorProto.FLOAT, [2], [1, 2]))
    assert problems(folder, model) == []


def test_constants_of_nodes_may_not_lie_outside(folder: Path, model: onnx.ModelProto) -> None:
    """onnxruntime would read them, from wherever they lie, and no digest would know."""
    constant = TensorProto(data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    constant.external_data.add(key="location", value="../secret.bin")
    model.graph.node.insert(0, helper.make_node("Constant", [], ["c"], name="/constant", value=constant))
    assert problems(folder, model) == [
        (
            "EXTERNAL_DATA",
            "Attribute `value` of node `/constant` lies outside the ONNX file; only initializers may.",
        )
    ]
