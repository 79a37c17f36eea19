"""Figures of encoders as the compiler keeps them: rounded, with golden answers, measured once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from compiler.artifact.artifact import Shape
from compiler.artifact.evaluation.metrics import METRICS
from compiler.artifact.measuring.beside import Beside
from compiler.artifact.measuring.measure import Bench, Wanted
from compiler.artifact.store.store import Label, Store, Stored
from compiler.fleet.graph import Model
from tests.artifact import tiny
from tests.artifact.building import SMALL, planned
from tests.artifact.tiny_encoder import Weights, write_classifier, write_encoder, write_labelled
from tests.values import MODEL, digest

ENCODER, CLASSIFIER = replace(MODEL, task="embeddings"), replace(MODEL, task="text-classification")


def bench(tmp_path: Path, model: Model, said: list[str]) -> tuple[Bench, Wanted]:
    """With an artifact of other weights in the store."""
    write = write_encoder if model is ENCODER else write_classifier
    workspace, store = tmp_path / "workspace", Store(tmp_path / "store")
    write(workspace / model.source)
    (tmp_path / "workspace" / "data").mkdir()
    write_labelled(workspace / model.evaluation_data, [(text, 0) for text in tiny.some_texts(80, 6)])
    made = write(tmp_path / "made", Weights.random().nudged(0.2))
    label = Label(digest("b"), "assistant-1.4.0-small", model.id, "small", digest("a"))
    stored = store.put(label, Shape(1, 1, 0, 512), {path.name: path for path in made.iterdir()})

    def folder(name: str, stored: Stored) -> Path:
        path = tmp_path / "laid-out" / name
        if not path.exists():
            store.lay_out(stored, path)
        return path

    [action] = planned(workspace, SMALL, model=model).actions
    return Bench(model, workspace / model.source, workspace, store, folder, said.append), Wanted(
        action, stored, Beside()
    )


@pytest.mark.parametrize(
    ("model", "own", "sample"), [(ENCODER, set(), "texts"), (CLASSIFIER, {"accuracy", "f1"}, "texts")]
)
def test_every_metric_of_the_task_is_measured_and_kept(
    model: Model, own: set[str], sample: str, tmp_path: Path
) -> None:
    said: list[str] = []
    measuring, wanted = bench(tmp_path, model, said)
    found, diagnostics = measuring.qualities([wanted])
    measured = found["assistant-1.4.0-small"]
    assert diagnostics == []
    assert measured.quality is not None
    assert measured.quality.samples == {sample: 80}
    assert measured.quality.baseline == "source"
    names = {name for name, metric in METRICS.items() if metric.sample and model.task in metric.tasks}
    assert measured.quality.figures.keys() == names
    assert measured.original.keys() == own
    for name, figure in measured.quality.figures.items():
        for number in (figure.value, figure.low, figure.high):
            assert number is not None
            assert number == round(number, METRICS[name].decimals)
    assert measured.golden is not None
    assert (measured.golden.task, len(measured.golden.answers)) == (model.task, 4)
    again, _ = measuring.qualities([wanted])
    assert again == found
    assert said == ["assistant@1.4.0: evaluating small"]


def test_speed_of_an_encoder_is_its_latency(tmp_path: Path) -> None:
    measuring, wanted = bench(tmp_path, ENCODER, [])
    speed = measuring.measure_speed(wanted.action, wanted.stored)
    assert speed.tokens_per_second is None
    assert speed.latency is not None
    assert speed.latency > 0
    assert speed.peak_memory > 10 * 2**20
    assert measuring.known_speed(wanted.action, wanted.stored.digest) == (speed, [])
