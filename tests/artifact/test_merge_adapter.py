"""`merge-adapter`: W + (alpha / r) · B · A, on the right part of the right matrix."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from compiler.artifact.graph import weights
from compiler.artifact.inference.decoder import Decoder
from tests.artifact import encoder_layer, tiny
from tests.artifact.adapters import PREFIX, merge_into, pair, write_adapter
from tests.artifact.stepping import chained


def arrays(folder: Path) -> dict[str, Any]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(folder / "model.onnx").graph.initializer}


def change(parts: tuple[Any, Any], scale: float = 1.0) -> Any:
    """What a MatMul's matrix, inputs × outputs, gets."""
    down, up = (part.astype(np.float64) for part in parts)
    return (scale * up @ down).T


@pytest.fixture
def example(repository: Path) -> Path:
    return repository / "blueprints" / "hello" / "models" / "pydoc-1.0"


def test_modules_of_the_example_with_queries_keys_and_values_in_one_matrix(example: Path, tmp_path: Path) -> None:
    layer = "model.layers.3"
    modules = {
        f"{layer}.self_attn.q_proj": pair(192, 192, 4, 1),
        f"{layer}.self_attn.k_proj": pair(64, 192, 4, 2),
        f"{layer}.self_attn.v_proj": pair(64, 192, 4, 3),
        f"{layer}.self_attn.o_proj": pair(192, 192, 4, 4),
        f"{layer}.mlp.down_proj": pair(192, 512, 4, 5),
        "lm_head": pair(1024, 192, 4, 6),
    }
    adapter = write_adapter(tmp_path / "a", modules, lora_alpha=8)
    result = merge_into(example, adapter, tmp_path / "made")
    assert (result["idle"], result["remarks"]) == ([], [])
    before, after = arrays(example), arrays(tmp_path / "made")
    changes = {
        f"{layer}.attn.qkv_proj.MatMul.weight": np.hstack(
            [change(modules[f"{layer}.self_attn.{part}_proj"], 2) for part in "qkv"]
        ),
        f"{layer}.attn.o_proj.MatMul.weight": change(modules[f"{layer}.self_attn.o_proj"], 2),
        f"{layer}.mlp.down_proj.MatMul.weight": change(modules[f"{layer}.mlp.down_proj"], 2),
        "lm_head.MatMul.weight": change(modules["lm_head"], 2),
    }
    assert {name for name in before if not np.array_equal(before[name], after[name])} == set(changes)
    for name, added in changes.items():
        np.testing.assert_allclose(after[name], before[name] + added, rtol=1e-6, atol=1e-7)
    assert [row["module"] for row in result["reports"][0]["modules"]] == [
        f"{PREFIX}{layer}.self_attn.k_proj",
        f"{PREFIX}{layer}.self_attn.q_proj",
        f"{PREFIX}{layer}.self_attn.v_proj",
        f"{PREFIX}{layer}.self_attn.o_proj",
        f"{PREFIX}{layer}.mlp.down_proj",
        f"{PREFIX}lm_head",
    ]


def test_the_merged_model_computes_with_the_adapter(tmp_path: Path) -> None:
    folder = tiny.write(tmp_path / "m")
    parts = pair(32, 16, 3)
    merge_into(folder, write_adapter(tmp_path / "a", {"from_token": parts}, lora_alpha=6), tmp_path / "made")
    for name in ("genai_config.json", "tokenizer.json"):
        (tmp_path / "made" / name).write_bytes((folder / name).read_bytes())
    weights = tiny.Weights.random()
    changed = tiny.Weights(
        weights.embeddings, weights.cache_in, weights.cache_out, weights.output + change(parts, 2).astype(np.float32)
    )
    decoder, ids = Decoder(tmp_path / "made", threads=1), list(range(12))
    np.testing.assert_allclose(decoder(ids, 0, decoder.empty_cache())[0], changed.logits(ids), rtol=1e-4, atol=1e-4)


