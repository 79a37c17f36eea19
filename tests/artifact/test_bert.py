"""Graphs of BERT: the same numbers as the paper's formulas and as PyTorch, whatever the weights are stored as."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from compiler.artifact.graph import graphs
from compiler.artifact.inference import runtime
from compiler.artifact.inference.encoder import Encoder
from compiler.artifact.model.export import export
from compiler.artifact.model.inspection import inspect
from tests.artifact import tiny_bert as tiny
from tests.minilm import minilm

IDS = [3, 1, 4, 1, 5]
EMBEDDINGS, CLASSIFICATION = "embeddings", "text-classification"
LABELS = {"architectures": ["BertForSequenceClassification"], "id2label": {"0": "no", "1": "yes", "2": "perhaps"}}


def exported(source: Path, target: Path, task: str = EMBEDDINGS) -> Path:
    assert inspect(str(source), task) == {"export": "bert"}
    target.mkdir()
    assert export(str(source), task, str(target)) == {}
    onnx.checker.check_model(str(target / "model.onnx"), full_check=True)
    return target


def run(folder: Path, ids: list[list[int]], *, padded: int = 0) -> Any:
    """What the graph gives for texts of one length, with so many tokens of padding behind each."""
    session = runtime.open_session(folder / "model.onnx", runtime.options("basic", 1))
    array = np.array([text + [7] * padded for text in ids])
    mask = np.array([[1] * len(text) + [0] * padded for text in ids])
    feeds = {"input_ids": array, "attention_mask": mask, "token_type_ids": np.zeros_like(array)}
    return session.run(None, feeds)[0]


@pytest.mark.parametrize("activation", ["gelu", "gelu_new", "relu"])
def test_token_vectors(tmp_path: Path, activation: str) -> None:
    weights = tiny.weights()
    folder = exported(tiny.write(tmp_path / "m", weights, hidden_act=activation), tmp_path / "e")
    expected = tiny.hidden(weights, IDS, activation)
    assert run(folder, [IDS])[0] == pytest.approx(expected, abs=1e-5)
    assert run(folder, [IDS[::-1], IDS], padded=3)[1, :5] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("mode", ["mean", "cls"])
@pytest.mark.parametrize("normalize", [True, False])
def test_pooling_as_sentence_transformers_ask_for_it(tmp_path: Path, mode: str, normalize: bool) -> None:
    weights = tiny.weights()
    source = tiny.write(tmp_path / "m", weights)
    tiny.write_pooling(source, mode, normalize=normalize)
    folder = exported(source, tmp_path / "e")
    hidden = tiny.hidden(weights, IDS)
    vector = hidden.mean(axis=0) if mode == "mean" else hidden[0]
    expected = vector / np.linalg.norm(vector) if normalize else vector
    assert run(folder, [IDS, IDS[::-1]], padded=4)[0] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("old_names", [False, True])
def test_classifier(tmp_path: Path, old_names: bool) -> None:
    weights = tiny.weights(labels=3)
    renamed = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): array
        for name, array in weights.items()
    }
    source = tiny.write(tmp_path / "m", renamed if old_names else weights, **LABELS)
    folder = exported(source, tmp_path / "e", CLASSIFICATION)
    expected = tiny.logits(weights, IDS)
    assert run(folder, [IDS, IDS[::-1]], padded=2)[0] == pytest.approx(expected, abs=1e-5)
    assert next(Encoder(folder, 1).scores(["w3 w1 w4 w1 w5"])) == pytest.approx(expected, abs=1e-5)
    assert inspect(str(folder), CLASSIFICATION)["shape"]["context_length"] == tiny.POSITIONS


@pytest.mark.parametrize("dtype", ["F16", "BF16"])
def test_halves_become_float32(tmp_path: Path, dtype: str) -> None:
    weights = tiny.weights()
    halves = {
        name: array.astype(np.float16) if dtype == "F16" else (array.view(np.uint32) >> 16).astype(np.uint16)
        for name, array in weights.items()
    }
    source = tiny.write(tmp_path / "m", weights)
    (source / "model.safetensors").write_bytes(tiny.safetensors(halves, dict.fromkeys(halves, dtype)))
    back = {
        name: array.astype(np.float32) if dtype == "F16" else (array.astype(np.uint32) << 16).view(np.float32)
        for name, array in halves.items()
    }
    assert run(exported(source, tmp_path / "e"), [IDS])[0] == pytest.approx(tiny.hidden(back, IDS), abs=1e-5)


def test_weights_in_shards(tmp_path: Path) -> None:
    weights = tiny.weights()
    source = tiny.write(tmp_path / "m", weights)
    (source / "model.safetensors").unlink()
    names = sorted(weights)
    placed = {name: f"model-0000{1 + number % 2}-of-00002.safetensors" for number, name in enumerate(names)}
    for file in set(placed.values()):
        part = {name: weights[name] for name in names if placed[name] == file}
        (source / file).write_bytes(tiny.safetensors(part))
    (source / "model.safetensors.index.json").write_text(json.dumps({"weight_map": placed}))
    assert run(exported(source, tmp_path / "e"), [IDS])[0] == pytest.approx(tiny.hidden(weights, IDS), abs=1e-5)


def test_large_weights_lie_beside_the_graph_and_the_bytes_are_the_same_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tiny.write(tmp_path / "m")
    small = exported(source, tmp_path / "small")
    monkeypatch.setattr(graphs, "LARGEST_SINGLE_FILE", 100)
    first, second = exported(source, tmp_path / "first"), exported(source, tmp_path / "a-longer-name")
    for name in ("model.onnx", "model.onnx.data"):
        assert (first / name).read_bytes() == (second / name).read_bytes()
    assert np.array_equal(run(first, [IDS]), run(small, [IDS]))
    assert not (small / "model.onnx.data").exists()
    assert inspect(str(first), EMBEDDINGS)["data"] == ["model.onnx.data"]


def test_weights_keep_their_names_and_only_those_in_use_go_along(tmp_path: Path) -> None:
    weights = tiny.weights()
    model = onnx.load(exported(tiny.write(tmp_path / "m", weights), tmp_path / "e") / "model.onnx")
    found = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer if tensor.name in weights}
    expected = {
        name: array.shape[::-1] if ".layer." in name else array.shape
        for name, array in weights.items()
        if not name.startswith("pooler")
    }
    assert found == expected
    read = {name for node in model.graph.node for name in node.input}
    assert [tensor.name for tensor in model.graph.initializer if tensor.name not in read] == []


def test_what_goes_along(tmp_path: Path) -> None:
    source = tiny.write(tmp_path / "m")
    for name in ("LICENSE", "README.md", "vocab.txt", "special_tokens_map.json", "training_args.bin"):
        (source / name).write_text("{}")
    found = sorted(path.name for path in exported(source, tmp_path / "e").iterdir())
    assert found == ["LICENSE", "config.json", "model.onnx", "special_tokens_map.json", "tokenizer.json"]


def fused(folder: Path) -> dict[str, int]:
    """Operators that onnxruntime's fusion for BERT made of the graph."""
    from onnxruntime.transformers import optimizer

    model = optimizer.optimize_model(str(folder / "model.onnx"), model_type="bert", opt_level=0)
    return {name: count for name, count in model.get_fused_operator_statistics().items() if count}


