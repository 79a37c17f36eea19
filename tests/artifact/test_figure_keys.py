"""Figures and originals that the store keeps are found again only while all that they depend on is the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from compiler.artifact.converters import environment
from compiler.artifact.making import models
from compiler.artifact.making.models import Models
from compiler.artifact.measuring import measure
from compiler.artifact.measuring.beside import Beside
from compiler.artifact.measuring.measure import Bench, Wanted
from compiler.artifact.process import Failed
from compiler.artifact.steps.package import genai
from compiler.artifact.store import exports
from compiler.artifact.store.store import Store, Stored
from compiler.base.codes import Code
from compiler.fleet.graph import Recipe, Step
from tests.artifact import tiny, tiny_bert
from tests.artifact.building import SMALL, planned
from tests.artifact.shelf import label, put
from tests.values import MODEL, PLACE

PACKAGE = Recipe("package", (Step("package", {"format": "genai"}, PLACE),), (), PLACE)
ENCODER = replace(MODEL, task="embeddings")
FIGURES = {
    "samples": {"texts": 3},
    "reference": {},
    "candidates": [{"figures": {"cosineMean": [0.5, None, None]}, "golden": None}],
}
SPEED = {"tokens_per_second": 2.0, "peak_memory": 3, "latency": None}


class Measuring:
    """What the child processes would give, and which of them were asked for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[str] = []
        monkeypatch.setattr(measure, "run", self._run)

    def _run(self, what: str, request: Mapping[str, Any]) -> Any:
        self.asked.append(what)
        return {"evaluate": FIGURES, "speed": SPEED}[what]


@pytest.fixture
def measuring(monkeypatch: pytest.MonkeyPatch) -> Measuring:
    return Measuring(monkeypatch)


def bench(workspace: Path, store: Store, made: str = "") -> Bench:
    return Bench(
        ENCODER, workspace / MODEL.source, workspace, store, lambda name, stored: workspace, lambda line: None, made
    )


def wanted(workspace: Path, stored: Stored, beside: Stored | None = None) -> Wanted:
    [action] = planned(workspace, SMALL, model=ENCODER).actions
    return Wanted(action, stored, Beside(beside.digest, beside) if beside else Beside())


def upgrade(monkeypatch: pytest.MonkeyPatch, converter: str) -> None:
    """Give the converter other packages."""
    digest = environment.digest
    monkeypatch.setattr(environment, "digest", lambda name: "other" if name == converter else digest(name))


@pytest.mark.parametrize(
    ("file", "converter", "times"),
    [
        ("model_tflite", "litert", 2),
        ("model_xml", "openvino", 2),
        ("model_pte", "executorch", 2),
        ("model_tflite", "openvino", 1),
        ("model_onnx", "litert", 1),
    ],
)
def test_figures_of_a_converted_artifact_hold_for_its_runtime(
    workspace: Path, measuring: Measuring, monkeypatch: pytest.MonkeyPatch, file: str, converter: str, times: int
) -> None:
    store = Store(workspace.with_name("store"))
    one = wanted(workspace, put(store, workspace / "in", label(), **{file: "M", "tokenizer_json": "T"}))
    for _ in range(2):
        bench(workspace, store).qualities([one])
    assert measuring.asked == ["evaluate"]
    upgrade(monkeypatch, converter)
    bench(workspace, store).qualities([one])
    assert measuring.asked == ["evaluate"] * times


def test_figures_beside_a_converted_baseline_hold_for_its_runtime(
    workspace: Path, store: Store, measuring: Measuring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "run", lambda what, request: measuring._run(what, request) | {"candidates": TWO})
    deployed = put(store, workspace / "deployed", label("a", "c"), model_tflite="D", tokenizer_json="T")
    one = wanted(workspace, put(store, workspace / "in", label()), deployed)
    bench(workspace, store).qualities([one])
    bench(workspace, store).qualities([one])
    assert measuring.asked == ["evaluate"]
    upgrade(monkeypatch, "litert")
    bench(workspace, store).qualities([one])
    assert measuring.asked == ["evaluate"] * 2


TWO = [{"figures": {}, "golden": None}, *FIGURES["candidates"]]


def test_figures_hold_for_the_original_as_it_was_made(workspace: Path, store: Store, measuring: Measuring) -> None:
    one = wanted(workspace, put(store, workspace / "in"))
    for made in ("export 1", "export 1", "export 2"):
        bench(workspace, store, made).qualities([one])
    assert measuring.asked == ["evaluate"] * 2