QUERY = "encoder.layer.0.attention.self.query"


def encoder(folder: Path) -> Path:
    folder.mkdir()
    (folder / "model.onnx").write_bytes(encoder_layer.graph(encoder_layer.weights()).SerializeToString())
    return folder


@pytest.mark.parametrize("module", [QUERY, f"bert.{QUERY}", f"model.text.{QUERY}"])
def test_names_may_have_more_in_front(tmp_path: Path, module: str) -> None:
    parts = pair(8, 8, 2)
    merge_into(encoder(tmp_path / "m"), write_adapter(tmp_path / "a", {module: parts}), tmp_path / "made")
    made = arrays(tmp_path / "made")[f"{QUERY}.weight"]
    np.testing.assert_allclose(made, encoder_layer.weights()[f"{QUERY}.weight"] + change(parts), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("module", ["attention.self.query", QUERY.replace("0", "1"), QUERY.replace("self", "cross")])
def test_a_module_of_another_layer_does_not_fit(tmp_path: Path, module: str) -> None:
    result = merge_into(
        encoder(tmp_path / "m"), write_adapter(tmp_path / "a", {module: pair(8, 8, 2)}), tmp_path / "made"
    )
    assert (result["refused"], result["reason"].split("`")[1]) == ("STEP_INAPPLICABLE", f"{PREFIX}{module}")


def gemm(folder: Path, weight: Any) -> Path:
    """A module `dense` whose matrix is turned, as PyTorch has it."""
    sides = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("x", "y")]
    node = helper.make_node("Gemm", ["x", "onnx::Gemm_12"], ["y"], name="/dense/Gemm", transB=1)
    body = helper.make_graph([node], "g", sides[:1], sides[1:], [numpy_helper.from_array(weight, "onnx::Gemm_12")])
    folder.mkdir()
    (folder / "model.onnx").write_bytes(helper.make_model(body).SerializeToString())
    return folder


@pytest.mark.parametrize("kind", [np.float32, np.float16])
def test_a_turned_matrix_that_only_its_node_names(tmp_path: Path, kind: Any) -> None:
    weight = np.random.default_rng(8).standard_normal((6, 10)).astype(kind)
    parts = pair(6, 10, 2)
    merge_into(gemm(tmp_path / "m", weight), write_adapter(tmp_path / "a", {"dense": parts}), tmp_path / "made")
    [made] = arrays(tmp_path / "made").values()
    assert made.dtype == kind
    np.testing.assert_allclose(made, weight + change(parts).T, rtol=1e-6 if kind is np.float32 else 2e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("config", "scale"),
    [
        ({"r": 4, "lora_alpha": 8}, 2),
        ({"r": 4, "lora_alpha": 8, "use_rslora": True}, 8 / math.sqrt(4)),
        ({"r": 4, "lora_alpha": 8, "fan_in_fan_out": True}, 2),
        ({"r": 16, "lora_alpha": 16, "rank_pattern": {"from_token": 4}}, 4),
        ({"r": 4, "lora_alpha": 8, "alpha_pattern": {"from_.*": 2, "other": 100}}, 0.5),
    ],
    ids=["plain", "rslora", "fan-in-fan-out", "rank-pattern", "alpha-pattern"],
)
def test_the_scale(tmp_path: Path, config: dict[str, Any], scale: float) -> None:
    parts = pair(32, 16, 4)
    folder = tiny.write(tmp_path / "m")
    merge_into(folder, write_adapter(tmp_path / "a", {"from_token": parts}, **config), tmp_path / "made")
    np.testing.assert_allclose(arrays(tmp_path / "made")["W"], arrays(folder)["W"] + change(parts, scale), rtol=1e-5)


