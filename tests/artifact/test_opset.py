"""`convert-opset`: the same model in other operators, or the node that has none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from compiler.artifact.graph import graphs
from compiler.artifact.inference import runtime
from compiler.artifact.inference.decoder import Decoder
from tests.artifact import encoder_graph, tiny
from tests.artifact.stepping import applied


def opsets(model: Path) -> dict[str, int]:
    return {entry.domain: entry.version for entry in onnx.load(model).opset_import}


def converted(source: Path, opset: int, target: Path) -> dict[str, Any]:
    return applied("convert-opset", {"opset": opset}, source, target)


@pytest.mark.parametrize("opset", [18, 21, 23])
def test_upwards(tmp_path: Path, opset: int) -> None:
    source = encoder_graph.write(tmp_path / "m")
    made = converted(source, opset, tmp_path / "a")
    assert made == {
        "graph": "model.onnx",
        "changed": True,
        "remarks": [],
        "report": {"opset": {"before": 17, "after": opset}},
        "weight_bytes": graphs.weight_bytes(onnx.load(source)),
    }
    assert opsets(tmp_path / "a" / "model.onnx") == {"": opset}
    onnx.checker.check_model(str(tmp_path / "a" / "model.onnx"), full_check=True)
    assert encoder_graph.run(tmp_path / "a" / "model.onnx") == pytest.approx(encoder_graph.run(source), abs=1e-6)


def test_attributes_become_inputs_and_back(tmp_path: Path) -> None:
    """Squeeze has its axes as an attribute up to opset 12, and as an input from 13 on."""
    value = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4]),
        helper.make_tensor_value_info("y", TensorProto.FLOAT, [4]),
    ]
    graph = helper.make_graph([helper.make_node("Squeeze", ["x"], ["y"], axes=[0])], "g", value[:1], value[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=7)
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    converted(tmp_path / "model.onnx", 13, tmp_path / "up")
    assert not onnx.load(tmp_path / "up" / "model.onnx").graph.node[-1].attribute
    converted(tmp_path / "up" / "model.onnx", 11, tmp_path / "down")
    [node] = onnx.load(tmp_path / "down" / "model.onnx").graph.node
    assert [(attribute.name, list(attribute.ints)) for attribute in node.attribute] == [("axes", [0])]


@pytest.mark.parametrize("opset", [17, 23])
def test_operators_of_onnxruntime_stay(tmp_path: Path, repository: Path, opset: int) -> None:
    """GroupQueryAttention has its domain; SimplifiedLayerNormalization stands in ONNX's, which does not know it."""
    folder = repository / "blueprints" / "hello" / "models" / "pydoc-1.0"
    made = converted(folder / "model.onnx", opset, tmp_path / "a")
    assert made["report"] == {"opset": {"before": 22, "after": opset}}
    after = onnx.load(tmp_path / "a" / "model.onnx")
    assert opsets(tmp_path / "a" / "model.onnx") == {"": opset, "com.microsoft": 1}
    assert graphs.operators(after) == graphs.operators(onnx.load(folder / "model.onnx"))
    (tmp_path / "a" / "genai_config.json").write_bytes((folder / "genai_config.json").read_bytes())
    found = []
    for place in (folder, tmp_path / "a"):
        decoder = Decoder(place, threads=1)
        found.append(decoder([3, 1, 4, 1, 5], 0, decoder.empty_cache())[0])
    assert np.array_equal(found[0], found[1])


def test_the_opset_that_it_has(tmp_path: Path) -> None:
    source = tiny.write(tmp_path / "m") / "model.onnx"
    made = converted(source, 17, tmp_path / "a")
    assert (made["changed"], made["report"]) == (False, {"opset": {"before": 17, "after": 17}})


def test_an_opset_of_the_future(tmp_path: Path) -> None:
    source = tiny.write(tmp_path / "m") / "model.onnx"
    assert converted(source, 30, tmp_path / "a") == {
        "refused": "STEP_INAPPLICABLE",
        "reason": f"onnxruntime {runtime.VERSION} does not run opset 30.",
        "parameter": "opset",
    }


def test_an_operator_that_older_opsets_lack(tmp_path: Path) -> None:
    source = encoder_graph.write(tmp_path / "m")
    assert converted(source, 13, tmp_path / "a") == {
        "refused": "STEP_INAPPLICABLE",
        "reason": "node `/embedded` (`LayerNormalization`) cannot be had in opset 13: No Previous Version of "
        "LayerNormalization exists.",
    }


def test_functions_of_the_model_are_not_dropped_silently(tmp_path: Path) -> None:
    model = tiny.graph(tiny.Weights.random())
    node = helper.make_node("Neg", ["a"], ["b"])
    model.functions.append(helper.make_function("own", "Minus", ["a"], ["b"], [node], model.opset_import))
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    assert converted(tmp_path / "model.onnx", 18, tmp_path / "a")["reason"] == (
        "the graph has functions of its own (`Minus`), which cannot be converted."
    )


def test_weights_outside_the_graph_are_copied_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphs, "LARGEST_SINGLE_FILE", 100)
    source = tiny.write_external(tmp_path / "m") / "model.onnx"
    converted(source, 18, tmp_path / "a")
    values = [
        {tensor.name: numpy_helper.to_array(tensor).tolist() for tensor in onnx.load(path).graph.initializer}
        for path in (source, tmp_path / "a" / "model.onnx")
    ]
    assert values[0] == values[1]
    assert (tmp_path / "a" / "model.onnx.data").stat().st_size == 4 * (32 * 16 + 16 * 32)
