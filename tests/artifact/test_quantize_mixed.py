"""4 and 8 bits side by side: which matrix gets which, the bits themselves, and aims that cannot be reached."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from compiler.artifact.graph import graphs
from compiler.artifact.inference import runtime
from compiler.artifact.steps import quantize_mixed
from compiler.artifact.steps.quantization.blockwise.scheme import Scheme
from compiler.artifact.steps.quantization.search import Candidate, by_urgency, to_quality, to_size
from compiler.artifact.steps.quantization.sensitivity import error, restored
from compiler.artifact.steps.step import Refused
from tests.artifact import bert, tiny
from tests.artifact.stepping import chained

MIXED = "quantize/mixed"
MATRICES = {"K", "C", "W"}


def make(source: Path, target: Path, data: Path, aim: dict[str, Any], **parameters: Any) -> dict[str, Any]:
    target.mkdir(parents=True, exist_ok=True)
    calibrate = {"samples": 16, "maxTokens": 20}
    parameters = {"scheme": "mixed", "calibrate": calibrate, "target": aim, "blockSize": 16, **parameters}
    step = {"name": MIXED, "parameters": parameters, "files": {"calibrate.data": str(data)}}
    return chained(source / "model.onnx", target / "model.onnx", [step])


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tiny.write_texts(tmp_path / "texts.jsonl", tiny.some_texts(16))


@pytest.fixture
def decoder(tmp_path: Path) -> Path:
    return tiny.write(tmp_path / "m")


def peers(model: Any, width: int) -> Any:
    """The ModelProto that onnxruntime's quantizer makes."""
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    logging.disable(logging.INFO)
    quantizer = MatMulNBitsQuantizer(model, bits=width, block_size=16, is_symmetric=False, accuracy_level=4)
    quantizer.process()
    logging.disable(logging.NOTSET)
    return quantizer.model.model


def blocks(width: Literal[4, 8]) -> Scheme:
    return Scheme(width, 16, symmetric=False)


def bits(result: dict[str, Any]) -> dict[str, int]:
    return {name: facts["bits"] for name, facts in result["reports"][0]["tensors"].items()}


def arrays(path: Path) -> dict[str, Any]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer}


