"""`quantize` with scheme `fp16`: half the size, the same answers, and float32 where float16 would be wrong."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from compiler.artifact.graph import graphs
from compiler.artifact.graph.skeleton import EMBEDDED
from compiler.artifact.inference.decoder import Decoder
from tests.artifact.products import TOKENS, applied, chain, model, node, run, tensors


def half(made: Any, folder: Path, **parameters: Any) -> tuple[list[str], Any]:
    """The step's remarks and the model that it made."""
    said, narrowed = applied(made, folder, "quantize/fp16", scheme="fp16", **parameters)
    assert narrowed is not None, said
    return [sentence for _, sentence in said["remarks"]], narrowed


def kinds(values: Any) -> set[int]:
    return {
        value.type.tensor_type.elem_type for value in values if value.type.tensor_type.elem_type != TensorProto.INT64
    }


@pytest.mark.parametrize("keep", [True, False], ids=["float32 outside", "float16 outside"])
def test_the_examples_model(tmp_path: Path, repository: Path, keep: bool) -> None:
    folder = repository / "blueprints" / "hello" / "models" / "pydoc-1.0"
    whole = onnx.load(folder / "model.onnx")
    remarks, narrowed = half(whole, tmp_path / "a", keepIo=keep)
    assert remarks == []
    assert graphs.weight_bytes(narrowed) == graphs.weight_bytes(whole) / 2
    outside = TensorProto.FLOAT if keep else TensorProto.FLOAT16
    assert kinds([*narrowed.graph.input, *narrowed.graph.output]) == {outside}
    casts = graphs.operators(narrowed)["Cast"] - graphs.operators(whole)["Cast"]
    assert casts == (21 if keep else 0), "ten caches in, ten out, and the logits"
    (tmp_path / "a" / "target" / "genai_config.json").write_bytes((folder / "genai_config.json").read_bytes())
    ids, found = [3, 1, 4, 1, 5], []
    for place in (folder, tmp_path / "a" / "target"):
        decoder = Decoder(place, threads=1)
        found.append(decoder(ids, 0, decoder.empty_cache())[0])
    assert found[0] == pytest.approx(found[1], abs=0.02)


def test_the_same_bytes_by_any_number_of_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = chain(200, 300, 100)
    found = [half(made, tmp_path / "a")[1]]
    monkeypatch.setattr("compiler.artifact.graph.weights.PIECE", 1000)
    for threads in (1, 5):
        said, narrowed = applied(made, tmp_path / str(threads), "quantize/fp16", threads, scheme="fp16")
        assert said["changed"]
        found.append(narrowed)
    assert len({narrowed.SerializeToString(deterministic=True) for narrowed in found}) == 1


def test_positions_stay_exact(tmp_path: Path) -> None:
    """The rotary angle of token 4,001 is another than that of 4,000: float16 has no 4,001."""
    constants = {"E": np.ones((5000, 2), np.float32), "rate": np.array([1.0, 0.5], np.float32), "axes": np.array([-1])}
    nodes = [
        node("Gather", ["E", "input_ids"], "h"),
        node("Cast", ["input_ids"], "positions", to=TensorProto.FLOAT),
        node("Unsqueeze", ["positions", "axes"], "column"),
        node("Mul", ["column", "rate"], "angles"),
        node("Cos", ["angles"], "cos"),
        node("Mul", ["h", "cos"], "logits"),
    ]
    remarks, narrowed = half(model(nodes, constants), tmp_path / "a")
    assert remarks == []
    ids = [1, 3999, 4000, 4001]
    expected = np.cos(np.array(ids)[:, None] * np.array([1.0, 0.5]))
    assert run(narrowed, ids)[0] == pytest.approx(expected, abs=1e-3)
    assert tensors(narrowed)["E"].dtype == np.float16


def test_masks_stay_finite(tmp_path: Path) -> None:
    """(1 - mask) × -3.4e38, as exporters write it: a row that is masked as a whole must not become NaN."""
    constants = {
        "E": np.ones((TOKENS, 4), np.float32),
        "one": np.array(1, np.float32),
        "lowest": np.array(np.finfo(np.float32).min),
        "axes": np.array([-1]),
        "zero": np.array(0),
    }
    nodes = [
        node("Gather", ["E", "input_ids"], "h"),
        node("Greater", ["input_ids", "zero"], "there"),
        node("Cast", ["there"], "mask", to=TensorProto.FLOAT),
        node("Sub", ["one", "mask"], "absent"),
        node("Mul", ["absent", "lowest"], "wide"),
        node("Unsqueeze", ["wide", "axes"], "added"),
        node("Add", ["h", "added"], "scores"),
        node("Softmax", ["scores"], "logits"),
    ]
    remarks, narrowed = half(model(nodes, constants), tmp_path / "a")
    assert remarks == ["Values beyond 65,504 were cut to it in `lowest`."]
    assert run(narrowed, [0, 3])[0] == pytest.approx(np.full((2, 4), 0.25))


