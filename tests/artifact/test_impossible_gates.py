"""Gates that no result can pass, found before anything is built."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from compiler.artifact.artifact import Figure, Quality
from compiler.artifact.measuring.gates import impossible_gates
from compiler.base.codes import Code
from compiler.fleet.graph import Gate
from tests.artifact.test_gates import answers, gate
from tests.values import MODEL, RECIPE, RUN, fleet_of

IMPOSSIBLE = [
    (
        gate("cosineMin", "min", 0.9),
        "text-generation",
        "`cosineMin` is no metric of text-generation, which is what `assistant@1.4.0` is for.",
        "The metrics of text-generation are `perplexity`, `perplexityRatio`, `klDivergence`, `klDivergenceP99`, "
        "`topOneAgreement`, `taskAccuracy`, `size`, `tokensPerSecond`, `latency`, `peakMemory`.",
    ),
    (
        gate("tokensPerSecond", "min", 0.9),
        "embeddings",
        "`tokensPerSecond` is no metric of embeddings, which is what `assistant@1.4.0` is for.",
        "The metrics of embeddings are `cosineMean`, `cosineMin`, `rankCorrelation`, `neighbourAgreement`, `size`, "
        "`latency`, `peakMemory`.",
    ),
    (
        gate("labelAgreement", "min", 1.0),
        "text-classification",
        "No sample can show that `labelAgreement` is 100.0%, even one without an exception.",
        "Ask for a little less, such as 99.5%.",
    ),
]


@pytest.mark.parametrize(("wanted", "task", "message", "help"), IMPOSSIBLE)
def test_a_gate_that_no_result_can_pass_is_found_before_and_after(
    wanted: Gate, task: str, message: str, help: str
) -> None:
    model = replace(MODEL, task=task)
    expected = (Code.IMPOSSIBLE_GATE, message, help)
    assert answers(wanted, Quality({"texts": 9}, {}), model) == [expected]
    fleet = fleet_of(replace(RUN, model=model, recipe=replace(RECIPE, gates=(wanted,))))
    assert [(d.code, d.message, d.help) for d in impossible_gates([fleet, fleet], None)] == [expected]


def test_a_cosine_of_one_is_possible() -> None:
    model = replace(MODEL, task="embeddings")
    fleet = fleet_of(replace(RUN, model=model, recipe=replace(RECIPE, gates=(gate("cosineMin", "min", 1.0),))))
    assert impossible_gates([fleet], None) == []


def test_task_accuracy_takes_prompts(tmp_path: Path) -> None:
    wanted = gate("taskAccuracy", "min", 0.5)
    fleet = fleet_of(replace(RUN, recipe=replace(RECIPE, gates=(wanted,))))
    message = "`taskAccuracy` is measured on lines with a `prompt`, and `data/a.jsonl` has none."
    data = tmp_path / MODEL.evaluation_data
    assert impossible_gates([fleet], None) == impossible_gates([fleet], tmp_path) == []  # no data to look at
    data.parent.mkdir()
    data.write_text('{"text": "prompt"}\n{"prompt": "broken\n{"prompt": 1}\n')
    assert [(d.code, d.message) for d in impossible_gates([fleet], tmp_path)] == [(Code.IMPOSSIBLE_GATE, message)]
    data.write_text('{"text": "a"}\n{"prompt": "a", "answer": "b"}\n')
    assert impossible_gates([fleet], tmp_path) == []
    [(code, said, _)] = answers(wanted, Quality({"tokens": 9}, {}))
    assert (code, said) == (Code.IMPOSSIBLE_GATE, message)
    found = Quality({"tokens": 9, "prompts": 400}, {"taskAccuracy": Figure(0.6, 0.55, 0.65)})
    assert answers(wanted, found) == []
