"""Gates: limits on what was measured. What cannot be decided does not pass."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from compiler.artifact.artifact import Artifact, Artifacts
from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic
from compiler.base.units import show_bytes, show_ratio
from compiler.fleet.graph import Fleet, Gate
from compiler.plan.actions import Plan

_MACHINE = ("tokensPerSecond", "peakMemory")
"""Metrics that depend on the build machine."""


def check_gates(plan: Plan, artifacts: Artifacts) -> dict[str, list[Diagnostic]]:
    """Every gate of every recipe, against the artifacts that it made: by artifact, what does not pass."""
    return {
        action.name: found
        for action in plan.actions
        if action.name in artifacts.artifacts
        if (found := [one for gate in action.recipe.gates for one in _check(gate, artifacts.artifacts[action.name])])
    }


def reasons(failed: Mapping[str, list[Diagnostic]]) -> dict[str, str]:
    """By artifact, which gates did not pass, in a phrase."""
    return {name: " ".join(found.message for found in findings).rstrip(".") for name, findings in failed.items()}


def of_runs(fleets: Iterable[Fleet], failed: Mapping[str, list[Diagnostic]]) -> list[Diagnostic]:
    """What did not pass of the artifacts that some run has; a choice has others that it dropped."""
    used = {run.artifact for fleet in fleets for cohort in fleet.cohorts for run in cohort.runs}
    return [finding for name, findings in failed.items() if name in used for finding in findings]


def held(gates: tuple[Gate, ...], artifact: Artifact) -> dict[str, float]:
    """The gates on machine-dependent metrics that the artifact passed here: `tokensPerSecond.min` → limit.

    The lock keeps them, so that a compile that measures nothing can decide them.
    """
    return {
        _key(gate): gate.limit
        for gate in gates
        if gate.metric in _MACHINE and (value := _value(gate.metric, artifact)) is not None and _passes(gate, value)
    }


def _check(gate: Gate, artifact: Artifact) -> list[Diagnostic]:
    value = _value(gate.metric, artifact)
    if value is None:
        return [] if _was_held(gate, artifact) else [_undecided(gate, artifact)]
    return [] if _passes(gate, value) else [_failed(gate, artifact, value)]


def _value(metric: str, artifact: Artifact) -> float | None:
    quality, speed = artifact.quality, artifact.speed
    values: dict[str, float | None] = {
        "perplexity": quality.perplexity,
        "perplexityRatio": quality.perplexity_ratio,
        "klDivergence": quality.kl_divergence,
        "topOneAgreement": quality.top_one_agreement,
        "size": artifact.size,
        "tokensPerSecond": speed.tokens_per_second if speed else None,
        "peakMemory": speed.peak_memory if speed else None,
    }
    return values[metric]


def _passes(gate: Gate, value: float) -> bool:
    """NaN passes nothing."""
    if math.isnan(value):
        return False
    return value <= gate.limit if gate.bound == "max" else value >= gate.limit


def _was_held(gate: Gate, artifact: Artifact) -> bool:
    """Whether the build that made the lock held this limit or a stricter one."""
    limit = artifact.held_gates.get(_key(gate))
    return limit is not None and (limit <= gate.limit if gate.bound == "max" else limit >= gate.limit)


def _key(gate: Gate) -> str:
    return f"{gate.metric}.{gate.bound}"


def _failed(gate: Gate, artifact: Artifact, value: float) -> Diagnostic:
    than = "at most" if gate.bound == "max" else "at least"
    return Diagnostic(
        Code.GATE_FAILED,
        f"`{gate.metric}` of `{artifact.name}` is {_show(gate.metric, value)}; the gate wants {than} "
        f"{_show(gate.metric, gate.limit)}.",
        gate.place,
        help="Nothing was written. Choose another recipe, or another limit if this result is good enough.",
    )


def _undecided(gate: Gate, artifact: Artifact) -> Diagnostic:
    return Diagnostic(
        Code.GATE_UNDECIDED,
        f"`{gate.metric}` of `{artifact.name}` is not known here, and the lock holds no build that kept this limit.",
        gate.place,
        help="Run `slmc compile` on a machine that builds, without `--locked` or `--check`.",
    )


def _show(metric: str, value: float) -> str:
    """With the metric's unit, and digits enough to tell a value from its limit."""
    if metric in ("size", "peakMemory"):
        return f"{show_bytes(round(value))} ({round(value)} bytes)"
    if metric == "topOneAgreement":
        return f"{show_ratio(value)} ({value:.10g})"
    unit = {"klDivergence": " nats", "tokensPerSecond": " tokens/s"}.get(metric, "")
    return f"{value:.10g}{unit}"
