"""Gates: what passes, what fails and with which words, what stays undecided."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from compiler.artifact.artifact import Artifact, Artifacts, Figure, File, Quality, Speed
from compiler.artifact.measuring.gates import check_gates, held
from compiler.base.codes import Code
from compiler.fleet.fingerprint import Inputs
from compiler.fleet.graph import Gate, Model
from compiler.plan.actions import Baseline, Plan
from compiler.plan.planner import Tools, plan
from tests.values import ARTIFACT, MIB, MODEL, MODEL_SOURCE, PLACE, RECIPE, RUN, digest, fleet_of

SPEED = Speed(100.0, 80 * MIB, "a processor, 2 threads, onnxruntime 1.0", 12.5)


def planned(*gates: Gate) -> Plan:
    run = replace(RUN, recipe=replace(RECIPE, gates=gates))
    tools = Tools({"optimize": 1, "quantize/int4": 1}, {})
    return plan([fleet_of(run)], Inputs({MODEL_SOURCE.model: MODEL_SOURCE}), Baseline(), tools)


def findings(gate: Gate, artifact: Artifact) -> list[tuple[Code, str]]:
    misses = check_gates(planned(gate), Artifacts({artifact.name: artifact}, {})).get(artifact.name, [])
    return [(miss.finding.code, miss.finding.message) for miss in misses]


def gate(metric: str, bound: Any, limit: float) -> Gate:
    return Gate(metric, bound, limit, PLACE)


MEASURED = replace(ARTIFACT, speed=SPEED, files=(File("model.onnx", 500 * MIB, digest("d")),))
"""Of 4,096 tokens: perplexity 12.5 (12 to 13), ratio 1.0125 (1.01 to 1.015), KL 0.01234 (± 0.001), agreement 0.9531
(0.9431 to 0.9611)."""


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
        ("latency", "max", 12.5, "is 12.5 ms; the gate wants at most 12 ms."),
        (
            "peakMemory",
            "max",
            80 * MIB,
            "is 80.0 MiB (83886080 bytes); the gate wants at most 79.0 MiB (82837504 bytes).",
        ),
    ],
)
def test_a_value_beyond_the_limit_fails(metric: str, bound: Any, value: float, words: str) -> None:
    stricter = {
        "perplexity": 12, "perplexityRatio": 1.012, "klDivergence": 0.012, "topOneAgreement": 0.954,
        "size": 500 * MIB - 1, "tokensPerSecond": 100.5, "latency": 12, "peakMemory": 79 * MIB,
    }  # fmt: skip
    passing = {"perplexity": 13, "perplexityRatio": 1.015, "klDivergence": 0.01334, "topOneAgreement": 0.9431}
    assert findings(gate(metric, bound, passing.get(metric, value)), MEASURED) == []
    assert findings(gate(metric, bound, stricter[metric]), MEASURED) == [
        (Code.GATE_FAILED, f"`{metric}` of `assistant-1.4.0-int4` {words}")
    ]


@pytest.mark.parametrize("bound", ["max", "min"])
def test_nan_never_passes(bound: Any) -> None:
    quality = replace(MEASURED.quality, figures={"perplexity": Figure(math.nan, math.nan, math.nan)})
    artifact = replace(MEASURED, quality=quality)
    assert [code for code, _ in findings(gate("perplexity", bound, 12.5), artifact)] == [Code.GATE_FAILED]


@pytest.mark.parametrize("metric", ["tokensPerSecond", "latency", "peakMemory"])
def test_what_was_not_measured_is_undecided(metric: str) -> None:
    assert findings(gate(metric, "min", 0), ARTIFACT) == [
        (
            Code.GATE_UNDECIDED,
            f"`{metric}` of `assistant-1.4.0-int4` is not known here, "
            "and the lock holds no build that kept this limit.",
        )
    ]


@pytest.mark.parametrize(
    ("file", "metric", "message", "help"),
    [
        (
            "model.gguf",
            "klDivergence",
            "`klDivergence` of `assistant-1.4.0-int4` is not measured here: it is no ONNX model (`model.gguf`).",
            "Leave the gate out of this recipe; `size` is known of every format.",
        ),
        (
            "model.tflite",
            "perplexity",
            "`perplexity` of `assistant-1.4.0-int4` is not measured here: it is no ONNX model (`model.tflite`).",
            "Leave the gate out of this recipe; `size` is known of every format.",
        ),
        (
            "model.gguf",
            "tokensPerSecond",
            "`tokensPerSecond` of `assistant-1.4.0-int4` is not measured here: it is no ONNX model (`model.gguf`).",
            "Leave the gate out of this recipe; `size` is known of every format.",
        ),
        (
            "model.onnx",
            "klDivergence",
            "`klDivergence` of `assistant-1.4.0-int4` cannot be measured on 0 tokens.",
            "Add tokens to the model's evaluation data.",
        ),
    ],
)
def test_of_another_runtime_s_format_little_is_measured(file: str, metric: str, message: str, help: str) -> None:
    artifact = replace(ARTIFACT, files=(File(file, MIB, digest("d")),), quality=Quality({}, {}))
    [miss] = check_gates(planned(gate(metric, "max", 1)), Artifacts({ARTIFACT.name: artifact}, {}))[ARTIFACT.name]
    assert (miss.finding.code, miss.finding.message, miss.finding.help) == (Code.GATE_UNDECIDED, message, help)


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


def answers(wanted: Gate, quality: Quality, model: Model = MODEL) -> list[tuple[Code, str, str | None]]:
    run = replace(RUN, model=model, recipe=replace(RECIPE, gates=(wanted,)))
    tools = Tools({"optimize": 1, "quantize/int4": 1}, {})
    made = plan([fleet_of(run)], Inputs({MODEL_SOURCE.model: MODEL_SOURCE}), Baseline(), tools)
    artifacts = Artifacts({ARTIFACT.name: replace(ARTIFACT, quality=quality)}, {})
    found = [miss.finding for miss in check_gates(made, artifacts).get(ARTIFACT.name, [])]
    return [(d.code, d.message, d.help) for d in found]


MORE = "Add evaluation data, raise `maxTokens`, or choose another limit."


@pytest.mark.parametrize(
    ("wanted", "message", "help"),
    [
        (
            gate("klDivergence", "max", 0.013),
            "is 0.01234 nats on 4,096 tokens, and with 95 % confidence between 0.01134 nats and 0.01334 nats; the gate "
            "wants at most 0.013 nats.",
            # (0.00100 / 0.00066)² = 2.3 times as many
            f"About 5,400 more tokens would decide, if the value stays. {MORE}",
        ),
        (
            gate("topOneAgreement", "min", 0.95),
            "is 95.3% (0.9531) on 4,096 tokens, and with 95 % confidence between 94.3% (0.9431) and 96.1% (0.9611); "
            "the gate wants at least 95.0% (0.95).",
            # (0.0100 / 0.0031)² = 10.4 times as many
            f"About 39,000 more tokens would decide, if the value stays. {MORE}",
        ),
        (
            gate("perplexityRatio", "max", 1.0125),
            "is 1.0125 on 4,096 tokens, and with 95 % confidence between 1.01 and 1.015; the gate wants at most "
            "1.0125.",
            "The value is the limit itself, which no sample decides. Choose another recipe, or another limit.",
        ),
    ],
)
def test_a_limit_inside_the_interval_is_undecided(wanted: Gate, message: str, help: str) -> None:
    expected = (Code.GATE_UNDECIDED, f"`{wanted.metric}` of `assistant-1.4.0-int4` {message}", help)
    assert answers(wanted, MEASURED.quality) == [expected]


def test_a_sample_too_small_for_an_interval_decides_nothing_but_failure() -> None:
    quality = Quality({"tokens": 200}, {"klDivergenceP99": Figure(0.05, 0.02, None)})
    assert answers(gate("klDivergenceP99", "max", 0.5), quality) == [
        (
            Code.GATE_UNDECIDED,
            "`klDivergenceP99` of `assistant-1.4.0-int4` is 0.05 nats, but 200 tokens are too few to give it an "
            "interval of confidence; the gate wants at most 0.5 nats.",
            f"It takes 368 tokens at least, and more where they are alike. {MORE}",
        )
    ]
    [(code, message, _)] = answers(gate("klDivergenceP99", "max", 0.04), quality)
    assert (code, message) == (
        Code.GATE_FAILED,
        "`klDivergenceP99` of `assistant-1.4.0-int4` is 0.05 nats; the gate wants at most 0.04 nats.",
    )


def test_what_a_baseline_out_of_reach_leaves_unknown_is_undecided() -> None:
    quality = Quality({"tokens": 4096}, {"perplexity": Figure(12.5, 12, 13)}, digest("7"))
    assert answers(gate("perplexity", "max", 14), quality) == []
    assert answers(gate("klDivergence", "max", 1), quality) == [
        (
            Code.GATE_UNDECIDED,
            f"`klDivergence` of `assistant-1.4.0-int4` is not known: `{digest('7')}`, which is deployed, is not in the "
            "store or has another tokenizer.",
            "Compile where the store has that artifact, or compare with the model as it came: `baseline: source`.",
        )
    ]


def test_two_texts_have_no_rank_correlation() -> None:
    encoder = replace(MODEL, task="embeddings")
    quality = Quality({"texts": 2}, {"cosineMean": Figure(1.0, 1.0, 1.0)})
    assert answers(gate("rankCorrelation", "min", 0.9), quality, encoder) == [
        (
            Code.GATE_UNDECIDED,
            "`rankCorrelation` of `assistant-1.4.0-int4` cannot be measured on 2 texts.",
            "Add texts to the model's evaluation data.",
        )
    ]
