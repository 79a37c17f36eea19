"""Gates: what passes, what fails and with which words, what stays undecided."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from compiler.artifact.artifact import Artifact, Artifacts, File, Speed
from compiler.artifact.gates import check_gates, held
from compiler.base.codes import Code
from compiler.fleet.fingerprint import Inputs
from compiler.fleet.graph import Gate
from compiler.plan.actions import Baseline, Plan
from compiler.plan.planner import Tools, plan
from tests.values import ARTIFACT, MIB, MODEL_SOURCE, PLACE, RECIPE, RUN, digest, fleet_of

SPEED = Speed(100.0, 80 * MIB, "a processor, 2 threads, onnxruntime 1.0")


def planned(*gates: Gate) -> Plan:
    run = replace(RUN, recipe=replace(RECIPE, gates=gates))
    tools = Tools({"optimize": 1, "quantize/int4": 1}, {})
    return plan([fleet_of(run)], Inputs({MODEL_SOURCE.model: MODEL_SOURCE}), Baseline(), tools)


def findings(gate: Gate, artifact: Artifact) -> list[tuple[Code, str]]:
    return [
        (d.code, d.message)
        for d in check_gates(planned(gate), Artifacts({artifact.name: artifact}, {})).get(artifact.name, [])
    ]


def gate(metric: str, bound: Any, limit: float) -> Gate:
    return Gate(metric, bound, limit, PLACE)


MEASURED = replace(ARTIFACT, speed=SPEED, files=(File("model.onnx", 500 * MIB, digest("d")),))
"""perplexity 12.5, ratio 1.0125, KL 0.01234, agreement 0.9531."""


@pytest.mark.parametrize(
    ("metric", "bound", "value", "words"),
    [
        ("perplexity", "max", 12.5, "is 12.5; the gate wants at most 12."),
        ("perplexityRatio", "max", 1.0125, "is 1.0125; the gate wants at most 1.012."),
        ("klDivergence", "max", 0.01234, "is 0.01234 nats; the gate wants at most 0.012 nats."),
        ("topOneAgreement", "min", 0.9531, "is 95.3% (0.9531); the gate wants at least 95.4% (0.954)."),
        (
            "size",
            "max",
            500 * MIB,
            "is 500.0 MiB (524288000 bytes); the gate wants at most 500.0 MiB (524287999 bytes).",
        ),
        ("tokensPerSecond", "min", 100.0, "is 100 tokens/s; the gate wants at least 100.5 tokens/s."),
        (
            "peakMemory",
            "max",
            80 * MIB,
            "is 80.0 MiB (83886080 bytes); the gate wants at most 79.0 MiB (82837504 bytes).",
        ),
    ],
)
def test_limit_itself_passes_and_a_stricter_one_fails(metric: str, bound: Any, value: float, words: str) -> None:
    stricter = {
        "perplexity": 12, "perplexityRatio": 1.012, "klDivergence": 0.012, "topOneAgreement": 0.954,
        "size": 500 * MIB - 1, "tokensPerSecond": 100.5, "peakMemory": 79 * MIB,
    }  # fmt: skip
    assert findings(gate(metric, bound, value), MEASURED) == []
    assert findings(gate(metric, bound, stricter[metric]), MEASURED) == [
        (Code.GATE_FAILED, f"`{metric}` of `assistant-1.4.0-int4` {words}")
    ]


@pytest.mark.parametrize("bound", ["max", "min"])
def test_nan_never_passes(bound: Any) -> None:
    artifact = replace(MEASURED, quality=replace(MEASURED.quality, perplexity=math.nan))
    assert [code for code, _ in findings(gate("perplexity", bound, 12.5), artifact)] == [Code.GATE_FAILED]


@pytest.mark.parametrize("metric", ["tokensPerSecond", "peakMemory"])
def test_what_was_not_measured_is_undecided(metric: str) -> None:
    assert findings(gate(metric, "min", 0), ARTIFACT) == [
        (
            Code.GATE_UNDECIDED,
            f"`{metric}` of `assistant-1.4.0-int4` is not known here, "
            "and the lock holds no build that kept this limit.",
        )
    ]


@pytest.mark.parametrize(
    ("wanted", "kept", "decided"),
    [
        (gate("tokensPerSecond", "min", 50), {"tokensPerSecond.min": 50}, True),
        (gate("tokensPerSecond", "min", 50), {"tokensPerSecond.min": 60}, True),
        (gate("tokensPerSecond", "min", 50), {"tokensPerSecond.min": 40}, False),
        (gate("peakMemory", "max", 50), {"peakMemory.max": 50}, True),
        (gate("peakMemory", "max", 50), {"peakMemory.max": 40}, True),
        (gate("peakMemory", "max", 50), {"peakMemory.max": 60}, False),
        (gate("peakMemory", "max", 50), {"tokensPerSecond.min": 50}, False),
        (gate("peakMemory", "max", 50), {"peakMemory.max": math.nan}, False),
    ],
)
def test_a_limit_that_the_build_held_or_a_looser_one_is_decided(
    wanted: Gate, kept: dict[str, float], decided: bool
) -> None:
    codes = [code for code, _ in findings(wanted, replace(ARTIFACT, held_gates=kept))]
    assert codes == ([] if decided else [Code.GATE_UNDECIDED])


def test_a_build_holds_what_depends_on_the_machine_and_passed() -> None:
    gates = (
        gate("klDivergence", "max", 1),
        gate("peakMemory", "max", 100 * MIB),
        gate("tokensPerSecond", "min", 101),
    )
    assert held(gates, MEASURED) == {"peakMemory.max": 100 * MIB}
    assert held(gates, ARTIFACT) == {}


def test_an_artifact_that_is_not_there_is_nobody_s_gate() -> None:
    assert check_gates(planned(gate("size", "max", 1)), Artifacts({}, {})) == {}
