"""Weights without a graph: exported once, kept whole, and what a build takes for the model then."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from compiler.artifact.making.models import Models, Source
from compiler.artifact.store import cache, exports
from compiler.artifact.store.store import Store
from compiler.base.codes import Code
from compiler.fleet.fingerprint import fingerprint
from compiler.fleet.graph import Recipe, Step
from compiler.plan.actions import Action, Baseline
from compiler.plan.planner import plan
from tests.artifact import tiny, tiny_bert
from tests.artifact.building import FAST, TOOLS
from tests.values import MODEL, PLACE, RUN, fleet_of

PACKAGE = Recipe("package", (Step("package", {"format": "genai"}, PLACE),), (), PLACE)
TFLITE = Recipe("tflite", (Step("convert", {"format": "litert"}, PLACE),), (), PLACE)
OPENVINO = Recipe("openvino", (Step("convert", {"format": "openvino"}, PLACE),), (), PLACE)


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "workspace"
    tiny_bert.write(folder / MODEL.source)
    tiny_bert.write_pooling(folder / MODEL.source, "mean", normalize=True)
    tiny.write_texts(folder / MODEL.evaluation_data, ["w1 w2 w3"])
    return folder


def action_of(workspace: Path, recipe: Recipe = FAST, task: str = "embeddings") -> Action:
    fleets = [fleet_of(replace(RUN, recipe=recipe, model=replace(MODEL, task=task)))]
    sources, diagnostics = fingerprint(workspace, workspace / "no-store", fleets, {})
    assert diagnostics == []
    tools = replace(TOOLS, steps={**TOOLS.steps, "package/genai": 1, "convert/litert": 1, "convert/openvino": 1})
    [action] = plan(fleets, sources, Baseline(), tools).actions
    return action


def source_of(workspace: Path, store: Store, said: list[str], recipe: Recipe = FAST) -> Source:
    models = Models(workspace, Store(store.root), said.append)
    source, diagnostics = models.source(action_of(workspace, recipe))
    assert diagnostics == []
    assert source is not None
    return source


EXPORTING = ["assistant@1.4.0: building its graph from the weights"]


def test_an_export_is_made_once(workspace: Path, store: Store) -> None:
    said: list[str] = []
    first, again = source_of(workspace, store, said), source_of(workspace, store, said)
    assert said == EXPORTING
    assert first == again
    assert first.folder.is_relative_to(store.root)
    assert first.checkpoint == workspace / MODEL.source
    assert [file.name for file in first.carried()] == ["config.json", "tokenizer.json"]
    assert first.size() == sum(file.size for file in first.files)
    assert first.shape.context_length == tiny_bert.POSITIONS


def test_other_weights_are_another_export(workspace: Path, store: Store) -> None:
    said: list[str] = []
    first = source_of(workspace, store, said)
    tiny_bert.write(workspace / MODEL.source, tiny_bert.weights(seed=6))
    assert source_of(workspace, store, said).folder != first.folder
    assert said == EXPORTING * 2


@pytest.mark.parametrize("damage", ["byte", "file", "folder"])
def test_a_damaged_export_is_made_anew(workspace: Path, store: Store, damage: str) -> None:
    said: list[str] = []
    source = source_of(workspace, store, said)
    graph = source.folder / "model.onnx"
    whole = graph.read_bytes()
    if damage == "byte":
        graph.write_bytes(whole[:-1] + b"!")
    elif damage == "file":
        graph.unlink()
    else:
        shutil.rmtree(source.folder)
    assert source_of(workspace, store, said) == source
    assert graph.read_bytes() == whole
    assert said == EXPORTING * 2


def test_two_runs_at_once_leave_the_first_one_s_files(workspace: Path, store: Store) -> None:
    action = action_of(workspace)

    def build(made: Path) -> list[dict[str, str]]:
        (made / "model.onnx").write_bytes(b"a graph")
        return []

    first = exports.make(store, action.source.digest, "embeddings", build)
    assert isinstance(first, exports.Export)
    inode = (first.folder / "model.onnx").stat().st_ino
    assert exports.make(store, action.source.digest, "embeddings", build) == first
    assert (first.folder / "model.onnx").stat().st_ino == inode


def test_prune_drops_exports_of_models_without_artifacts(workspace: Path, store: Store) -> None:
    source = source_of(workspace, store, [])
    cache.prune(store, None)
    assert not source.folder.exists()


def test_what_a_recipe_starts_from(workspace: Path, store: Store) -> None:
    checkpoint = workspace / MODEL.source / "model.safetensors", workspace / MODEL.source
    starts = {}
    for recipe in (FAST, PACKAGE, TFLITE, OPENVINO):
        source = source_of(workspace, store, [], recipe)
        starts[recipe.name] = source.start(recipe)
    graph = source.folder / "model.onnx", source.folder
    assert starts == {"fast": graph, "package": checkpoint, "tflite": checkpoint, "openvino": graph}


def test_a_text_generator_without_a_graph_has_to_be_packaged_first(workspace: Path, store: Store) -> None:
    llama = {"model_type": "llama", "num_key_value_heads": 1, "head_dim": 8}
    tiny_bert.write(workspace / MODEL.source, **llama)
    models = Models(workspace, store, lambda line: None)
    source, [found] = models.source(action_of(workspace, task="text-generation"))
    assert (source, found.code, found.message) == (
        None,
        Code.UNSUPPORTED_MODEL,
        "The folder has weights of a model of type `llama` and no `genai_config.json`. "
        "The recipe has to begin with `{kind: package, format: genai}`.",
    )
    source, diagnostics = models.source(action_of(workspace, PACKAGE, "text-generation"))
    assert source is not None
    assert diagnostics == []
    assert source.start(PACKAGE) == (workspace / MODEL.source / "model.safetensors", workspace / MODEL.source)
    assert source.weights == ["model.safetensors"]
    assert source.shape.kv_bytes_per_token == tiny_bert.LAYERS * 2 * 1 * 8 * 4


def test_weights_that_are_no_numbers_are_told_at_the_source(workspace: Path, store: Store) -> None:
    weights = tiny_bert.weights()
    weights["embeddings.LayerNorm.bias"][0] = float("nan")
    tiny_bert.write(workspace / MODEL.source, weights)
    models = Models(workspace, store, lambda line: None)
    source, [found] = models.source(action_of(workspace))
    assert (source, found.code, found.span) == (None, Code.UNSUPPORTED_MODEL, MODEL.place)
    assert found.message == "Tensor `embeddings.LayerNorm.bias` has values that are no finite numbers."
    assert not (store.root / exports.FOLDER).exists()
