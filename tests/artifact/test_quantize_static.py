"""8-bit weights and calibrated activations: the arithmetic by hand, ranges, smoothing, and data that cannot be used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from compiler.artifact.graph import graphs
from compiler.artifact.graph.weights import Source
from compiler.artifact.inference import runtime
from compiler.artifact.process import run
from compiler.artifact.steps.quantization.matrices import by_input, find
from compiler.artifact.steps.quantization.ranges import Range, Seen, extremes, ranges
from compiler.artifact.steps.quantization.smoothing import factors
from tests.artifact import bert, tiny
from tests.artifact.stepping import chained

STATIC = "quantize/int8-static"
IDS = [3, 1, 4, 1, 5, 9, 2, 6]


def make(source: Path, target: Path, data: Path, **parameters: Any) -> dict[str, Any]:
    target.mkdir(parents=True, exist_ok=True)
    parameters = {"scheme": "int8-static", "calibrate": {"samples": 16, "maxTokens": 20}, **parameters}
    step = {"name": STATIC, "parameters": parameters, "files": {"calibrate.data": str(data)}}
    return chained(source / "model.onnx", target / "model.onnx", [step])


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tiny.write_texts(tmp_path / "texts.jsonl", tiny.some_texts(16))


def arrays(folder: Path) -> dict[str, Any]:
    model = onnx.load(folder / "model.onnx")
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def logits(folder: Path, level: str = "all") -> Any:
    """1 × tokens × words; at level `basic` as the graph says, node by node."""
    session = runtime.open_session(folder / "model.onnx", runtime.options(level, 1))
    empty = np.zeros((1, 1, 0, tiny.HEAD), np.float32)
    feed = {f"past_key_values.0.{name}": empty for name in ("key", "value")}
    feed |= {"input_ids": np.array([IDS]), "attention_mask": np.ones((1, len(IDS)), np.int64)}
    return session.run(["logits"], {value.name: feed[value.name] for value in session.get_inputs()})[0][0]


def rounded_weights(weights: Any, top: int = 127) -> Any:
    scales = np.abs(weights).max(axis=0) / top
    return np.round(weights / scales) * scales


def rounded_values(values: Any, seen: Any, steps: int) -> Any:
    """As an asymmetric quantization to so many steps leaves them, whose range is that of `seen`."""
    low, high = min(seen.min(), 0), max(seen.max(), 0)
    scale = (high - low) / steps
    zero = np.round(-low / scale)
    return (np.clip(np.round(values / scale) + zero, 0, steps) - zero) * scale


@pytest.mark.parametrize(("activations", "steps"), [("int8", 255), ("int16", 65535)])
@pytest.mark.parametrize(("reduce_range", "top"), [(False, 127), (True, 64)], ids=["8-bit", "7-bit"])
def test_arithmetic_is_that_of_the_formulas(
    tmp_path: Path, data: Path, activations: str, steps: int, reduce_range: bool, top: int
) -> None:
    weights = tiny.Weights.random()
    result = make(
        tiny.write(tmp_path / "m", weights), tmp_path / "a", data,
        activations=activations, reduceRange=reduce_range, embeddings="keep",
    )  # fmt: skip
    texts = [[int(word[1:]) for word in text.split()][:20] for text in tiny.some_texts(16)]
    embedded = weights.embeddings.astype(np.float64)
    hidden = np.concatenate([embedded[text] for text in texts])
    context = np.concatenate([np.cumsum(embedded[text] @ weights.cache_in, axis=0) for text in texts])
    [report] = result["reports"]
    assert report["ranges"]["hidden"] == [hidden.min(), hidden.max()]
    assert report["ranges"]["context"] == pytest.approx([context.min(), context.max()], rel=1e-5)

    token = rounded_values(embedded[IDS], hidden, steps)
    cache = np.cumsum(token @ rounded_weights(weights.cache_in, top), axis=0)
    expected = token @ rounded_weights(weights.output, top)
    expected += rounded_values(cache, context, steps) @ rounded_weights(weights.cache_out, top)
    step = (context.max() - context.min()) / steps * np.abs(weights.cache_out).max()
    assert logits(tmp_path / "a", "basic") == pytest.approx(expected, abs=float(step) + 1e-4)


def test_graph_has_one_pair_for_each_input_and_one_for_each_weight(tmp_path: Path, data: Path) -> None:
    make(bert.write(tmp_path / "m"), tmp_path / "a", data)
    counts = graphs.operators(onnx.load(tmp_path / "a" / "model.onnx"))
    before = graphs.operators(onnx.load(tmp_path / "m" / "model.onnx"))
    products_made = 6 * bert.LAYERS + 1
    assert counts["QuantizeLinear"] == 4 * bert.LAYERS + 1
    assert counts["DequantizeLinear"] == counts["QuantizeLinear"] + products_made
    assert counts["MatMul"] == before["MatMul"] + 1  # the Gemm became one with an Add
    assert (counts["Gemm"], counts["GatherBlockQuantized"]) == (0, 1)
    floats = {name: array.shape for name, array in arrays(tmp_path / "a").items() if array.dtype == np.float32}
    assert [name for name, shape in floats.items() if len(shape) > 1 and "embeddings" not in name] == []


def test_what_is_left_goes_to_the_next_step(tmp_path: Path, data: Path) -> None:
    """C reads what the cache gave; the block-wise step finds nothing else to do."""
    source = tiny.write(tmp_path / "m")
    left = make(source, tmp_path / "left", data, leave=["?"], embeddings="keep")
    assert (left["failed"], left["refused"]) == (0, "STEP_INAPPLICABLE")
    make(source, tmp_path / "a", data, leave=["C"])
    assert {"C", "K_quantized", "W_quantized"} <= set(arrays(tmp_path / "a"))
    blocks = {"scheme": "int8", "blockSize": 16, "embeddings": "keep"}
    (tmp_path / "b").mkdir()
    step = {"name": "quantize/int8", "parameters": blocks}
    made = chained(tmp_path / "a" / "model.onnx", tmp_path / "b" / "model.onnx", [step])
    assert (made["idle"], made["remarks"]) == ([], [])
    assert [one["tensor"] for one in made["reports"][0]["quantized"]] == ["C"]
    exact = tiny.Weights.random().logits(IDS)
    assert logits(tmp_path / "b") == pytest.approx(exact, abs=0.05 * float(np.abs(exact).max()))


def test_leave_has_to_name_a_weight(tmp_path: Path, data: Path) -> None:
    made = make(tiny.write(tmp_path / "m"), tmp_path / "a", data, leave=["C", "layer.*.weight"])
    assert made["refused"] == "STEP_INAPPLICABLE"
    assert made["reason"].startswith("`leave` has `layer.*.weight`, which names no weight of a product")


@pytest.mark.parametrize(("opset", "domain"), [(17, "com.microsoft"), (21, "")])
def test_int16_is_of_the_domain_that_has_it(tmp_path: Path, data: Path, opset: int, domain: str) -> None:
    source = tiny.write(tmp_path / "m")
    model = onnx.load(source / "model.onnx")
    model.opset_import[0].version = opset
    model.ir_version = 10
    (source / "model.onnx").write_bytes(model.SerializeToString())
    make(source, tmp_path / "a", data, activations="int16")
    made = onnx.load(tmp_path / "a" / "model.onnx")
    assert {node.domain for node in made.graph.node if node.op_type == "QuantizeLinear"} == {domain}
    exact = tiny.Weights.random().logits(IDS)
    assert logits(tmp_path / "a") == pytest.approx(exact, abs=0.03 * float(np.abs(exact).max()))


def test_per_tensor_has_one_scale_a_matrix(tmp_path: Path, data: Path) -> None:
    make(tiny.write(tmp_path / "m"), tmp_path / "a", data, perChannel=False)
    found = arrays(tmp_path / "a")
    weights = tiny.Weights.random()
    for name, array in (("K", weights.cache_in), ("C", weights.cache_out), ("W", weights.output)):
        assert found[f"{name}_scale"] == pytest.approx(np.abs(array).max() / 127)


def _runs(values: Any, parts: int = 4) -> list[dict[str, Any]]:
    return [{"x": part.astype(np.float32)} for part in np.split(values, parts)]


def test_extremes_are_of_all_runs_and_each_channel() -> None:
    runs = [{"x": np.array([[1, -2], [3, 4]])}, {"x": np.array([[-5, 0]])}]
    found = extremes(runs)["x"]
    assert (found.low.tolist(), found.high.tolist()) == ([-5, -2], [3, 4])


@pytest.mark.parametrize("percentile", [90, 99.9])
def test_percentile_cuts_both_tails(percentile: float) -> None:
    values = np.random.default_rng(2).gamma(2, size=(4000, 8)) - 1
    runs = _runs(values)
    found = ranges(runs, extremes(runs), "percentile", percentile, 128)["x"]
    bin_width = (values.max() - values.min()) / 2048
    tail = (100 - percentile) / 2
    assert found.low == pytest.approx(np.percentile(values, tail), abs=2 * bin_width)
    assert found.high == pytest.approx(np.percentile(values, 100 - tail), abs=2 * bin_width)


def test_entropy_clips_rare_outliers_and_nothing_of_even_values() -> None:
    draw = np.random.default_rng(3)
    rare = draw.standard_normal((4000, 8))
    rare[::400] *= 40
    even = draw.uniform(-1, 2, (4000, 8))
    for values, low, high in ((rare, 2.5, float(np.abs(rare).max()) / 2), (even, 2 - 2 / 256, 2.0)):
        runs = _runs(values)
        found = ranges(runs, extremes(runs), "entropy", 99.99, 128)["x"]
        assert low < found.high <= high
    many = _runs(rare)
    whole = ranges(many, extremes(many), "minmax", 99.99, 128)
    assert ranges(many, extremes(many), "entropy", 99.99, 32768) == whole


@pytest.mark.parametrize(
    ("found", "scale", "zero"),
    [
        (Range(-1, 3), 4 / 255, 64),
        (Range(1, 5.1), 0.02, 0),
        (Range(-5.1, -1), 0.02, 255),
        (Range(0, 0), 1, 0),
    ],
)
def test_zero_is_always_exact(found: Range, scale: float, zero: int) -> None:
    assert found.integers(0, 255) == (np.float32(scale), zero)


def test_smoothing_follows_the_formula(tmp_path: Path) -> None:
    folder = tiny.write(tmp_path / "m")
    weights = tiny.Weights.random()
    high = np.linspace(0, 8, tiny.HIDDEN)
    with Source(folder / "model.onnx") as source:
        groups = by_input(find(source.model).products)
        shared = {"hidden": groups["hidden"]}
        found = factors(source, shared, {"hidden": Seen(-high / 2, high)}, 0.75)["hidden"]
    largest = np.maximum(np.abs(weights.cache_in).max(axis=1), np.abs(weights.output).max(axis=1))
    expected = high**0.75 / largest**0.25
    expected[0] = 1
    assert found == pytest.approx(expected, rel=1e-6)


def test_smoothing_leaves_the_model_as_it_was(tmp_path: Path, data: Path) -> None:
    """With 16-bit activations there is nothing else that could change it: errors are those of the weights."""
    make(tiny.write(tmp_path / "m"), tmp_path / "a", data, activations="int16", smoothQuant=0.5)
    exact = tiny.Weights.random().logits(IDS)
    assert logits(tmp_path / "a") == pytest.approx(exact, abs=0.03 * float(np.abs(exact).max()))
    counts = graphs.operators(onnx.load(tmp_path / "a" / "model.onnx"))
    assert counts["Mul"] == 2


def _normed(smooth: bool) -> Any:
    """x → LayerNormalization → MatMul, the norm's outliers in two channels; read by one more if not `smooth`."""
    draw = np.random.default_rng(6)
    scale = np.ones(tiny.HIDDEN, np.float32)
    scale[[3, 7]] = 60
    model = tiny.graph(tiny.Weights.random())
    parts = {"scale": scale, "bias": draw.standard_normal(tiny.HIDDEN).astype(np.float32)}
    model.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in parts.items())
    model.graph.node.insert(1, helper.make_node("LayerNormalization", ["hidden", *parts], ["normed"], name="/norm"))
    for node in model.graph.node:
        if node.op_type == "MatMul" and node.input[0] == "hidden":
            node.input[0] = "normed"
    if not smooth:
        model.graph.output.append(helper.make_tensor_value_info("normed", 1, ["batch", "new", tiny.HIDDEN]))
    return model


