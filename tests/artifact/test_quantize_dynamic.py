"""8-bit weights and dynamic activations: what onnxruntime's quantizer makes, and what is refused."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from compiler.artifact.graph import graphs
from compiler.artifact.inference import runtime
from compiler.artifact.steps.apply import apply_step
from tests.artifact import bert, products, tiny
from tests.artifact.stepping import chained

DYNAMIC = "quantize/int8-dynamic"


def make(source: Path, target: Path, **parameters: Any) -> dict[str, Any]:
    target.mkdir(parents=True, exist_ok=True)
    step = {"name": DYNAMIC, "parameters": {"scheme": "int8-dynamic", **parameters}}
    return chained(source / "model.onnx", target / "model.onnx", [step])


def peers(source: Path, target: Path, **parameters: Any) -> Path:
    """The same by onnxruntime's quantizer."""
    from onnxruntime import quantization

    target.mkdir(parents=True, exist_ok=True)
    logging.disable(logging.WARNING)
    quantization.quantize_dynamic(
        onnx.load(source / "model.onnx"),
        target / "model.onnx",
        op_types_to_quantize=["MatMul"],
        weight_type=quantization.QuantType.QInt8,
        extra_options={"DefaultTensorType": TensorProto.FLOAT},
        **parameters,
    )
    logging.disable(logging.NOTSET)
    return target


def tensors(folder: Path) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    model = onnx.load(folder / "model.onnx")
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    return {name: (str(array.dtype), array.shape, array.tobytes()) for name, array in arrays.items()}


def results(folder: Path, feed: dict[str, Any]) -> list[Any]:
    found: list[Any] = runtime.open_session(folder / "model.onnx", runtime.options("all", 1)).run(None, feed)
    return found


def bert_feed() -> dict[str, Any]:
    ids = np.random.default_rng(1).integers(0, len(tiny.WORDS), (1, 20))
    return {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}


def decoder_feed(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for value in runtime.open_session(folder / "model.onnx", runtime.options("all", 1)).get_inputs():
        if value.name.startswith("past"):
            found[value.name] = np.zeros((1, value.shape[1], 0, value.shape[3]), np.float32)
        else:
            kind = np.int32 if value.type == "tensor(int32)" else np.int64
            found[value.name] = (np.ones((1, 9)) if value.name == "attention_mask" else np.arange(9)[None]).astype(kind)
    return found


@pytest.mark.parametrize("per_channel", [True, False], ids=["channels", "tensors"])
@pytest.mark.parametrize("reduce_range", [False, True], ids=["8-bit", "7-bit"])
def test_encoder_is_what_onnxruntime_makes(tmp_path: Path, per_channel: bool, reduce_range: bool) -> None:
    source = bert.write(tmp_path / "m")
    made, other = tmp_path / "a", peers(source, tmp_path / "b", per_channel=per_channel, reduce_range=reduce_range)
    make(source, made, perChannel=per_channel, reduceRange=reduce_range, embeddings="keep")
    assert tensors(made) == tensors(other)
    counts = graphs.operators(onnx.load(made / "model.onnx"))
    assert counts == graphs.operators(onnx.load(other / "model.onnx"))
    # Query, key and value of a layer share an input, and so do none of the others.
    assert counts["DynamicQuantizeLinear"] == counts["MatMulInteger"] - 2 * bert.LAYERS
    for ours, theirs in zip(results(made, bert_feed()), results(other, bert_feed()), strict=True):
        assert np.array_equal(ours, theirs)


def test_decoder_is_what_onnxruntime_makes(repository: Path, tmp_path: Path) -> None:
    source = repository / "blueprints" / "hello" / "models" / "pydoc-1.0"
    made, other = tmp_path / "a", peers(source, tmp_path / "b", per_channel=True)
    make(source, made, embeddings="keep")
    assert tensors(made) == tensors(other)
    feed = decoder_feed(source)
    for ours, theirs in zip(results(made, feed), results(other, feed), strict=True):
        assert np.array_equal(ours, theirs)


def test_embeddings_are_those_of_the_other_schemes(tmp_path: Path) -> None:
    source = tiny.write(tmp_path / "m")
    make(source, tmp_path / "a")
    (tmp_path / "b").mkdir()
    step = {"name": "quantize/int8", "parameters": {"scheme": "int8", "blockSize": 128}}
    chained(source / "model.onnx", tmp_path / "b" / "model.onnx", [step])
    found, wanted = (
        {name: tensor for name, tensor in tensors(tmp_path / folder).items() if name.startswith("E")}
        for folder in ("a", "b")
    )
    assert found == wanted
    assert set(found) == {"E_Q8", "E_scales", "E_zero_points"}


def test_matrix_that_is_also_looked_up_stays_for_the_lookup(tmp_path: Path) -> None:
    source = tiny.write(tmp_path / "m")
    model = onnx.load(source / "model.onnx")
    product = next(node for node in model.graph.node if node.output[0] == "keys")
    product.input[1] = "E_T"
    model.graph.node.insert(0, helper.make_node("Transpose", ["E"], ["turned"], perm=[1, 0]))
    model.graph.initializer.append(numpy_helper.from_array(np.eye(16, 4, dtype=np.float32), "E_T"))
    model.graph.output.append(helper.make_tensor_value_info("turned", TensorProto.FLOAT, [16, 32]))
    (source / "model.onnx").write_bytes(model.SerializeToString())
    make(source, tmp_path / "a")
    assert {"E", "E_Q8", "E_T_quantized"} <= set(tensors(tmp_path / "a"))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["encoder.layer.1.output.dense.weight", "pooler.dense.weight"])