@pytest.mark.parametrize("width", [4, 8])
@pytest.mark.parametrize(("rows", "columns"), [(64, 40), (48, 33), (20, 16)], ids=["even", "odd-blocks", "part-block"])
def test_rounding_is_that_of_onnxruntimes_kernel(tmp_path: Path, width: Literal[4, 8], rows: int, columns: int) -> None:
    weights = np.random.default_rng(rows).standard_normal((rows, columns)).astype(np.float32)
    weights[:16, 3], weights[:, 5], weights[0, 6] = 0, 0.25, 1e4
    values = [helper.make_tensor_value_info(name, 1, ["n", size]) for name, size in (("x", rows), ("y", columns))]
    node = helper.make_node("MatMul", ["x", "W"], ["y"], name="product")
    body = helper.make_graph([node], "g", values[:1], values[1:], [numpy_helper.from_array(weights, "W")])
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    other = peers(model, width)
    x = np.eye(rows, dtype=np.float32)
    node = next(node for node in other.graph.node if node.op_type == "MatMulNBits")
    node.attribute.remove(next(entry for entry in node.attribute if entry.name == "accuracy_level"))
    onnx.save(other, tmp_path / "exact.onnx")
    [seen] = runtime.open_session(tmp_path / "exact.onnx", runtime.options("basic", 1)).run(None, {"x": x})
    assert restored(weights, blocks(width)) == pytest.approx(seen, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("large", [set(), MATRICES], ids=["4-bit", "8-bit"])
def test_file_is_what_onnxruntime_makes(decoder: Path, tmp_path: Path, data: Path, large: set[str]) -> None:
    width = 8 if large else 4
    result = make(decoder, tmp_path / "a", data, {"size": 10**6} if large else {"klDivergence": 100}, embeddings="keep")
    assert bits(result) == dict.fromkeys(("K", "C", "W"), width)
    other = peers(onnx.load(decoder / "model.onnx"), width)
    expected = {tensor.name: numpy_helper.to_array(tensor) for tensor in other.graph.initializer}
    found = arrays(tmp_path / "a" / "model.onnx")
    assert {name: array.tobytes() for name, array in found.items()} == {
        name: array.tobytes() for name, array in expected.items()
    }


def test_error_is_that_of_the_product() -> None:
    draw = np.random.default_rng(4)
    weights, inputs = draw.standard_normal((32, 1500)), draw.standard_normal((10, 32))
    weights, inputs = weights.astype(np.float32), inputs.astype(np.float32)
    added, exact = error(weights, inputs, blocks(4))
    product, rounded = inputs @ weights, inputs @ restored(weights, blocks(4))
    assert exact == pytest.approx(float(np.square(product).sum()), rel=1e-5)
    assert added == pytest.approx(float(np.square(rounded - product).sum()), rel=1e-4)
    assert error(weights, inputs, blocks(8))[0] < added / 200


CANDIDATES = {
    "dear": Candidate(sensitivity=0.9, small=500, large=1000),
    "cheap": Candidate(sensitivity=0.4, small=100, large=200),
    "calm": Candidate(sensitivity=0.0, small=100, large=150),
}


def test_urgent_is_what_gains_most_for_a_byte() -> None:
    assert by_urgency(CANDIDATES) == ["cheap", "dear", "calm"]


@pytest.mark.parametrize(
    ("most", "chosen"),
    [
        (800, set()),
        (899, {"calm"}),
        (900, {"cheap"}),
        (950, {"cheap", "calm"}),
        (1400, {"cheap", "dear"}),
        (9999, set(CANDIDATES)),
    ],
)
def test_size_is_filled_by_urgency(most: int, chosen: set[str]) -> None:
    assert to_size(CANDIDATES, 800, most) == chosen


@pytest.mark.parametrize(
    ("needed", "chosen"), [(0, set()), (1, {"cheap"}), (2, {"cheap", "dear"}), (3, set(CANDIDATES)), (4, None)]
)
def test_quality_takes_the_fewest(needed: int, chosen: set[str] | None) -> None:
    assert to_quality(CANDIDATES, lambda large: len(large) >= needed) == chosen


def test_size_is_kept_to_the_byte(decoder: Path, tmp_path: Path, data: Path) -> None:
    smallest = make(decoder, tmp_path / "a", data, {"klDivergence": 100})["weight_bytes"]
    largest = make(decoder, tmp_path / "b", data, {"size": 10**6})["weight_bytes"]
    found = {}
    for most in (smallest, smallest + 300, largest - 1, largest):
        result = make(decoder, tmp_path / str(most), data, {"size": most})
        assert result["weight_bytes"] <= most
        found[most] = [name for name, width in bits(result).items() if width == 8]
    assert (found[smallest], set(found[largest])) == ([], MATRICES)
    assert len(found[largest - 1]) == 2
    assert make(decoder, tmp_path / "c", data, {"size": smallest - 1}) == {
        "failed": 0,
        "refused": "STEP_INAPPLICABLE",
        "reason": f"`target.size` is {smallest - 1:,} bytes; with 4 bits for every matrix weights take {smallest:,}.",
    }


def test_matrix_that_hurts_gets_8_bits(tmp_path: Path, data: Path) -> None:
    """What the cache adds to the logits is nothing beside what the token adds: W counts, K and C do not."""
    weights = tiny.Weights.random()
    weights.cache_out[:] *= 1e-3
    folder = tiny.write(tmp_path / "m", weights)
    loose = make(folder, tmp_path / "a", data, {"klDivergence": 100})["reports"][0]
    measured = {name: facts["sensitivity"] for name, facts in loose["tensors"].items()}
    assert measured["W"] > 100 * max(measured["K"], measured["C"])
    aim = loose["klDivergence"] / 20
    tight = make(folder, tmp_path / "b", data, {"klDivergence": aim})
    assert bits(tight) == {"K": 4, "C": 4, "W": 8}
    assert tight["reports"][0]["klDivergence"] <= aim
    counts = {
        helper.get_attribute_value(next(a for a in node.attribute if a.name == "bits"))
        for node in onnx.load(tmp_path / "b" / "model.onnx").graph.node
        if node.op_type == "MatMulNBits"
    }
    assert counts == {4, 8}


def test_sensitivity_is_the_divergence_of_one_rounded_matrix(decoder: Path, tmp_path: Path, data: Path) -> None:
    [report] = make(decoder, tmp_path / "a", data, {"size": 10**6})["reports"]
    weights = tiny.Weights.random()
    changed = tiny.Weights(weights.embeddings, weights.cache_in, weights.cache_out, restored(weights.output, blocks(4)))
    found = []
    for text in tiny.some_texts(16)[:8]:
        ids = [int(word[1:]) for word in text.split()][:20]
        before, after = (one.logits(ids) for one in (weights, changed))
        before -= np.log(np.exp(before).sum(axis=1, keepdims=True))
        after -= np.log(np.exp(after).sum(axis=1, keepdims=True))
        found += np.sum(np.exp(before) * (before - after), axis=1).tolist()
    assert report["tensors"]["W"]["sensitivity"] == pytest.approx(np.mean(found), rel=1e-3)


def test_large_models_are_measured_by_their_products(
    decoder: Path, tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantize_mixed, "_MOST_WORK", 0)
    [report] = make(decoder, tmp_path / "a", data, {"size": 10**6})["reports"]
    weights = tiny.Weights.random()
    rows = np.concatenate(
        [weights.embeddings[[int(word[1:]) for word in text.split()][:20]] for text in tiny.some_texts(16)[:8]]
    )
    added, exact = error(weights.output, rows, blocks(4))
    assert report["tensors"]["W"]["sensitivity"] == pytest.approx(added / exact, rel=1e-4)


@pytest.mark.parametrize("embeddings", ["keep", "int8", "int4"])
def test_encoder_reaches_its_cosine(tmp_path: Path, data: Path, embeddings: str) -> None:
    result = make(bert.write(tmp_path / "m"), tmp_path / "a", data, {"cosine": 0.95}, embeddings=embeddings)
    assert result["reports"][0]["cosine"] >= 0.95
    model = onnx.load(tmp_path / "a" / "model.onnx")
    maker = next(node for node in model.graph.node if node.output[0] == "words")
    assert maker.op_type == ("Gather" if embeddings == "keep" else "GatherBlockQuantized")
    assert graphs.operators(model)["MatMulNBits"] == 6 * bert.LAYERS + 1
    runtime.open_session(tmp_path / "a" / "model.onnx", runtime.options("all", 1))


@pytest.mark.parametrize(
    ("encoder", "aim", "reason"),
    [
        (True, {"klDivergence": 0.1}, "graphs with an output `logits`; this one has `last_hidden_state`."),
        (False, {"cosine": 0.9}, "graphs that give embeddings; this one has an output `logits`."),
    ],
)
def test_aim_of_another_task_is_refused(
    tmp_path: Path, data: Path, encoder: bool, aim: dict[str, float], reason: str
) -> None:
    source = bert.write(tmp_path / "m") if encoder else tiny.write(tmp_path / "m")
    reason = f"`target.{next(iter(aim))}` is for {reason}"
    expected = {"failed": 0, "refused": "STEP_INAPPLICABLE", "reason": reason}
    assert make(source, tmp_path / "a", data, aim) == expected


def test_quality_that_8_bits_do_not_reach_is_refused(decoder: Path, tmp_path: Path, data: Path) -> None:
    result = make(decoder, tmp_path / "a", data, {"klDivergence": 1e-12})
    assert result["refused"] == "STEP_INAPPLICABLE"
    assert result["reason"].startswith("`target.klDivergence` is 1e-12; with 8 bits for every matrix it is ")


def test_weights_that_are_no_numbers_are_refused(tmp_path: Path, data: Path) -> None:
    weights = tiny.Weights.random()
    weights.output[2, 2] = np.nan
    result = make(tiny.write(tmp_path / "m", weights), tmp_path / "a", data, {"size": 10**6})
    assert (result["refused"], result["reason"]) == ("NON_FINITE_WEIGHTS", "`W` has weights that are NaN or infinite.")


def test_no_room_at_all_is_refused() -> None:
    with pytest.raises(Refused):
        to_size(CANDIDATES, 800, 799)


def test_same_bytes_twice(tmp_path: Path, data: Path) -> None:
    source = bert.write(tmp_path / "m")
    found = []
    for name in ("a", "b"):
        make(source, tmp_path / name, data, {"cosine": 0.99})
        found.append((tmp_path / name / "model.onnx").read_bytes())
    assert found[0] == found[1]
