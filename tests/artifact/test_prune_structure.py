"""`prune` with `heads` and `neurons`: what is left computes what the whole computed without the units that went."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from compiler.artifact import graphs
from compiler.artifact.decoder import Decoder
from tests.artifact import tiny, tiny_encoder
from tests.artifact.stepping import chained
from tests.artifact.tiny_encoder import ATTENTION, HEADS, SIZE

OUT = f"{ATTENTION}.output.dense.weight"
DOWN = "encoder.layer.0.output.dense.weight"
INT4 = {"name": "quantize/int4", "parameters": {"scheme": "int4", "blockSize": 16, "symmetric": False}}


def prune(method: str, share: float) -> dict[str, Any]:
    return {"name": f"prune/{method}", "parameters": {"method": method, "share": share}}


def run(folder: Path, *steps: dict[str, Any]) -> dict[str, Any]:
    (folder.parent / "made").mkdir(exist_ok=True)
    return chained(folder / "model.onnx", folder.parent / "made" / "model.onnx", list(steps))


def write(folder: Path, model: Any) -> Path:
    folder.mkdir()
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    return folder


def output(model: Any, feeds: dict[str, Any]) -> Any:
    data = model.read_bytes() if isinstance(model, Path) else model.SerializeToString()
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    return session.run(None, feeds)[0]


def arrays(path: Path) -> dict[str, Any]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer}


def without(model: Any, weight: str, rows: list[int], size: int = 1) -> Any:
    """The model with what units hand on set to zero: `size` rows each of the matrix that sums them up."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    tensor = next(tensor for tensor in copy.graph.initializer if tensor.name == weight)
    array = numpy_helper.to_array(tensor).copy()
    for row in rows:
        array[row * size : (row + 1) * size] = 0
    tensor.CopyFrom(numpy_helper.from_array(array, weight))
    return copy


def norms(array: Any, axis: int) -> Any:
    return np.linalg.norm(array.astype(np.float64), axis=axis)


@pytest.mark.parametrize("computed", [False, True], ids=["constant-shapes", "computed-shapes"])
def test_heads_of_an_encoder(tmp_path: Path, computed: bool) -> None:
    weights = tiny_encoder.weights()
    model = tiny_encoder.graph(weights, computed_shapes=computed)
    result = run(write(tmp_path / "m", model), prune("heads", 0.5))
    [[layer]] = [report["layers"] for report in result["reports"]]
    value, out = weights[f"{ATTENTION}.self.value.weight"], weights[OUT]
    scores = norms(value.reshape(-1, HEADS, SIZE), (0, 2)) * norms(out.reshape(HEADS, SIZE, -1), (1, 2))
    removed = sorted(np.argsort(scores)[:2].tolist())
    assert layer == {"node": "/context", "before": 4, "after": 2, "removed": removed}
    made = tmp_path / "made" / "model.onnx"
    feeds = tiny_encoder.feeds()
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
    weights = tiny_encoder.weights()
    model = tiny_encoder.graph(weights)
    result = run(write(tmp_path / "m", model), prune("neurons", 0.34))
    scores = norms(weights["encoder.layer.0.intermediate.dense.weight"], 0) * norms(weights[DOWN], 1)
    removed = sorted(np.argsort(scores)[:4].tolist())
    assert result["reports"] == [
        {"layers": [{"node": "/encoder.layer.0.output.dense.MatMul", "before": 12, "after": 8, "removed": removed}]}
    ]
    made = tmp_path / "made" / "model.onnx"
    feeds = tiny_encoder.feeds()
    np.testing.assert_allclose(output(made, feeds), output(without(model, DOWN, removed), feeds), atol=1e-5)
    shapes = {name: array.shape for name, array in arrays(made).items()}
    assert shapes["encoder.layer.0.intermediate.dense.weight"] == (8, 8)
    assert shapes["encoder.layer.0.intermediate.dense.bias"] == (8,)
    assert shapes[DOWN] == (8, 8)


def test_heads_and_neurons_one_after_the_other(tmp_path: Path) -> None:
    model = tiny_encoder.graph(tiny_encoder.weights())
    result = run(write(tmp_path / "m", model), prune("neurons", 0.5), prune("heads", 0.25))
    neurons, heads = (report["layers"][0]["removed"] for report in result["reports"])
    expected = output(without(without(model, DOWN, neurons), OUT, heads, SIZE), tiny_encoder.feeds())
    np.testing.assert_allclose(output(tmp_path / "made" / "model.onnx", tiny_encoder.feeds()), expected, atol=1e-5)


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