def test_weights_that_are_no_numbers_are_refused(tmp_path: Path, bad: float, name: str) -> None:
    weights = bert.random_weights()
    weights[name][3, 5] = bad
    assert make(bert.write(tmp_path / "m", weights), tmp_path / "a") == {
        "failed": 0,
        "refused": "NON_FINITE_WEIGHTS",
        "reason": f"`{name}` has weights that are NaN or infinite.",
    }


def _half(model: Any) -> Any:
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), tensor.name))
    return model


def _no_constants(model: Any) -> Any:
    for node in model.graph.node:
        if node.op_type == "MatMul":
            node.input[1] = node.input[0]
    return model


def _no_products(model: Any) -> Any:
    for node in model.graph.node:
        if node.op_type == "MatMul":
            node.op_type = "Mul"
    return model


def _old(model: Any) -> Any:
    model.opset_import[0].version = 10
    return model


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            _half,
            "No product can be quantized: `/keys` (its weights are float16 and not float32), "
            "`/from_cache` (its weights are float16 and not float32), "
            "`/from_token` (its weights are float16 and not float32).",
        ),
        (_no_constants, "`/keys` (MatMul) multiplies by no constant; no node does."),
        (_no_products, "No node multiplies matrices; the last one, `/logits`, is Add."),
        (_old, "`/keys` is of opset 10; the quantized form needs 11. `convert-opset` before it helps."),
    ],
    ids=["float16", "no-constants", "no-products", "opset"],
)
def test_model_that_does_not_suit_is_refused_by_name(tmp_path: Path, change: Callable[[Any], Any], reason: str) -> None:
    source = tiny.write(tmp_path / "m")
    model = change(onnx.load(source / "model.onnx"))
    (source / "model.onnx").write_bytes(model.SerializeToString())
    assert make(source, tmp_path / "a", embeddings="keep") == {
        "failed": 0,
        "refused": "STEP_INAPPLICABLE",
        "reason": reason,
    }


def test_second_quantization_is_refused(tmp_path: Path) -> None:
    step = {"name": DYNAMIC, "parameters": {"scheme": "int8-dynamic"}}
    (tmp_path / "a").mkdir()
    assert chained(tiny.write(tmp_path / "m") / "model.onnx", tmp_path / "a" / "model.onnx", [step, step]) == {
        "failed": 1,
        "refused": "STEP_INAPPLICABLE",
        "reason": "Quantized already: `/keys_quant`, `/from_cache_quant`, `/from_token_quant`; "
        "nothing else is left to quantize.",
    }


