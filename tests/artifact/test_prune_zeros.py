"""`prune` with `magnitude` and `n-of-m`: which weights become zero, and what is said of it."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from compiler.artifact.graph import graphs, weights
from compiler.artifact.graph.sparsity import zeros
from compiler.artifact.inference.decoder import Decoder
from compiler.artifact.steps.pruning import zeroing
from tests.artifact import tiny
from tests.artifact.stepping import chained

NAN = float("nan")


def magnitude(sparsity: float) -> dict[str, Any]:
    return {"name": "prune/magnitude", "parameters": {"method": "magnitude", "sparsity": sparsity}}


def n_of_m(n: int, m: int) -> dict[str, Any]:
    return {"name": "prune/n-of-m", "parameters": {"method": "n-of-m", "n": n, "m": m}}


def run(folder: Path, *steps: dict[str, Any]) -> dict[str, Any]:
    (folder.parent / "made").mkdir(exist_ok=True)
    return chained(folder / "model.onnx", folder.parent / "made" / "model.onnx", list(steps))


def arrays(path: Path) -> dict[str, Any]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer}


def product(folder: Path, node: Any, **constants: Any) -> Path:
    """A graph of one node on an input `x`, with the constants beside."""
    made = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    sides = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("x", "y")]
    body = helper.make_graph([node], "product", sides[:1], sides[1:], made)
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    folder.mkdir()
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    return folder


def matmul(folder: Path, weight: Any) -> Path:
    return product(folder, helper.make_node("MatMul", ["x", "W"], ["y"]), W=weight)


def without_smallest(weight: Any, count: int) -> Any:
    """By sorting, which the step does not do: the magnitude first, then the place."""
    flat = weight.reshape(-1).copy()
    for place in sorted(range(flat.size), key=lambda place: (abs(float(flat[place])), place))[:count]:
        flat[place] = 0
    return flat.reshape(weight.shape)


def drawn(shape: tuple[int, ...], kind: Any, *, few: bool) -> Any:
    """Random weights; `few` different values make many ties."""
    draw = np.random.default_rng(11)
    return (draw.integers(-3, 4, shape) if few else draw.standard_normal(shape)).astype(kind)


@pytest.mark.parametrize("few", [False, True], ids=["distinct", "ties"])
@pytest.mark.parametrize("kind", [np.float32, np.float16])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.875])
def test_magnitude_zeroes_the_smallest_and_of_equal_ones_the_first(
    tmp_path: Path, kind: Any, few: bool, share: float
) -> None:
    weight = drawn((24, 10), kind, few=few)
    result = run(matmul(tmp_path / "m", weight), magnitude(share))
    made = arrays(tmp_path / "made" / "model.onnx")["W"]
    np.testing.assert_array_equal(made, without_smallest(weight, int(240 * share)))
    assert made.dtype == kind
    assert result["idle"] == ([0] if np.array_equal(made, weight) else [])


def test_magnitude_does_not_depend_on_the_pieces_that_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tiny.write_external(tmp_path / "m")
    run(folder, magnitude(0.3), n_of_m(1, 4))
    whole = (tmp_path / "made" / "model.onnx").read_bytes()
    monkeypatch.setattr(weights, "PIECE", 64)
    monkeypatch.setattr(zeroing, "PIECE", 64)
    run(folder, magnitude(0.3), n_of_m(1, 4))
    assert (tmp_path / "made" / "model.onnx").read_bytes() == whole
    run(tiny.write(tmp_path / "embedded"), magnitude(0.3), n_of_m(1, 4))
    assert (tmp_path / "made" / "model.onnx").read_bytes() == whole


def test_only_matrices_of_products_are_pruned(tmp_path: Path) -> None:
    folder = tiny.write(tmp_path / "m")
    before = arrays(folder / "model.onnx")
    result = run(folder, magnitude(0.25))
    after = arrays(tmp_path / "made" / "model.onnx")
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    assert changed == {"K", "C", "W"}
    [report] = result["reports"]
    assert [row | {"bytes": 0, "compressed": []} for row in report["matrices"]] == [
        {"name": name, "node": node, "shape": shape, "before": 0, "after": count, "share": 0.25}
        | {"bytes": 0, "compressed": []}
        for name, node, shape, count in (
            ("K", "/keys", [16, 4], 16),
            ("C", "/from_cache", [4, 32], 32),
            ("W", "/from_token", [16, 32], 128),
        )
    ]
    assert (report["weights"], report["zeros"], report["share"]) == (704, [0, 176], 0.25)


def test_a_table_that_is_a_matrix_too_is_left_alone(tmp_path: Path) -> None:
    folder = tiny.write(tmp_path / "m")
    model = onnx.load(folder / "model.onnx")
    for node in model.graph.node:
        if node.output[0] == "hidden":
            node.input[0] = "table"
    table = numpy_helper.to_array(next(t for t in model.graph.initializer if t.name == "E"))
    square = np.vstack([table, table])[:32, :16]
    model.graph.initializer.append(numpy_helper.from_array(square, "table"))
    model.graph.node.append(helper.make_node("MatMul", ["logits", "table"], ["more"]))
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    run(folder, magnitude(0.25))
    np.testing.assert_array_equal(arrays(tmp_path / "made" / "model.onnx")["table"], square)


def test_the_report_estimates_what_compression_makes_of_it(tmp_path: Path) -> None:
    weight = drawn((100, 100), np.float32, few=False)
    [report] = run(matmul(tmp_path / "m", weight), magnitude(0.5))["reports"]
    after = arrays(tmp_path / "made" / "model.onnx")["W"]
    assert report["bytes"] == 40_000
    assert report["compressed"] == [len(zlib.compress(array.tobytes(), 6)) for array in (weight, after)]
    assert report["compressed"][1] < 0.7 * report["compressed"][0]
    assert "neither time nor memory" in report["note"]


@pytest.mark.parametrize("step", [magnitude(0.5), n_of_m(2, 4)], ids=["magnitude", "n-of-m"])
def test_pruning_twice_changes_nothing_the_second_time(tmp_path: Path, step: dict[str, Any]) -> None:
    assert run(tiny.write(tmp_path / "m"), step, step)["idle"] == [1]


def test_weights_that_are_zero_already_count_as_pruned(tmp_path: Path) -> None:
    weight = np.array([[1, 0, -0.0, 2], [3, 4, 5, 6]], np.float32)
    result = run(matmul(tmp_path / "m", weight), magnitude(0.5))
    assert arrays(tmp_path / "made" / "model.onnx")["W"].tolist() == [[0, 0, 0, 0], [3, 4, 5, 6]]
    assert result["reports"][0]["zeros"] == [2, 4]


def test_n_of_m_goes_along_the_inputs_of_a_matmul(tmp_path: Path) -> None:
    weight = np.array([[1, -9], [2, 8], [-3, 7], [4, 6], [1, 1], [1, 1], [0, 1], [1, 1]], np.float32)
    run(matmul(tmp_path / "m", weight), n_of_m(2, 4))
    made = arrays(tmp_path / "made" / "model.onnx")["W"].T.tolist()
    assert made == [[0, 0, -3, 4, 0, 1, 0, 1], [-9, 8, 0, 0, 0, 0, 1, 1]]


def test_n_of_m_goes_along_the_inputs_of_a_gemm_with_a_turned_matrix(tmp_path: Path) -> None:
    weight = np.array([[1, 2, 3, 5, 4, 6], [6, 5, 4, 2, 3, 1]], np.float32)
    folder = product(tmp_path / "m", helper.make_node("Gemm", ["x", "W"], ["y"], transB=1), W=weight)
    run(folder, n_of_m(1, 3))
    assert arrays(tmp_path / "made" / "model.onnx")["W"].tolist() == [[0, 2, 3, 5, 0, 6], [6, 5, 0, 2, 3, 0]]


@pytest.mark.parametrize(("n", "m"), [(1, 2), (2, 4), (5, 8), (15, 16)])
def test_n_of_m_zeroes_the_smallest_of_each_group(tmp_path: Path, n: int, m: int) -> None:
    weight = drawn((48, 6), np.float32, few=True)
    run(matmul(tmp_path / "m", weight), n_of_m(n, m))
    made = arrays(tmp_path / "made" / "model.onnx")["W"]
    for start in range(0, 48, m):
        for column in range(6):
            group = weight[start : start + m, column : column + 1]
            np.testing.assert_array_equal(made[start : start + m, column : column + 1], without_smallest(group, n))


def test_a_rest_shorter_than_m_stays_and_is_named(tmp_path: Path) -> None:
    weight = np.arange(1, 11, dtype=np.float32).reshape(10, 1)
    result = run(matmul(tmp_path / "m", weight), n_of_m(2, 4))
    assert arrays(tmp_path / "made" / "model.onnx")["W"].reshape(-1).tolist() == [0, 0, 3, 4, 0, 0, 7, 8, 9, 10]
    assert result["remarks"] == [
        ["STEP_PARTIAL", "The last 2 of 10 weights in a row of `W`, are no 4 and stay."],
    ]


@pytest.mark.parametrize(
    ("step", "weight", "why"),
    [
        (magnitude(1.0), [[1.0]], "A `sparsity` of 100 % leaves no weight in any matrix."),
        (n_of_m(4, 4), [[1.0]], "`n` is 4 and `m` is 4: that leaves no weight in any matrix."),
        (magnitude(0.5), [1.0, 2.0], "No MatMul or Gemm of the graph has a constant float32 or float16 matrix."),
    ],
    ids=["all", "all-of-m", "no-matrix"],
)
def test_what_cannot_be_pruned_is_refused(tmp_path: Path, step: dict[str, Any], weight: Any, why: str) -> None:
    result = run(matmul(tmp_path / "m", np.array(weight, np.float32)), step)
    assert result == {"failed": 0, "refused": "STEP_INAPPLICABLE", "reason": why}


@pytest.mark.parametrize(
    ("step", "weight"),
    [(magnitude(0.5), [[1.0, NAN]]), (n_of_m(1, 2), [[float("inf")], [1.0]])],
    ids=["nan", "infinite"],
)
def test_weights_that_are_no_numbers_are_refused(tmp_path: Path, step: dict[str, Any], weight: Any) -> None:
    result = run(matmul(tmp_path / "m", np.array(weight, np.float32)), step)
    reason = "`W` has weights that are NaN or infinite."
    assert result == {"failed": 0, "refused": "NON_FINITE_WEIGHTS", "reason": reason}


@pytest.mark.parametrize(
    "quantize",
    [
        {"name": "quantize/int4", "parameters": {"scheme": "int4", "blockSize": 32, "symmetric": False}},
        {"name": "quantize/int8", "parameters": {"scheme": "int8", "blockSize": 32, "symmetric": True}},
        {"name": "quantize/int8-dynamic", "parameters": {"scheme": "int8-dynamic", "perChannel": True}},
        {"name": "optimize", "parameters": {"level": "extended"}},
    ],
    ids=["int4", "int8", "int8-dynamic", "optimize"],
)
def test_the_example_keeps_its_zeros_when_it_is_quantized(
    repository: Path, tmp_path: Path, quantize: dict[str, Any]
) -> None:
    model = repository / "blueprints" / "hello" / "models" / "pydoc-1.0"
    (tmp_path / "made").mkdir()
    result = chained(model / "model.onnx", tmp_path / "made" / "model.onnx", [magnitude(0.3), quantize])
    assert (result["idle"], result["remarks"]) == ([], [])
    counts = zeros(tmp_path / "made" / "model.onnx")
    assert len(counts) == 26
    assert min(count.share for count in counts.values()) >= 0.299
    for name in ("genai_config.json", "tokenizer.json"):
        (tmp_path / "made" / name).write_bytes((model / name).read_bytes())
    decoder, original = (Decoder(folder, threads=1) for folder in (tmp_path / "made", model))
    ids = list(range(3, 40))
    [made, whole] = (one(ids, 0, one.empty_cache())[0] for one in (decoder, original))
    assert np.corrcoef(made.reshape(-1), whole.reshape(-1))[0, 1] > 0.9


def test_pruned_weights_are_as_large_as_before(tmp_path: Path) -> None:
    folder = tiny.write(tmp_path / "m")
    result = run(folder, magnitude(0.5))
    assert result["weight_bytes"] == graphs.weight_bytes(onnx.load(folder / "model.onnx"))