@pytest.mark.parametrize("alone", [True, False], ids=["alone", "read-elsewhere"])
def test_norm_takes_smoothing_in_if_nothing_else_reads_it(tmp_path: Path, data: Path, alone: bool) -> None:
    source = tiny.write(tmp_path / "m")
    (source / "model.onnx").write_bytes(_normed(alone).SerializeToString())
    result = make(source, tmp_path / "a", data, smoothQuant=0.5, activations="int16")
    assert result["reports"][0]["smoothedInNorms"] == (1 if alone else 0)
    counts = graphs.operators(onnx.load(tmp_path / "a" / "model.onnx"))
    assert counts["Mul"] == (1 if alone else 2)
    exact = logits(source)
    assert logits(tmp_path / "a") == pytest.approx(exact, abs=0.03 * float(np.abs(exact).max()))
    if not alone:
        made = runtime.open_session(tmp_path / "a" / "model.onnx", runtime.options("all", 1))
        assert "normed" in [value.name for value in made.get_outputs()]


def test_smoothing_saves_a_model_with_outliers(tmp_path: Path, data: Path) -> None:
    source = tiny.write(tmp_path / "m")
    (source / "model.onnx").write_bytes(_normed(True).SerializeToString())
    exact = logits(source)
    errors = []
    for name, parameters in (("plain", {}), ("smooth", {"smoothQuant": 0.5})):
        make(source, tmp_path / name, data, embeddings="keep", **parameters)
        errors.append(float(np.square(logits(tmp_path / name) - exact).sum()))
    assert errors[1] < 0.7 * errors[0]


