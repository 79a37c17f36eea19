"""An artifact's key covers everything that shapes it: what changes any of it is never answered from the store."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from compiler.artifact.making.build import build
from compiler.artifact.store.store import Store
from compiler.fleet.fingerprint import fingerprint
from compiler.fleet.graph import Recipe, Step, StepFile
from compiler.plan.actions import Baseline
from compiler.plan.planner import Tools, plan
from tests.artifact import tiny, tiny_bert
from tests.artifact.building import INT4, OPTIMIZE, SMALL, TOOLS, built
from tests.artifact.tiny_encoder import write_labelled
from tests.values import MODEL, PLACE, RUN, fleet_of

WITHOUT_FILES = Recipe("r", (OPTIMIZE, INT4), (), PLACE)
WITH_FILES = Recipe("r", (OPTIMIZE, replace(INT4, files=(StepFile("calibrate.data", "data/steps", PLACE),))), (), PLACE)


def _keys(workspace: Path, recipe: Recipe = SMALL, tools: Tools = TOOLS, task: str = "text-generation") -> list[str]:
    """Of the results of each step."""
    fleets = [fleet_of(replace(RUN, recipe=recipe, model=replace(MODEL, task=task)))]
    sources, diagnostics = fingerprint(workspace, workspace / "no-store", fleets, {})
    assert diagnostics == []
    [action] = plan(fleets, sources, Baseline(), tools).actions
    return [action.inputs.after(number + 1) for number in range(len(recipe.steps))]


@pytest.fixture
def external(workspace: Path) -> Path:
    """The file of the weights that are not in the graph."""
    return tiny.write_external(workspace / MODEL.source) / "weights.bin"


def _change_last_byte(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


def test_weights_beside_an_unchanged_graph(workspace: Path, external: Path) -> None:
    graph, before = (workspace / MODEL.source / "model.onnx").read_bytes(), _keys(workspace)
    _change_last_byte(external)
    assert _keys(workspace) != before
    _change_last_byte(external)
    assert _keys(workspace) == before
    assert (workspace / MODEL.source / "model.onnx").read_bytes() == graph


@pytest.mark.slow
def test_weights_beside_an_unchanged_graph_are_built_anew(workspace: Path, external: Path, store: Store) -> None:
    first = built(workspace, store, SMALL)[0].artifacts["assistant-1.4.0-small"]
    graph = (workspace / MODEL.source / "model.onnx").read_bytes()
    weights = np.frombuffer(external.read_bytes(), np.float32)
    external.write_bytes((weights * 2).tobytes())
    assert (workspace / MODEL.source / "model.onnx").read_bytes() == graph
    again = built(workspace, store, SMALL)[0].artifacts["assistant-1.4.0-small"]
    assert again.built
    assert {f.digest for f in again.files if f.name == "model.onnx"}.isdisjoint(f.digest for f in first.files)


@pytest.mark.parametrize("name", ["tokenizer.json", "genai_config.json", "LICENSE", "new.txt"])
def test_any_file_of_the_model(workspace: Path, name: str) -> None:
    before = _keys(workspace)
    with (workspace / MODEL.source / name).open("a") as file:
        file.write(" ")
    assert _keys(workspace) != before


def test_files_and_folders_that_a_step_reads(workspace: Path) -> None:
    path = workspace / "data" / "steps"
    seen = []
    path.write_text("a")
    seen.append(_keys(workspace, WITH_FILES))
    path.write_text("b")
    seen.append(_keys(workspace, WITH_FILES))
    path.unlink()
    path.mkdir()
    (path / "x").write_text("a")
    seen.append(_keys(workspace, WITH_FILES))
    (path / "x").rename(path / "y")
    seen.append(_keys(workspace, WITH_FILES))
    (path / "y").write_text("b")
    seen.append(_keys(workspace, WITH_FILES))
    assert len({keys[1] for keys in seen}) == len(seen)
    assert len({keys[0] for keys in seen}) == 1, "the step before does not read it"


@pytest.mark.parametrize("parameter", [*INT4.parameters, "new"])
def test_every_parameter(workspace: Path, parameter: str) -> None:
    first = Recipe("r", (OPTIMIZE, INT4), (), PLACE)
    other = Step("quantize", {**INT4.parameters, parameter: "int8" if parameter == "scheme" else 1.5}, PLACE)
    before, after = _keys(workspace, first), _keys(workspace, replace(first, steps=(OPTIMIZE, other)))
    assert (before[0] == after[0], before[1] == after[1]) == (True, False)


def test_versions_of_steps_and_of_every_library(workspace: Path) -> None:
    before = _keys(workspace)
    newer = replace(TOOLS, steps={**TOOLS.steps, "quantize/int4": 99})
    libraries = [replace(TOOLS, libraries={**TOOLS.libraries, name: "99"}) for name in TOOLS.libraries]
    assert {"onnx", "onnxruntime", "numpy", "slmc-artifact"} <= TOOLS.libraries.keys()
    for tools in (newer, *libraries):
        assert _keys(workspace, tools=tools) != before


def test_the_task_since_weights_become_another_graph_for_each(workspace: Path) -> None:
    tasks = ("text-generation", "embeddings", "text-classification")
    ways = [_keys(workspace, WITHOUT_FILES, task=task) for task in tasks]
    assert len({key for way in ways for key in way}) == len(tasks) * 2


@pytest.mark.slow
def test_one_folder_for_two_tasks_gives_two_artifacts(tmp_path: Path, store: Store) -> None:
    workspace = tmp_path / "workspace"
    labels = {"0": "bad", "1": "good"}
    tiny_bert.write(workspace / MODEL.source, tiny_bert.weights(labels=2), id2label=labels)
    (workspace / MODEL.evaluation_data).parent.mkdir()
    write_labelled(workspace / MODEL.evaluation_data, [(f"w{n} w{n + 1} w{n + 2}", n % 2) for n in range(30)])
    models = [
        replace(MODEL, name="vectors", task="embeddings"),
        replace(MODEL, name="labels", task="text-classification"),
    ]
    fleets = [fleet_of(replace(RUN, recipe=SMALL, model=model)) for model in models]
    sources, _ = fingerprint(workspace, workspace / "no-store", fleets, {})
    artifacts, diagnostics = build(plan(fleets, sources, Baseline(), TOOLS), workspace, store, lambda line: None)
    assert diagnostics == []
    measured = {name: set(artifact.quality.samples) for name, artifact in artifacts.artifacts.items()}
    assert measured == {"labels-1.4.0-small": {"texts"}, "vectors-1.4.0-small": {"texts"}}
    assert "accuracy" in artifacts.artifacts["labels-1.4.0-small"].quality.figures
    assert "cosineMean" in artifacts.artifacts["vectors-1.4.0-small"].quality.figures


def test_names_are_no_part_of_it(workspace: Path) -> None:
    assert _keys(workspace, replace(SMALL, name="other")) == _keys(workspace)
