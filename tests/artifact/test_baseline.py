"""Artifacts compared with the one that is deployed: which that is, and what is known when it is out of reach."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from compiler.artifact.artifact import NOTHING, Artifact, Artifacts, Figure
from compiler.artifact.making.build import build
from compiler.artifact.store.store import Store
from compiler.fleet.graph import Recipe
from compiler.plan.actions import Locked
from tests.artifact.building import FAST, INT4, INT8, SMALL, facts, planned
from tests.values import MODEL, PLACE, digest

DEPLOYED = replace(MODEL, baseline="deployed")
NAME = "assistant-1.4.0-small"
COMPARED = {"perplexityRatio", "klDivergence", "klDivergenceP99", "topOneAgreement"}


def compiled(workspace: Path, store: Store, recipe: Recipe, last: Artifacts, version: str = "1.4.0") -> Artifacts:
    """The artifact of this recipe under the name `small`, with the model as it came."""
    model = replace(DEPLOYED, version=version)
    recipe = replace(recipe, name="small")
    [action] = planned(workspace, recipe, model=model).actions
    locked = {}
    if action.name in last.artifacts:
        known = last.artifacts[action.name]
        locked[action.name] = Locked(
            known.key, action.source.digest, action.model.task, "", action.source.evaluation, known.digest
        )
    artifacts, diagnostics = build(
        planned(workspace, recipe, model=model, locked=locked), workspace, store, lambda _: None, last
    )
    assert diagnostics == []
    return artifacts


def figure(artifacts: Artifacts, metric: str) -> Figure:
    return artifacts.artifacts[NAME].quality.figures[metric]


def without_speed(artifacts: Artifacts) -> tuple[dict[str, Artifact], dict[str, object]]:
    return (
        {name: facts(artifact) for name, artifact in artifacts.artifacts.items()},
        {id: replace(original, speed=None) for id, original in artifacts.originals.items()},
    )


def test_the_first_is_compared_with_the_model_as_it_came(workspace: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    first = compiled(workspace, store, SMALL, NOTHING)
    plain, _ = build(planned(workspace, SMALL), workspace, store, lambda _: None)
    assert first.artifacts[NAME].quality == plain.artifacts[NAME].quality
    assert first.artifacts[NAME].quality.baseline == "source"


def test_the_next_is_compared_with_the_one_before_and_stays_so(workspace: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    first = compiled(workspace, store, FAST, NOTHING)
    second = compiled(workspace, store, SMALL, first)
    plain, _ = build(planned(workspace, SMALL), workspace, store, lambda _: None)
    quality, beside_source = second.artifacts[NAME].quality, plain.artifacts[NAME].quality
    assert quality.baseline == first.artifacts[NAME].digest
    assert quality.figures["perplexity"] == beside_source.figures["perplexity"]
    assert quality.figures["klDivergence"] != beside_source.figures["klDivergence"]
    ratio = figure(second, "perplexity").value / figure(first, "perplexity").value
    assert figure(second, "perplexityRatio").value == pytest.approx(ratio, abs=1e-3)
    assert second.originals[MODEL.id].figures == plain.originals[MODEL.id].figures
    again = compiled(workspace, store, SMALL, second)
    assert without_speed(again) == without_speed(second)
    assert not again.artifacts[NAME].built


def test_another_version_of_the_model_is_compared_with_the_deployed_one(workspace: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    first = compiled(workspace, store, FAST, NOTHING)
    other = replace(first.artifacts[NAME], name="other-1.0-small", model="other@1.0", digest=digest("9"))
    last = replace(first, artifacts={**first.artifacts, other.name: other})
    newer = compiled(workspace, store, SMALL, last, version="1.5.0")
    assert newer.artifacts["assistant-1.5.0-small"].quality.baseline == first.artifacts[NAME].digest


def test_a_baseline_that_is_not_in_the_store_leaves_comparisons_unknown(workspace: Path, tmp_path: Path) -> None:
    first = compiled(workspace, Store(tmp_path / "elsewhere"), FAST, NOTHING)
    second = compiled(workspace, Store(tmp_path / "store"), SMALL, first)
    plain, _ = build(planned(workspace, SMALL), workspace, Store(tmp_path / "store"), lambda _: None)
    quality = second.artifacts[NAME].quality
    assert quality.baseline == first.artifacts[NAME].digest
    own = {name: f for name, f in plain.artifacts[NAME].quality.figures.items() if name not in COMPARED}
    assert quality.figures == own != {}


def test_what_the_lock_knows_of_the_same_artifact_still_holds_elsewhere(workspace: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    second = compiled(workspace, store, SMALL, compiled(workspace, store, FAST, NOTHING))
    elsewhere = compiled(workspace, Store(tmp_path / "elsewhere"), SMALL, second)
    assert without_speed(elsewhere) == without_speed(second)


def test_a_baseline_with_another_tokenizer_cannot_be_compared(workspace: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    first = compiled(workspace, store, FAST, NOTHING)
    path = workspace / MODEL.source / "tokenizer.json"
    tokenizer = json.loads(path.read_text())
    tokenizer["added_tokens"] = []
    path.write_text(json.dumps(tokenizer, indent=1))
    second = compiled(workspace, store, SMALL, first)
    quality = second.artifacts[NAME].quality
    assert (quality.baseline, quality.figures.keys()) == (first.artifacts[NAME].digest, {"perplexity"})


def test_recipes_of_one_model_have_baselines_of_their_own(workspace: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    recipes = [Recipe("one", (INT4,), (), PLACE), Recipe("two", (INT8,), (), PLACE)]
    first, _ = build(planned(workspace, *recipes, model=DEPLOYED), workspace, store, lambda _: None)
    swapped = [replace(recipes[0], steps=(INT8,)), replace(recipes[1], steps=(INT4,))]
    second, diagnostics = build(planned(workspace, *swapped, model=DEPLOYED), workspace, store, lambda _: None, first)
    assert diagnostics == []
    for name in ("assistant-1.4.0-one", "assistant-1.4.0-two"):
        assert second.artifacts[name].quality.baseline == first.artifacts[name].digest
        assert second.artifacts[name].quality.figures["klDivergence"].value > 0