def test_fusions_know_the_graph(tmp_path: Path) -> None:
    source = tiny.write(tmp_path / "m")
    tiny.write_pooling(source, "mean", normalize=True)
    assert fused(exported(source, tmp_path / "e")) == {
        "EmbedLayerNormalization": 1,
        "Attention": tiny.LAYERS,
        "BiasGelu": tiny.LAYERS,
        "SkipLayerNormalization": 2 * tiny.LAYERS,
    }


@pytest.mark.slow
def test_minilm_gives_what_sentence_transformers_give(tmp_path: Path) -> None:
    """Golden: of each vector the first eight numbers, by sentence-transformers 6.2.0 and torch 2.13.0 on a CPU."""
    folder = exported(minilm(), tmp_path / "e")
    golden = json.loads((Path(__file__).parent / "minilm_embeddings.json").read_text())
    found = list(Encoder(folder, 1).embeddings(golden["texts"]))
    assert np.array(found)[:, :8] == pytest.approx(np.array(golden["embeddings"]), abs=1e-6)
    assert fused(folder) == {
        "EmbedLayerNormalization": 1, "Attention": 6, "BiasGelu": 6, "SkipLayerNormalization": 12,
    }  # fmt: skip
    assert inspect(str(folder), EMBEDDINGS) == {
        "model": "model.onnx",
        "data": ["model.onnx.data"],
        "shape": {
            # of the model, its positions 0 to 511, small constants of the graph
            "parameters": 22_565_376 + 512 + 18,
            "weight_bytes": 4 * 22_565_376 + 8 * 512 + 116,
            "kv_bytes_per_token": 0,
            "context_length": 256,
        },
    }