def plain(nodes: list[Any], weights: dict[str, Any], *sides: tuple[str, list[Any]]) -> Any:
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, dims) for name, dims in sides]
    constants = [numpy_helper.from_array(np.asarray(array), name) for name, array in weights.items()]
    inputs = [value for value in values if not value.name.startswith("y")]
    outputs = [value for value in values if value.name.startswith("y")]
    body = helper.make_graph(nodes, "plain", inputs, outputs, constants)
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(body, opset_imports=imports, ir_version=9)


GROUPS, QUERIES, WIDE = 3, 2, 8
"""Of the decoder layer below: its heads are 8 wide, the input 6."""


def grouped(**extra: str) -> tuple[Any, dict[str, Any]]:
    """A GroupQueryAttention with separate queries, keys and values, each with a bias, rotated by nodes before it."""
    draw = np.random.default_rng(9).standard_normal
    sizes = {"q": GROUPS * QUERIES * WIDE, "k": GROUPS * WIDE, "v": GROUPS * WIDE}
    weights = {f"{part}.weight": draw((6, size)).astype(np.float32) for part, size in sizes.items()}
    weights |= {f"{part}.bias": draw((size,)).astype(np.float32) for part, size in sizes.items()}
    weights["o.weight"] = draw((sizes["q"], 6)).astype(np.float32)
    angles = np.outer(np.arange(16), 0.5 ** np.arange(WIDE // 2))
    weights |= {"cos": np.cos(angles).astype(np.float32), "sin": np.sin(angles).astype(np.float32)}
    weights |= {"last": np.array([[4]], np.int32), "total": np.array(5, np.int32), "at": np.arange(5).reshape(1, 5)}
    nodes = []
    for part in sizes:
        nodes.append(helper.make_node("MatMul", ["x", f"{part}.weight"], [f"{part}.product"], name=f"/{part}"))
        nodes.append(helper.make_node("Add", [f"{part}.product", f"{part}.bias"], [f"{part}.sum"]))
    for part, heads in (("q", GROUPS * QUERIES), ("k", GROUPS)):
        inputs = [f"{part}.sum", "at", "cos", "sin"]
        more: dict[str, Any] = {"num_heads": heads, "rotary_embedding_dim": 0, "domain": "com.microsoft"}
        nodes.append(helper.make_node("RotaryEmbedding", inputs, [f"{part}.turned"], **more))
    inputs = ["q.turned", "k.turned", "v.sum", "past_key_values.0.key", "past_key_values.0.value", "last", "total"]
    nodes.append(
        helper.make_node(
            "GroupQueryAttention",
            [*inputs, "", "", "", extra.get("bias", "")],
            ["attended", "y.key", "y.value"],
            name="/attention",
            domain="com.microsoft",
            num_heads=GROUPS * QUERIES,
            kv_num_heads=GROUPS,
        )
    )
    nodes.append(helper.make_node("MatMul", ["attended", "o.weight"], ["y"], name="/out"))
    cache = [1, GROUPS, "past", WIDE]
    pasts = [(f"past_key_values.0.{kind}", cache) for kind in ("key", "value")]
    presents = [(f"y.{kind}", [1, GROUPS, "total", WIDE]) for kind in ("key", "value")]
    model = plain(nodes, weights, ("x", [1, 5, 6]), *pasts, ("y", [1, 5, 6]), *presents)
    return model, weights


def attention_feeds(groups: int) -> dict[str, Any]:
    x = np.random.default_rng(4).standard_normal((1, 5, 6)).astype(np.float32)
    empty = np.zeros((1, groups, 0, WIDE), np.float32)
    return {"x": x, "past_key_values.0.key": empty, "past_key_values.0.value": empty}


def test_groups_with_biases_and_rotations_of_their_own(tmp_path: Path) -> None:
    model, weights = grouped()
    result = run(write(tmp_path / "m", model), prune("heads", 0.34))
    value = norms(weights["v.weight"].reshape(6, GROUPS, WIDE), (0, 2))
    out = norms(weights["o.weight"].reshape(GROUPS, QUERIES * WIDE, 6), (1, 2))
    removed = [int(np.argmin(value * out))]
    assert result["reports"] == [
        {"layers": [{"node": "/attention", "before": 3, "after": 2, "removed": removed}]},
    ]
    made = tmp_path / "made" / "model.onnx"
    expected = output(without(model, "o.weight", removed, QUERIES * WIDE), attention_feeds(GROUPS))
    np.testing.assert_allclose(output(made, attention_feeds(GROUPS - 1)), expected, atol=1e-5)
    assert result["kv_bytes_per_token"] == 2 * 2 * WIDE * 4


def test_a_bias_for_each_head_stands_in_the_way(tmp_path: Path) -> None:
    model, _ = grouped(bias="bias")
    model.graph.initializer.append(numpy_helper.from_array(np.zeros((1, 6, 5, 5), np.float32), "bias"))
    result = run(write(tmp_path / "m", model), prune("heads", 0.34))
    assert result == {
        "failed": 0,
        "refused": "STEP_INAPPLICABLE",
        "reason": "`/attention` has an input `bias`, which heads cannot be taken out of.",
    }


@pytest.fixture
def example(repository: Path) -> Path:
    return repository / "blueprints" / "hello" / "models" / "pydoc-1.0"


def logits(folder: Path, ids: list[int]) -> Any:
    """Of a prompt, and of two more tokens with the cache that it made."""
    decoder = Decoder(folder, threads=1)
    first, cache = decoder(ids[:-2], 0, decoder.empty_cache())
    return np.vstack([first, decoder(ids[-2:], len(ids) - 2, cache)[0]])


def altered(example: Path, folder: Path, change: Callable[[Any], Any]) -> Path:
    folder.mkdir()
    for name in ("genai_config.json", "tokenizer.json"):
        (folder / name).write_bytes((example / name).read_bytes())
    (folder / "model.onnx").write_bytes(change(onnx.load(example / "model.onnx")).SerializeToString())
    return folder


def made_of(example: Path, tmp_path: Path, *steps: dict[str, Any]) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path / "made"
    folder.mkdir()
    result = chained(example / "model.onnx", folder / "model.onnx", list(steps))
    for name in ("genai_config.json", "tokenizer.json", "tokenizer_config.json"):
        if not (folder / name).exists():
            (folder / name).write_bytes((example / name).read_bytes())
    return folder, result


def test_neurons_of_the_example(example: Path, tmp_path: Path) -> None:
    folder, result = made_of(example, tmp_path, prune("neurons", 0.25))
    layers = result["reports"][0]["layers"]
    assert [(layer["before"], layer["after"]) for layer in layers] == [(512, 384)] * 5

    def zeroed(model: Any) -> Any:
        for number, layer in enumerate(layers):
            model = without(model, f"model.layers.{number}.mlp.down_proj.MatMul.weight", layer["removed"])
        return model

    ids = list(range(40, 60))
    expected = logits(altered(example, tmp_path / "zeroed", zeroed), ids)
    np.testing.assert_allclose(logits(folder, ids), expected, atol=2e-3)
    assert result["weight_bytes"] == graphs.weight_bytes(onnx.load(example / "model.onnx")) - 5 * 3 * 128 * 192 * 4


def test_heads_of_the_example(example: Path, tmp_path: Path) -> None:
    folder, result = made_of(example, tmp_path, prune("heads", 0.5))
    layers = result["reports"][0]["layers"]

    def zeroed(model: Any) -> Any:
        for number, layer in enumerate(layers):
            model = without(model, f"model.layers.{number}.attn.o_proj.MatMul.weight", layer["removed"], 3 * 32)
        return model

    ids = list(range(40, 60))
    expected = logits(altered(example, tmp_path / "zeroed", zeroed), ids)
    np.testing.assert_allclose(logits(folder, ids), expected, atol=2e-3)
    model = onnx.load(folder / "model.onnx")
    caches = [
        value for value in (*model.graph.input, *model.graph.output) if "key" in value.name or "value" in value.name
    ]
    assert {value.type.tensor_type.shape.dim[1].dim_value for value in caches} == {1}
    before, after = (json.loads((one / "genai_config.json").read_text()) for one in (example, folder))
    before["model"]["decoder"] |= {"num_attention_heads": 3, "num_key_value_heads": 1}
    assert after == before
    assert result["kv_bytes_per_token"] == 5 * 2 * 32 * 4


def test_a_later_step_takes_the_changed_configuration_along(example: Path, tmp_path: Path) -> None:
    folder, result = made_of(example, tmp_path, prune("heads", 0.5), INT4)
    assert result["idle"] == []
    decoder = json.loads((folder / "genai_config.json").read_text())["model"]["decoder"]
    assert (decoder["num_attention_heads"], decoder["num_key_value_heads"]) == (3, 1)
    assert sorted(path.name for path in folder.iterdir()) == [
        "genai_config.json", "model.onnx", "tokenizer.json", "tokenizer_config.json",
    ]  # fmt: skip
    assert np.isfinite(logits(folder, list(range(40, 60)))).all()


@pytest.mark.slow
def test_onnxruntime_genai_generates_with_fewer_heads_and_neurons(example: Path, tmp_path: Path) -> None:
    genai = pytest.importorskip("onnxruntime_genai")
    folder, _ = made_of(example, tmp_path, prune("heads", 0.5), prune("neurons", 0.1))
    loaded = genai.Model(str(folder))
    parameters = genai.GeneratorParams(loaded)
    parameters.set_search_options(max_length=24)
    generator = genai.Generator(loaded, parameters)
    generator.append_tokens(genai.Tokenizer(loaded).encode("The import statement"))
    while not generator.is_done():
        generator.generate_next_token()
    assert len(generator.get_sequence(0)) == 24


@pytest.mark.parametrize("method", ["heads", "neurons"])
def test_the_same_bytes_from_weights_outside_the_graph(example: Path, tmp_path: Path, method: str) -> None:
    folder = tmp_path / "outside"
    folder.mkdir()
    onnx.save(onnx.load(example / "model.onnx"), folder / "model.onnx", save_as_external_data=True, location="w.bin")
    (folder / "genai_config.json").write_bytes((example / "genai_config.json").read_bytes())
    run(folder, prune(method, 0.5))
    outside = (tmp_path / "made" / "model.onnx").read_bytes()
    chained(example / "model.onnx", tmp_path / "made" / "model.onnx", [prune(method, 0.5)])
    assert (tmp_path / "made" / "model.onnx").read_bytes() == outside


def test_a_share_that_is_less_than_one_unit_changes_nothing_and_says_so(example: Path, tmp_path: Path) -> None:
    _, result = made_of(example, tmp_path, prune("heads", 0.4))
    assert result["idle"] == [0]
    assert result["remarks"] == [
        ["STEP_PARTIAL", "40% of the 2 key and value heads at `/model/layers.0/attn/GroupQueryAttention` is none."]
    ]


@pytest.mark.parametrize(
    ("method", "weight", "what"),
    [
        ("heads", f"{ATTENTION}.self.query.weight", "The heads at `/context`"),
        ("neurons", DOWN, "The neurons before `/encoder.layer.0.output.dense.MatMul`"),
    ],
)
def test_a_matrix_that_another_node_reads_stays(tmp_path: Path, method: str, weight: str, what: str) -> None:
    model = tiny_encoder.graph(tiny_encoder.weights())
    model.graph.node.append(helper.make_node("Transpose", [weight], ["y2"]))
    model.graph.output.append(helper.make_tensor_value_info("y2", TensorProto.FLOAT, None))
    result = run(write(tmp_path / "m", model), prune(method, 0.5))
    assert result == {
        "failed": 0,
        "refused": "STEP_INAPPLICABLE",
        "reason": f"{what} stay: another node reads `{weight}` too.",
    }


def test_a_mask_that_differs_from_head_to_head_stands_in_the_way(tmp_path: Path) -> None:
    model = tiny_encoder.graph(tiny_encoder.weights())
    model.graph.initializer.append(numpy_helper.from_array(np.zeros((1, HEADS, 5, 5), np.float32), "bias"))
    masked = next(node for node in model.graph.node if node.output[0] == "masked")
    masked.input[1] = "bias"
    result = run(write(tmp_path / "m", model), prune("heads", 0.5))
    assert result["refused"] == "STEP_INAPPLICABLE"


def test_neurons_that_are_an_output_of_the_graph_stay(tmp_path: Path) -> None:
    model = tiny_encoder.graph(tiny_encoder.weights())
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
    model = tiny_encoder.graph(tiny_encoder.weights())
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