def test_what_is_left_is_said(tmp_path: Path) -> None:
    source = tiny.write(tmp_path / "m")
    model = onnx.load(source / "model.onnx")
    weight = next(tensor for tensor in model.graph.initializer if tensor.name == "C")
    weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight)[None], "C"))
    (source / "model.onnx").write_bytes(model.SerializeToString())
    result = make(source, tmp_path / "a")
    assert result["remarks"] == [["STEP_PARTIAL", "Left as they are: `/from_cache` (its weights have 3 dimensions)."]]
    assert Counter({"MatMul": 1, "MatMulInteger": 2}) <= graphs.operators(onnx.load(tmp_path / "a" / "model.onnx"))


def test_names_that_the_graph_has_are_not_taken_twice(tmp_path: Path) -> None:
    source = tiny.write(tmp_path / "m")
    make(source, tmp_path / "a", embeddings="keep")
    model = onnx.load(source / "model.onnx")
    other = {"keys": "hidden_scale", "context": "W_quantized"}
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = [other.get(name, name) for name in names]
    (source / "model.onnx").write_bytes(model.SerializeToString())
    make(source, tmp_path / "b", embeddings="keep")
    feed = decoder_feed(source)
    for one, renamed in zip(results(tmp_path / "a", feed), results(tmp_path / "b", feed), strict=True):
        assert np.array_equal(one, renamed)


@pytest.mark.parametrize("name", ["model.onnx", "model.onnx.data"])
def test_threads_do_not_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(graphs, "LARGEST_SINGLE_FILE", 100)
    source, found, told = bert.write(tmp_path / "m"), [], list[float]()
    for threads in (1, 3):
        target = tmp_path / str(threads)
        target.mkdir()
        bench = {"model": str(source), "scratch": str(target), "threads": threads, "files": {}}
        parameters = {"scheme": "int8-dynamic"}
        apply_step(DYNAMIC, parameters, str(source / "model.onnx"), str(target), bench, told.append)
        found.append((target / name).read_bytes())
        assert told[-1] == 1
        assert told == sorted(told)
        told.clear()
    assert found[0] == found[1]


def test_head_that_is_the_embeddings_turned_is_a_product_too(tmp_path: Path) -> None:
    """With a Transpose of the table before it; neither is left when both have their quantized form."""
    made = products.chain(64, 64, 64)
    made.graph.node[-1].output[0], made.graph.node[-1].name = "last", "/last"
    made.graph.node.extend([products.node("Transpose", ["E"], "Et"), products.node("MatMul", ["last", "Et"], "logits")])
    said, quantized = products.applied(made, tmp_path / "a", DYNAMIC, scheme="int8-dynamic")
    assert said["remarks"] == []
    counts = graphs.operators(quantized)
    assert (counts["MatMulInteger"], counts["Transpose"], counts["GatherBlockQuantized"]) == (3, 0, 1)
    assert "E" not in {tensor.name for tensor in quantized.graph.initializer}
    exact = products.run(made)
    assert products.run(quantized) == pytest.approx(exact, abs=0.03 * float(np.abs(exact).max()))


def test_names_of_quantized_embeddings_that_are_taken(tmp_path: Path) -> None:
    made = products.chain(64, 64)
    made.graph.initializer.append(numpy_helper.from_array(np.ones(64, np.float32), "E_scales"))
    made.graph.node.insert(1, products.node("Mul", ["h0", "E_scales"], "scaled"))
    made.graph.node[2].input[0] = "scaled"
    for number, name in enumerate((DYNAMIC, "quantize/int4")):
        _, quantized = products.applied(made, tmp_path / str(number), name, scheme=name.removeprefix("quantize/"))
        assert next(iter(quantized.graph.node)).input[:3] == ["E_1_Q8", "input_ids", "E_1_scales"]
        assert products.run(quantized).shape == products.run(made).shape
