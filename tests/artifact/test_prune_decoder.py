"""`prune` with `heads` and `neurons` on decoders: what is left computes the whole without what went."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from compiler.artifact.graph import graphs
from compiler.artifact.inference.decoder import Decoder
from compiler.artifact.store.store import Store
from compiler.fleet.graph import Recipe, Step
from tests.artifact.building import INT4 as SMALL
from tests.artifact.building import built, write_workspace
from tests.artifact.pruned import INT4, norms, output, plain, prune, run, without, write
from tests.artifact.stepping import chained
from tests.values import MODEL, PLACE

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
        {
            "layers": [{"node": "/attention", "before": 3, "after": 2, "removed": removed}],
            "shareAsked": 0.34,
            "shareReached": 0.3333,
            "units": "key and value heads",
        },
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
    assert result["reports"][0]["shareReached"] == 0
    assert result["remarks"] == [
        ["STEP_PARTIAL", "40% of the 2 key and value heads at `/model/layers.0/attn/GroupQueryAttention` is none."]
    ]


def test_the_artifact_has_the_smaller_cache_and_the_changed_configuration(example: Path, tmp_path: Path) -> None:
    workspace = write_workspace(tmp_path / "w")
    shutil.copytree(example, workspace / MODEL.source, dirs_exist_ok=True)
    heads = Step("prune", {"method": "heads", "share": 0.5}, PLACE)
    store = Store(tmp_path / "store")
    artifacts, diagnostics, _ = built(workspace, store, Recipe("half", (heads, SMALL), (), PLACE))
    assert diagnostics == []
    [artifact] = artifacts.artifacts.values()
    original = artifacts.originals[artifact.model]
    assert original.shape.kv_bytes_per_token == 2 * artifact.shape.kv_bytes_per_token == 2 * 1280
    assert artifact.shape.parameters == original.shape.parameters - 5 * (192 * 160 + 96 * 192)
    [config] = [file for file in artifact.files if file.name == "genai_config.json"]
    decoder = json.loads(store.path_of(config.digest).read_text())["model"]["decoder"]
    assert (decoder["num_attention_heads"], decoder["num_key_value_heads"]) == (3, 1)