@pytest.mark.parametrize("kind", [np.float16, ml_dtypes.bfloat16])
def test_adapters_of_sixteen_bits(tmp_path: Path, kind: Any) -> None:
    down, up = (part.astype(kind) for part in pair(32, 16, 4))
    folder = tiny.write(tmp_path / "m")
    merge_into(folder, write_adapter(tmp_path / "a", {"from_token": (down, up)}), tmp_path / "made")
    added = change((down.astype(np.float32), up.astype(np.float32)))
    np.testing.assert_allclose(arrays(tmp_path / "made")["W"], arrays(folder)["W"] + added, rtol=1e-5)


def test_the_same_bytes_whatever_the_pieces_that_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    adapter = write_adapter(tmp_path / "a", {"from_token": pair(32, 16, 4), "keys": pair(4, 16, 4)})
    folder = tiny.write_external(tmp_path / "m")
    merge_into(folder, adapter, tmp_path / "made")
    whole = (tmp_path / "made" / "model.onnx").read_bytes()
    monkeypatch.setattr(weights, "PIECE", 128)
    merge_into(folder, adapter, tmp_path / "made")
    assert (tmp_path / "made" / "model.onnx").read_bytes() == whole


def test_a_quantized_matrix_takes_no_adapter(example: Path, tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    adapter = write_adapter(tmp_path / "a", {"lm_head": pair(1024, 192, 2)})
    steps = [
        {"name": "quantize/int4", "parameters": {"scheme": "int4", "blockSize": 32, "symmetric": False}},
        {"name": "merge-adapter", "parameters": {"adapter": "a"}, "files": {"adapter": str(adapter)}},
    ]
    result = chained(example / "model.onnx", tmp_path / "made" / "model.onnx", steps)
    missing = "1 of 1 modules of the adapter have no constant float matrix in the graph: `base_model.model.lm_head`."
    assert result == {"failed": 1, "refused": "STEP_INAPPLICABLE", "reason": missing}


_BUILD = """
import json, sys
from pathlib import Path
from tests.artifact.stepping import chained
source, target, steps = sys.argv[1:]
print(json.dumps(chained(Path(source), Path(target), json.loads(steps))))
"""


def test_all_steps_give_the_same_bytes_in_another_folder_under_another_hash_seed(example: Path, tmp_path: Path) -> None:
    modules = {f"model.layers.{n}.{m}_proj": pair(192, 192, 2) for n in (0, 1) for m in ("self_attn.q", "self_attn.o")}
    found = []
    for seed, place in (("1", "short"), ("4242", "a/rather/longer/place")):
        folder = tmp_path / place
        adapter = write_adapter(folder / "adapter", modules)
        steps = [
            {"name": "merge-adapter", "parameters": {"adapter": "a"}, "files": {"adapter": str(adapter)}},
            {"name": "prune/neurons", "parameters": {"method": "neurons", "share": 0.25}},
            {"name": "prune/heads", "parameters": {"method": "heads", "share": 0.5}},
            {"name": "prune/n-of-m", "parameters": {"method": "n-of-m", "n": 2, "m": 4}},
            {"name": "prune/magnitude", "parameters": {"method": "magnitude", "sparsity": 0.999}},
            {"name": "sparse-encode", "parameters": {}},
        ]
        copy = folder / "source"
        copy.mkdir()
        for name in ("model.onnx", "genai_config.json"):
            (copy / name).write_bytes((example / name).read_bytes())
        done = subprocess.run(
            [sys.executable, "-c", _BUILD, str(copy / "model.onnx"), str(folder / "model.onnx"), json.dumps(steps)],
            env=os.environ | {"PYTHONHASHSEED": seed, "OPENBLAS_NUM_THREADS": seed[0]},
            cwd=Path(__file__).parent.parent.parent,
            capture_output=True,
            check=True,
        )
        made = (folder / "model.onnx").read_bytes()
        found.append((done.stdout, made, (folder / "genai_config.json").read_bytes()))
    assert found[0] == found[1]
    assert str(tmp_path).encode() not in found[0][1]
    assert json.loads(found[0][0])["idle"] == []
