"""Zeros: counted whatever the weights are stored as, watched over, and encoded where that is smaller."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

from compiler.artifact.graph import graphs
from compiler.artifact.graph.sparsity import Zeros, lost, zeros
from compiler.artifact.store.store import Store
from compiler.base.codes import Code
from compiler.fleet.graph import Recipe, Step, StepFile
from tests.artifact import tiny
from tests.artifact.adapters import write_adapter
from tests.artifact.building import built, write_workspace
from tests.artifact.stepping import chained
from tests.values import PLACE

ENCODE = {"name": "sparse-encode", "parameters": {}}
INNER, OUTER = 70, 24


def product(kind: str, inputs: list[str], constants: dict[str, Any], **attributes: Any) -> Any:
    made = [
        array if isinstance(array, onnx.TensorProto) else numpy_helper.from_array(np.asarray(array), name)
        for name, array in constants.items()
    ]
    sides = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", None]) for name in ("x", "y")]
    domain = attributes.pop("domain", "")
    before = attributes.pop("before", [])
    nodes = [*before, helper.make_node(kind, inputs, ["y"], name="/y", domain=domain, **attributes)]
    body = helper.make_graph(nodes, "product", sides[:1], sides[1:], made)
    imports = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(body, opset_imports=imports, ir_version=10)


def written(folder: Path, model: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    return folder / "model.onnx"


def run(path: Path, inner: int = INNER) -> Any:
    """What the graph makes of the unit matrix: the weights as the kernel sees them."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": np.eye(inner, dtype=np.float32)})[0]


def sparse_weights(share: float = 0.5) -> Any:
    draw = np.random.default_rng(6)
    weight = draw.standard_normal((INNER, OUTER)).astype(np.float32)
    weight[draw.random((INNER, OUTER)) < share] = 0
    return weight


@pytest.mark.parametrize("symmetric", [False, True], ids=["asymmetric", "symmetric"])
@pytest.mark.parametrize("bits", [4, 8])
def test_zeros_of_weights_in_blocks_are_those_that_the_kernel_sees(tmp_path: Path, bits: int, symmetric: bool) -> None:
    model = product("MatMul", ["x", "W"], {"W": sparse_weights()})
    quantizer = MatMulNBitsQuantizer(model, bits=bits, block_size=16, is_symmetric=symmetric)
    quantizer.process()
    path = written(tmp_path, quantizer.model.model)
    [count] = zeros(path).values()
    assert count == Zeros(int(np.count_nonzero(run(path) == 0)), INNER * OUTER)
    assert count.share > 0.5


def test_real_zero_points_of_blocks_lose_the_zeros(tmp_path: Path) -> None:
    codes = np.full((OUTER, 2, 16), 0x88, np.uint8)
    constants = {"B": codes, "s": np.ones(OUTER * 2, np.float32)}
    attributes = {"K": 64, "N": OUTER, "bits": 4, "block_size": 32, "domain": "com.microsoft"}
    for points, count in ((np.full(OUTER * 2, 8, np.float32), 64 * OUTER), (np.full(OUTER * 2, 7.5, np.float32), 0)):
        model = product("MatMulNBits", ["x", "B", "s", "z"], {**constants, "z": points}, **attributes)
        path = written(tmp_path, model)
        assert zeros(path) == {"B": Zeros(count, 64 * OUTER)}
        assert np.count_nonzero(run(path, 64) == 0) == count


@pytest.mark.parametrize(
    ("kind", "points"),
    [
        (np.uint8, np.arange(OUTER, dtype=np.uint8)),
        (np.int8, np.array(3, np.int8)),
        (np.int8, np.zeros(OUTER, np.int8)),
    ],
    ids=["by-column", "one", "symmetric"],
)
@pytest.mark.parametrize("outside", [False, True], ids=["inside", "outside"])
def test_zeros_behind_a_dequantizing_node(tmp_path: Path, kind: Any, points: Any, outside: bool) -> None:
    codes = np.random.default_rng(1).integers(0, 30, (INNER, OUTER)).astype(kind)
    scales = np.full(points.shape, 0.5, np.float32)
    before = [helper.make_node("DequantizeLinear", ["q", "s", "z"], ["W"], axis=1)]
    model = product("MatMul", ["x", "W"], {"q": codes, "s": scales, "z": points}, before=before)
    path = written(tmp_path, model)
    if outside:
        onnx.save(model, path, save_as_external_data=True, location="w.bin", size_threshold=0)
    assert zeros(path) == {"q": Zeros(int(np.count_nonzero(run(path) == 0)), INNER * OUTER)}