def test_same_bytes_with_other_threads(tmp_path: Path, data: Path) -> None:
    source = bert.write(tmp_path / "m")
    found = []
    for threads in (1, 3):
        target = tmp_path / f"{threads}"
        target.mkdir()
        bench = {
            "model": str(source),
            "scratch": str(target),
            "threads": threads,
            "files": {"calibrate.data": str(data)},
        }
        parameters = {"scheme": "int8-static", "calibrate": {}, "method": "percentile", "smoothQuant": 0.5}
        request = {"name": STATIC, "parameters": parameters, "source": str(source / "model.onnx"), "bench": bench}
        run("step", {**request, "target": str(target)})
        found.append((target / "model.onnx").read_bytes())
    assert found[0] == found[1]


def _lines(path: Path, *lines: str) -> Path:
    path.write_text("".join(line + "\n" for line in lines))
    return path


def _text(words: str) -> str:
    return json.dumps({"text": words})


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ([], "`bad.jsonl` has 0 texts; calibration takes at least 8."),
        ([_text("w1 w2")] * 7 + [_text("")], "`bad.jsonl` has 7 texts; calibration takes at least 8."),
        ([_text("w1"), "", "w2"], "Line 3 of `bad.jsonl` is no text: The line is not JSON in UTF-8."),
        (
            [_text("w1"), '{"txt": "w2"}'],
            "Line 2 of `bad.jsonl` is no text: The line is not an object with a string `text`.",
        ),
    ],
    ids=["empty", "few", "not-json", "no-text"],
)
def test_unusable_data_is_refused(tmp_path: Path, lines: list[str], reason: str) -> None:
    path = _lines(tmp_path / "bad.jsonl", *lines)
    found = make(tiny.write(tmp_path / "m"), tmp_path / "a", path)
    told = {"refused": "BAD_CALIBRATION_DATA", "reason": reason, "parameter": "calibrate.data"}
    assert found == {"failed": 0, **told}


