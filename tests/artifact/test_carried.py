"""Which files of a model go into its artifacts: what a device loads, and no second copy of the weights."""

from __future__ import annotations

from pathlib import Path

import pytest

from compiler.artifact.making.models import Models, Source
from compiler.artifact.store.store import Store
from compiler.fleet.sources import SourceFile
from tests.artifact import tiny
from tests.artifact.building import SMALL, built, planned
from tests.values import MODEL, SHAPE, digest

BESIDE = ["LICENSE", "genai_config.json", "tokenizer.json"]


def carried(*names: str, graph: str = "model.onnx", data: tuple[str, ...] = ()) -> list[str]:
    files = tuple(SourceFile(name, 1, digest("a")) for name in names)
    return [file.name for file in Source(Path("m"), files, graph, data, SHAPE).carried()]


@pytest.mark.parametrize(
    "name",
    [
        "model.safetensors",
        "model-00001-of-00002.safetensors",
        "model.safetensors.index.json",
        "2_Dense/model.safetensors",
        "pytorch_model.bin",
        "pytorch_model-00001-of-00002.bin",
        "pytorch_model.bin.index.json",
        "training_args.bin",
        "consolidated.00.pth",
        "optimizer.pt",
        "tf_model.h5",
        "flax_model.msgpack",
        "flax_model.msgpack.index.json",
        "model.ckpt",
        "rust_model.ot",
        "openvino/openvino_model.xml",
        "openvino/openvino_model.bin",
        "model-q4_k_m.gguf",
        "Model.TFLite",
        "model.pte",
        "README.md",
    ],
)
def test_weights_of_other_frameworks_and_files_for_people_stay_behind(name: str) -> None:
    assert carried("model.onnx", name, "tokenizer.json") == ["tokenizer.json"]


@pytest.mark.parametrize(
    "name",
    ["LICENSE", "config.json", "index.json", "tokenizer.model", "vocab.txt", "1_Pooling/config.json", "chat.jinja"],
)
def test_what_a_device_loads_goes_along(name: str) -> None:
    assert carried("model.onnx", name) == [name]


def test_external_data_of_a_second_graph_goes_along_whatever_its_name() -> None:
    """It may be any file below the folder of its graph."""
    names = ("model.bin", "model.onnx", "other.bin", "parts/data/more.bin", "parts/draft.bin", "parts/draft.onnx")
    assert carried(*names, data=("model.bin",)) == ["parts/data/more.bin", "parts/draft.bin", "parts/draft.onnx"]
    assert carried("model.onnx", "draft.onnx", "w.bin", "pytorch_model.bin") == ["draft.onnx", "w.bin"]


def test_of_weights_alone_no_graph_goes_along() -> None:
    names = ("config.json", "model.safetensors", "onnx/model.onnx", "onnx/model.onnx_data", "onnx/more.bin", "w.bin")
    assert carried(*names, graph="model.safetensors", data=("model.safetensors",)) == ["config.json"]


@pytest.mark.slow
def test_an_artifact_and_its_original_are_counted_without_them(workspace: Path, store: Store) -> None:
    """The graph's own external data is called `weights.bin` here."""
    folder = tiny.write_external(workspace / MODEL.source)
    [action] = planned(workspace, SMALL).actions
    before, _ = Models(workspace, store, lambda line: None).source(action)
    for name in ("model.safetensors", "pytorch_model.bin", "pytorch_model.bin.index.json", "tf_model.h5"):
        (folder / name).write_bytes(bytes(10_000))
    [action] = planned(workspace, SMALL).actions
    source, diagnostics = Models(workspace, store, lambda line: None).source(action)
    assert diagnostics == []
    assert source is not None
    assert before is not None
    assert source.weights == ["model.onnx", "weights.bin"]
    assert [file.name for file in source.carried()] == BESIDE
    assert source.size() == before.size()
    artifact = built(workspace, store, SMALL)[0].artifacts["assistant-1.4.0-small"]
    assert {file.name for file in artifact.files} - {"model.onnx.data"} == {*BESIDE, "model.onnx"}