@pytest.mark.parametrize("outside", [False, True], ids=["inside", "outside"])
def test_zeros_of_four_bit_blocks_behind_a_dequantizing_node(tmp_path: Path, outside: bool) -> None:
    draw = np.random.default_rng(1).integers
    tensors = {
        name: helper.make_tensor(name, TensorProto.UINT4, dims, draw(0, 16, dims).reshape(-1).tolist())
        for name, dims in (("q", (64, OUTER)), ("z", (2, OUTER)))
    }
    constants = {"q": tensors["q"], "s": np.ones((2, OUTER), np.float32), "z": tensors["z"]}
    before = [helper.make_node("DequantizeLinear", ["q", "s", "z"], ["W"], axis=0, block_size=32)]
    model = product("MatMul", ["x", "W"], constants, before=before)
    path = written(tmp_path, model)
    if outside:
        onnx.save(model, path, save_as_external_data=True, location="w.bin", size_threshold=0)
    assert zeros(path) == {"q": Zeros(int(np.count_nonzero(run(path, 64) == 0)), 64 * OUTER)}


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        ({"W": Zeros(50, 100)}, {"W": Zeros(50, 100)}, None),
        ({"W": Zeros(500, 1000)}, {"W": Zeros(491, 1000)}, None),
        ({"W": Zeros(0, 100)}, {}, None),
        ({"W": Zeros(50, 100)}, {"W_Q4": Zeros(60, 100)}, None),
        ({"W": Zeros(50, 100)}, {"W": Zeros(10, 50)}, None),
        (
            {"V": Zeros(50, 100), "W": Zeros(50, 100)},
            {"V_quantized": Zeros(50, 100), "W_quantized": Zeros(3, 100)},
            "Of the weights in matrices 50.0% were zero before it, and 26.5% after; "
            "most was lost in `W`, 50.0% to 3.0%.",
        ),
        (
            {"W": Zeros(50, 100)},
            {"other": Zeros(1, 100)},
            "Of the weights in matrices 50.0% were zero before it, and 1.0% after.",
        ),
        (
            {"W": Zeros(50, 100)},
            {},
            "None of the 1 matrices was found again, so what became of their zeros is not known.",
        ),
    ],
    ids=["same", "within-tolerance", "none-before", "quantized", "shrunk", "lost", "renamed", "gone"],
)
def test_what_counts_as_lost(before: dict[str, Zeros], after: dict[str, Zeros], why: str | None) -> None:
    assert lost(before, after) == why


def test_a_step_that_fills_zeros_is_named_by_the_build(tmp_path: Path) -> None:
    """The tiny model's K is 16 × 4; an adapter on it makes numbers of every zero that pruning left."""
    workspace = write_workspace(tmp_path / "w")
    down, up = np.full((1, 16), 1e-3, np.float32), np.full((4, 1), 1e-3, np.float32)
    write_adapter(workspace / "adapter", {"keys": (down, up)})
    prune = Step("prune", {"method": "magnitude", "sparsity": 0.5}, PLACE)
    merge = Step("merge-adapter", {"adapter": "adapter"}, PLACE, files=(StepFile("adapter", "adapter", PLACE),))
    optimize = Step("optimize", {"level": "basic"}, PLACE)
    store = Store(tmp_path / "store")
    _, diagnostics, _ = built(workspace, store, Recipe("wrong", (prune, merge), (), PLACE))
    [found] = [one for one in diagnostics if one.code is Code.LOST_SPARSITY]
    assert found.message == (
        "Step 2 (`merge-adapter`) of recipe `wrong` on `assistant@1.4.0`: Of the weights in matrices 50.0% were zero "
        "before it, and 45.5% after; most was lost in `K`, 50.0% to 0.0%."
    )
    for recipe in (Recipe("right", (merge, prune), (), PLACE), Recipe("kept", (prune, optimize), (), PLACE)):
        _, diagnostics, _ = built(workspace, store, recipe)
        assert Code.LOST_SPARSITY not in [one.code for one in diagnostics]


def dense(folder: Path, weight: Any, **others: Any) -> Path:
    return written(folder / "m", product("MatMul", ["x", "W"], {"W": weight, **others}))


def encoded(folder: Path, *steps: dict[str, Any]) -> dict[str, Any]:
    (folder / "made").mkdir()
    return chained(folder / "m" / "model.onnx", folder / "made" / "model.onnx", [*steps, ENCODE])


def few(count: int, kind: Any = np.float32) -> Any:
    """100 × 100 with so many numbers that are not zero, the last one minus zero."""
    weight = np.zeros(10_000, kind)
    draw = np.random.default_rng(3)
    places = draw.choice(10_000, count, replace=False)
    weight[places] = draw.standard_normal(count)
    weight[places[-1:]] = -0.0
    return weight.reshape(100, 100)