def test_few_samples_are_enough_if_no_more_are_asked_for(tmp_path: Path) -> None:
    path = _lines(tmp_path / "few.jsonl", _text("w1 w2"), _text("w3"))
    assert "failed" not in make(tiny.write(tmp_path / "m"), tmp_path / "a", path, calibrate={"samples": 2})


def test_values_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    weights = tiny.Weights.random()
    weights.embeddings[9], weights.cache_in[:] = 1e38, 100
    path = _lines(tmp_path / "bad.jsonl", _text("w1 w2"), "", _text("w3 w9"))
    assert make(tiny.write(tmp_path / "m", weights), tmp_path / "a", path) == {
        "failed": 0,
        "refused": "BAD_CALIBRATION_DATA",
        "reason": "The text on line 3 of `bad.jsonl` makes `context` NaN or infinite.",
        "parameter": "calibrate.data",
    }


@pytest.mark.parametrize(("part", "name"), [("embeddings", "E"), ("output", "W")])
def test_weights_that_are_no_numbers_are_not_the_texts_fault(tmp_path: Path, data: Path, part: str, name: str) -> None:
    weights = tiny.Weights.random()
    getattr(weights, part)[2, 2] = np.nan
    assert make(tiny.write(tmp_path / "m", weights), tmp_path / "a", data) == {
        "failed": 0,
        "refused": "NON_FINITE_WEIGHTS",
        "reason": f"`{name}` has weights that are NaN or infinite.",
    }


def test_text_that_the_model_does_not_take_is_refused(tmp_path: Path) -> None:
    path = _lines(tmp_path / "bad.jsonl", _text("w1 w2"), _text("w3 " * (bert.POSITIONS + 1)))
    found = make(bert.write(tmp_path / "m"), tmp_path / "a", path, calibrate={"maxTokens": 128})
    assert found["refused"] == "BAD_CALIBRATION_DATA"
    assert found["reason"].startswith("The text on line 2 of `bad.jsonl` does not go through the model: ")
    assert "/places" in found["reason"]


def test_opset_without_scales_for_channels_is_refused(tmp_path: Path, data: Path) -> None:
    source = tiny.write(tmp_path / "m")
    model = onnx.load(source / "model.onnx")
    model.opset_import[0].version = 12
    (source / "model.onnx").write_bytes(model.SerializeToString())
    assert make(source, tmp_path / "a", data) == {
        "failed": 0,
        "refused": "STEP_INAPPLICABLE",
        "reason": "`/keys` is of opset 12; the quantized form needs 13. `convert-opset` before it helps.",
    }