def test_speed_holds_for_the_task_and_of_the_original_for_how_it_was_made(
    workspace: Path, store: Store, measuring: Measuring
) -> None:
    stored = put(store, workspace / "in")
    [action] = planned(workspace, SMALL, model=ENCODER).actions
    labels = replace(action, model=replace(ENCODER, task="text-classification"))
    first = bench(workspace, store, "export 1")
    speed = first.measure_speed(action, None)
    assert first.known_speed(action, None) == (speed, [])
    assert bench(workspace, store, "export 2").known_speed(action, None) == (None, [])
    assert first.known_speed(labels, None) == (None, [])
    speed = first.measure_speed(action, stored)
    assert bench(workspace, store, "export 2").known_speed(action, stored.digest) == (speed, [])
    assert first.known_speed(labels, stored.digest) == (None, [])


@pytest.fixture
def llama(tmp_path: Path) -> Path:
    """A text generator that is weights alone."""
    folder = tmp_path / "workspace"
    tiny_bert.write(folder / MODEL.source, model_type="llama", num_key_value_heads=1, head_dim=8)
    tiny.write_texts(folder / MODEL.evaluation_data, ["w1 w2 w3"])
    return folder


@pytest.mark.slow
def test_a_packaged_original_is_made_anew_by_another_packager(
    llama: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    def package(checkpoint: Path, target: Path, home: Path) -> list[dict[str, str]]:
        made.append(genai.VERSION)
        (target / "model.onnx").write_text(genai.VERSION)
        return []

    monkeypatch.setattr(models, "package", package)
    [action] = planned(llama, PACKAGE).actions
    seen = []
    for version in ("1+aa", "1+aa", "1+bb", "2+bb"):
        monkeypatch.setattr(genai, "VERSION", version)
        source, diagnostics = Models(llama, Store(store.root), lambda line: None).original(action)
        assert diagnostics == []
        assert source is not None
        assert (source.folder / "model.onnx").read_text() == version
        seen.append(source.made)
    assert made == ["1+aa", "1+bb", "2+bb"]
    assert len(set(seen)) == 3


@pytest.mark.slow
def test_what_the_original_was_made_with(tmp_path: Path, workspace: Path, store: Store) -> None:
    models_ = Models(workspace, store, lambda line: None)
    source, _ = models_.original(planned(workspace, SMALL).actions[0])
    assert source is not None
    assert source.made == ""
    other = tmp_path / "other"
    tiny_bert.write(other / MODEL.source)
    tiny.write_texts(other / MODEL.evaluation_data, ["w1 w2 w3"])
    source, _ = Models(other, store, lambda line: None).original(planned(other, SMALL, model=ENCODER).actions[0])
    assert source is not None
    assert source.made == f"export {exports.EXPORT_VERSION}"


@pytest.mark.slow
def test_a_packager_that_is_not_installed_is_told_with_its_command(llama: Path, store: Store) -> None:
    tiny_bert.write(
        llama / MODEL.source,
        model_type="llama",
        num_key_value_heads=1,
        head_dim=8,
        architectures=["LlamaForCausalLM"],
    )
    source, [found] = Models(llama, store, lambda line: None).original(planned(llama, PACKAGE).actions[0])
    assert (source is not None, found.code, found.message, found.help) == (
        False,
        Code.CONVERTER_MISSING,
        "The environment of converter `genai` is not installed.",
        "`slmc converters install genai` makes it, once for all workspaces of this store.",
    )


@pytest.mark.slow
def test_other_faults_of_packaging_end_with_one_full_stop(
    llama: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    [action] = planned(llama, PACKAGE).actions
    _, [found] = Models(llama, store, lambda line: None).original(action)
    assert (found.code, found.message) == (
        Code.STEP_INAPPLICABLE,
        "`config.json` names the architecture `BertModel`; `genai` is made of ForCausalLM here.",
    )

    def package(checkpoint: Path, target: Path, home: Path) -> list[dict[str, str]]:
        raise Failed("its process died.")

    monkeypatch.setattr(models, "package", package)
    _, [found] = Models(llama, store, lambda line: None).original(action)
    assert (found.code, found.message) == (
        Code.UNSUPPORTED_MODEL,
        "No graph can be built from its weights: its process died.",
    )