@pytest.mark.parametrize("kind", [np.float32, np.float16])
def test_a_tensor_of_hardly_anything_becomes_sparse_and_runs_the_same(tmp_path: Path, kind: Any) -> None:
    weight = few(20, kind)
    model = product("MatMul", ["x", "W"], {"W": weight})
    if kind is np.float16:
        for value in (*model.graph.input, *model.graph.output):
            value.type.tensor_type.elem_type = TensorProto.FLOAT16
    written(tmp_path / "m", model)
    result = encoded(tmp_path)
    assert (result["idle"], result["remarks"]) == ([], [])
    made = onnx.load(tmp_path / "made" / "model.onnx")
    onnx.checker.check_model(made)
    assert [tensor.values.name for tensor in made.graph.sparse_initializer] == ["W"]
    assert len(made.graph.initializer) == 0
    session = onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    np.testing.assert_array_equal(session.run(None, {"x": np.eye(100, dtype=kind)})[0], weight)
    assert result["weight_bytes"] == weight.nbytes
    sizes = [len(zlib.compress(path.read_bytes(), 6)) for path in sorted(tmp_path.rglob("model.onnx"))]
    assert sizes[1] < sizes[0]


def test_a_tensor_of_zeros_alone_runs(tmp_path: Path) -> None:
    path = dense(tmp_path, np.zeros((100, 100), np.float32))
    assert encoded(tmp_path)["remarks"] == []
    np.testing.assert_array_equal(run(tmp_path / "made" / "model.onnx", 100), run(path, 100))


def test_half_zeros_stay_dense_and_both_numbers_are_said(tmp_path: Path) -> None:
    folder = tiny.write(tmp_path / "m")
    prune = {"name": "prune/magnitude", "parameters": {"method": "magnitude", "sparsity": 0.5}}
    result = encoded(tmp_path, prune)
    assert result["idle"] == [1]
    pruned = chained(folder / "model.onnx", tmp_path / "pruned.onnx", [prune])
    weight = next(t for t in onnx.load(tmp_path / "pruned.onnx").graph.initializer if t.name == "W")
    flat = numpy_helper.to_array(weight).reshape(-1)
    places = np.flatnonzero(flat)
    whole = len(zlib.compress(flat.tobytes(), 6))
    apart = len(zlib.compress(places.astype(np.int64).tobytes(), 6)) + len(zlib.compress(flat[places].tobytes(), 6))
    assert apart > whole
    assert result["remarks"] == [
        [
            "STEP_PARTIAL",
            f"Tensor `W` stays dense: about {whole:,} bytes compressed, and {apart:,} if sparse "
            "(2,048 and 3,072 uncompressed).",
        ]
    ]
    assert pruned["idle"] == []


def test_smaller_only_before_compression_is_not_smaller(tmp_path: Path) -> None:
    """One number in four, always in the same place: runs that compression makes nothing of."""
    weight = np.zeros((100, 100), np.float32)
    weight[:, ::5] = 1
    dense(tmp_path, weight)
    result = encoded(tmp_path)
    assert result["idle"] == [0]
    [row] = result["reports"][0]["dense"]
    assert row["sparse"][0] < row["dense"][0]
    assert row["sparse"][1] > row["dense"][1]


def test_a_model_without_zeros_is_left_alone(tmp_path: Path) -> None:
    dense(tmp_path, np.ones((100, 100), np.float32))
    result = encoded(tmp_path)
    assert result["idle"] == [0]
    assert result["remarks"] == [["STEP_PARTIAL", "No float tensor of the graph has 10% of zeros or more."]]


def test_only_the_tensors_that_gain_become_sparse(tmp_path: Path) -> None:
    dense(tmp_path, few(20), V=few(9_000), unread=few(20))
    result = encoded(tmp_path)
    made = onnx.load(tmp_path / "made" / "model.onnx")
    assert [tensor.values.name for tensor in made.graph.sparse_initializer] == ["W", "unread"]
    assert [tensor.name for tensor in made.graph.initializer] == ["V"]
    assert [code for code, _ in result["remarks"]] == ["STEP_PARTIAL"]


def test_sparse_matrices_count_as_zeros_and_their_bytes_as_dense(tmp_path: Path) -> None:
    path = dense(tmp_path, few(20))
    encoded(tmp_path)
    assert zeros(tmp_path / "made" / "model.onnx") == zeros(path) == {"W": Zeros(9_981, 10_000)}
    assert graphs.weight_bytes(onnx.load(tmp_path / "made" / "model.onnx")) == 40_000