def test_operators_without_float16_stay_float32(tmp_path: Path) -> None:
    made = chain(64, 64, 32)
    made.graph.node[-1].output[0], made.graph.node[-1].name = "h2", "/h2"
    made.graph.initializer.append(numpy_helper.from_array(np.array(1), "axis"))
    made.graph.node.append(node("CumSum", ["h2", "axis"], "logits"))
    made.opset_import[0].version = 13
    remarks, narrowed = half(made, tmp_path / "a")
    assert remarks == ["These operators have no float16 and stay float32: CumSum."]
    assert [entry.op_type for entry in narrowed.graph.node] == ["Gather", "MatMul", "MatMul", "Cast", "CumSum"]
    assert run(narrowed) == pytest.approx(run(made), abs=0.05)


def test_a_constant_that_both_need_is_there_twice(tmp_path: Path) -> None:
    made = chain(32, 32)
    made.graph.node[-1].output[0], made.graph.node[-1].name = "h1", "/h1"
    made.graph.initializer.extend(
        [numpy_helper.from_array(np.full(32, 3, np.float32), "c"), numpy_helper.from_array(np.array(1), "axis")]
    )
    made.graph.node.extend(
        [
            node("Add", ["h1", "c"], "h2"),
            node("CumSum", ["c", "axis_0"], "sums"),
            node("Add", ["h2", "sums"], "logits"),
        ]
    )
    made.graph.initializer.append(numpy_helper.from_array(np.array(0), "axis_0"))
    made.opset_import[0].version = 13
    _, narrowed = half(made, tmp_path / "a")
    assert {n: str(a.dtype) for n, a in tensors(narrowed).items() if n.startswith("c")} == {
        "c": "float32", "c_fp16": "float16"
    }  # fmt: skip
    assert run(narrowed) == pytest.approx(run(made), abs=0.2)


def test_weights_beyond_what_float16_has_are_cut_and_named(tmp_path: Path) -> None:
    made = chain(64, 64)
    for tensor in made.graph.initializer:
        if tensor.name == "W1":
            weights = numpy_helper.to_array(tensor).copy()
            weights[5, 7], weights[6, 8] = 1e6, -7e4
            tensor.CopyFrom(numpy_helper.from_array(weights, "W1"))
    remarks, narrowed = half(made, tmp_path / "a")
    assert remarks == ["Values beyond 65,504 were cut to it in `W1`."]
    found = tensors(narrowed)["W1"]
    assert (found[5, 7], found[6, 8]) == (65504, -65504)
    assert Counter(np.abs(found.ravel()) > 1000)[True] == 2


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_named(tmp_path: Path, value: float) -> None:
    made = chain(64, 64)
    weights = numpy_helper.to_array(made.graph.initializer[1]).copy()
    weights[5, 7] = value
    made.graph.initializer[1].CopyFrom(numpy_helper.from_array(weights, "W1"))
    said, _ = applied(made, tmp_path / "a", "quantize/fp16", scheme="fp16")
    assert said == {"refused": "NON_FINITE_WEIGHTS", "reason": "`W1` has weights that are NaN or infinite."}


def test_an_infinite_mask_is_no_defect(tmp_path: Path) -> None:
    mask = np.triu(np.full((TOKENS, TOKENS), -np.inf, np.float32), 1)
    assert mask.nbytes > EMBEDDED
    made = model(
        [node("Gather", ["E", "input_ids"], "h"), node("Add", ["h", "mask"], "logits")],
        {"E": np.ones((TOKENS, TOKENS), np.float32), "mask": mask},
    )
    remarks, narrowed = half(made, tmp_path / "a")
    assert remarks == []
    assert np.array_equal(tensors(narrowed)["mask"], mask)


def test_after_blocks_their_scales_are_float16(tmp_path: Path) -> None:
    _, blocks = applied(chain(64, 64, 64), tmp_path / "a", "quantize/int4", scheme="int4")
    _, narrowed = half(blocks, tmp_path / "b")
    assert {str(array.dtype) for array in tensors(narrowed).values()} == {"float16", "uint8"}
    assert run(narrowed) == pytest.approx(run(blocks), abs=0.1)


def test_refuses_what_it_cannot_look_into(tmp_path: Path) -> None:
    made = chain(32, 32)
    output = [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)]
    inner = helper.make_graph([node("Identity", ["h1"], "out")], "inner", [], output)
    made.graph.node[-1].output[0] = "h1"
    made.graph.initializer.append(numpy_helper.from_array(np.array(False), "no"))
    made.graph.node.append(node("If", ["no"], "logits", then_branch=inner, else_branch=inner))
    said, _ = applied(made, tmp_path / "a", "quantize/fp16", scheme="fp16")
    assert said == {"refused": "STEP_INAPPLICABLE", "reason": "Node `/logits` (If) has graphs of its own."}


def test_refuses_a_model_that_is_float16_already(tmp_path: Path) -> None:
    said, _ = applied(chain(32, 32, kind=np.float16), tmp_path / "a", "quantize/fp16", scheme="fp16")
    assert said["reason"] == "There is nothing to make smaller: no initializer is float32."
