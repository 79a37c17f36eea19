"""Gates: limits on what was measured. What cannot be decided does not pass, and a small sample decides little."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from compiler.artifact.artifact import SOURCE, Artifact, Artifacts, Figure
from compiler.artifact.converters.formats import converted
from compiler.artifact.evaluation import texts
from compiler.artifact.evaluation.metrics import MACHINE, METRICS, unevaluated
from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic
from compiler.base.units import show_bytes, show_ratio
from compiler.fleet.graph import Fleet, Gate, Model
from compiler.plan.actions import Action, Plan


def impossible_gates(fleets: Iterable[Fleet], workspace: Path | None) -> list[Diagnostic]:
    """Gates that no result can pass, found before anything is built. `workspace` has the evaluation data, if any."""
    runs = (run for fleet in fleets for cohort in fleet.cohorts for run in cohort.runs)
    pairs = {(id(run.model), id(recipe)): (run.model, recipe) for run in runs for recipe in run.recipe.candidates}
    prompts: dict[str, bool] = {}
    found: list[Diagnostic] = []
    for model, recipe in pairs.values():
        data = model.evaluation_data
        for gate in recipe.gates:
            finding = _impossible(gate, model)
            if finding is None and gate.metric == "taskAccuracy" and workspace and (workspace / data).is_file():
                if data not in prompts:
                    prompts[data] = texts.has_prompts(workspace / data)
                finding = None if prompts[data] else _no_prompts(gate, data)
            if finding is not None:
                found.append(finding)
    return found


class Miss(NamedTuple):
    """A gate that an artifact does not pass, and what there is to say of it."""

    gate: Gate
    finding: Diagnostic

    @property
    def of_machine(self) -> bool:
        """Whether another build machine may decide it otherwise."""
        return self.gate.metric in MACHINE

    @property
    def why(self) -> str:
        """In a phrase that is the same on every machine."""
        if self.of_machine:
            return f"the build did not hold `{self.gate.metric}`"
        return self.finding.message.rstrip(".")


def check_gates(plan: Plan, artifacts: Artifacts) -> dict[str, list[Miss]]:
    """Every gate of every recipe, against the artifacts that it made: by artifact, those that do not pass."""
    return {
        action.name: misses
        for action in plan.actions
        if action.name in artifacts.artifacts
        if (misses := _misses(action, artifacts.artifacts[action.name]))
    }


def of_runs(fleets: Iterable[Fleet], missed: Mapping[str, list[Miss]]) -> list[Diagnostic]:
    """What artifacts do not pass that some run has; a choice has others, and dropped these."""
    used = {run.artifact for fleet in fleets for cohort in fleet.cohorts for run in cohort.runs}
    return [miss.finding for name, misses in missed.items() if name in used for miss in misses]


def _misses(action: Action, artifact: Artifact) -> list[Miss]:
    return [Miss(gate, one) for gate in action.recipe.gates for one in _check(gate, artifact, action.model)]


def held(gates: tuple[Gate, ...], artifact: Artifact) -> dict[str, float]:
    """The gates on machine-dependent metrics that the artifact passed here: `tokensPerSecond.min` → limit.

    The lock keeps them, so that a compile that measures nothing can decide them.
    """
    return {
        _key(gate): gate.limit
        for gate in gates
        if gate.metric in MACHINE
        and (value := _machine_values(artifact)[gate.metric]) is not None
        and _keeps(gate, value)
    }


def _check(gate: Gate, artifact: Artifact, model: Model) -> list[Diagnostic]:
    if finding := _impossible(gate, model):
        return [finding]
    if METRICS[gate.metric].sample is not None:
        return _check_figure(gate, artifact, model)
    value = _machine_values(artifact)[gate.metric]
    if value is None:
        foreign = converted(file.name for file in artifact.files)
        return [] if _was_held(gate, artifact) else [_foreign(gate, artifact, foreign) or _unmeasured(gate, artifact)]
    return [] if _keeps(gate, value) else [_failed(gate, artifact, value)]


def _check_figure(gate: Gate, artifact: Artifact, model: Model) -> list[Diagnostic]:
    figure = artifact.quality.figures.get(gate.metric)
    if figure is None:
        if gate.metric == "taskAccuracy" and not artifact.quality.samples.get("prompts"):
            return [_no_prompts(gate, model.evaluation_data)]
        foreign = unevaluated(model.task, (file.name for file in artifact.files))
        return [_foreign(gate, artifact, foreign) or _unknown(gate, artifact)]
    if not _keeps(gate, figure.value):
        return [_failed(gate, artifact, figure.value)]
    worst = figure.high if gate.bound == "max" else figure.low
    if worst is None:
        return [_too_few(gate, artifact, figure.value)]
    return [] if _keeps(gate, worst) else [_too_close(gate, artifact, figure, worst)]


def _machine_values(artifact: Artifact) -> Mapping[str, float | None]:
    speed = artifact.speed
    return {
        "size": artifact.size,
        "tokensPerSecond": speed.tokens_per_second if speed else None,
        "latency": speed.latency if speed else None,
        "peakMemory": speed.peak_memory if speed else None,
    }


def _keeps(gate: Gate, value: float) -> bool:
    """NaN keeps no limit."""
    if math.isnan(value):
        return False
    return value <= gate.limit if gate.bound == "max" else value >= gate.limit


def _was_held(gate: Gate, artifact: Artifact) -> bool:
    """Whether the build that made the lock held this limit or a stricter one."""
    limit = artifact.held_gates.get(_key(gate))
    return limit is not None and (limit <= gate.limit if gate.bound == "max" else limit >= gate.limit)


def _key(gate: Gate) -> str:
    return f"{gate.metric}.{gate.bound}"


def _impossible(gate: Gate, model: Model) -> Diagnostic | None:
    """A metric that the model's task does not have; all of a share, which no sample shows."""
    metric = METRICS[gate.metric]
    if model.task not in metric.tasks:
        those = ", ".join(f"`{name}`" for name, one in METRICS.items() if model.task in one.tasks)
        message = f"`{gate.metric}` is no metric of {model.task}, which is what `{model.id}` is for."
        return Diagnostic(Code.IMPOSSIBLE_GATE, message, gate.place, help=f"The metrics of {model.task} are {those}.")
    if metric.share and gate.bound == "min" and gate.limit >= 1:
        message = f"No sample can show that `{gate.metric}` is {show_ratio(gate.limit)}, even one without an exception."
        return Diagnostic(Code.IMPOSSIBLE_GATE, message, gate.place, help="Ask for a little less, such as 99.5%.")
    return None


def _no_prompts(gate: Gate, data: str) -> Diagnostic:
    return Diagnostic(
        Code.IMPOSSIBLE_GATE,
        f"`taskAccuracy` is measured on lines with a `prompt`, and `{data}` has none.",
        gate.place,
        help='Add some: {"prompt": "…", "answer": "…"}, or {"prompt": "…", "choices": ["…", "…"], "answer": 0}.',
    )


def _failed(gate: Gate, artifact: Artifact, value: float) -> Diagnostic:
    return Diagnostic(
        Code.GATE_FAILED,
        f"`{gate.metric}` of `{artifact.name}` is {_show(gate.metric, value)}; {_wanted(gate)}.",
        gate.place,
        help="Nothing was written. Choose another recipe, or another limit if this result is good enough.",
    )


def _unmeasured(gate: Gate, artifact: Artifact) -> Diagnostic:
    return Diagnostic(
        Code.GATE_UNDECIDED,
        f"`{gate.metric}` of `{artifact.name}` is not known here, and the lock holds no build that kept this limit.",
        gate.place,
        help="Run `slmc compile` on a machine that builds, without `--locked` or `--check`.",
    )


def _foreign(gate: Gate, artifact: Artifact, file: str | None) -> Diagnostic | None:
    """What there is to say when `file` is of another runtime, for which nothing here takes this measure."""
    if file is None:
        return None
    return Diagnostic(
        Code.GATE_UNDECIDED,
        f"`{gate.metric}` of `{artifact.name}` is not measured here: it is no ONNX model (`{file}`).",
        gate.place,
        help="Leave the gate out of this recipe; `size` is known of every format.",
    )


def _unknown(gate: Gate, artifact: Artifact) -> Diagnostic:
    baseline, metric = artifact.quality.baseline, METRICS[gate.metric]
    if baseline != SOURCE and metric.compared:
        message = f"is not known: `{baseline}`, which is deployed, is not in the store or has another tokenizer."
        help = "Compile where the store has that artifact, or compare with the model as it came: `baseline: source`."
    else:
        message = f"cannot be measured on {_sample(gate, artifact)}."
        help = f"Add {metric.sample} to the model's evaluation data."
    return Diagnostic(Code.GATE_UNDECIDED, f"`{gate.metric}` of `{artifact.name}` {message}", gate.place, help=help)


def _too_few(gate: Gate, artifact: Artifact, value: float) -> Diagnostic:
    metric = METRICS[gate.metric]
    return Diagnostic(
        Code.GATE_UNDECIDED,
        f"`{gate.metric}` of `{artifact.name}` is {_show(gate.metric, value)}, but {_sample(gate, artifact)} are too "
        f"few to give it an interval of confidence; {_wanted(gate)}.",
        gate.place,
        help=f"It takes {metric.enough} {metric.sample} at least, and more where they are alike. {_MORE}",
    )


def _too_close(gate: Gate, artifact: Artifact, figure: Figure, worst: float) -> Diagnostic:
    """The interval shrinks with the square root of the sample."""
    margin, size = abs(gate.limit - figure.value), artifact.quality.samples[METRICS[gate.metric].sample or ""]
    if margin:
        more = _rounded_up(size * (abs(worst - figure.value) / margin) ** 2 - size)
        help = f"About {more:,} more {METRICS[gate.metric].sample} would decide, if the value stays. {_MORE}"
    else:
        help = "The value is the limit itself, which no sample decides. Choose another recipe, or another limit."
    low, high = (_show(gate.metric, bound) if bound is not None else "?" for bound in (figure.low, figure.high))
    return Diagnostic(
        Code.GATE_UNDECIDED,
        f"`{gate.metric}` of `{artifact.name}` is {_show(gate.metric, figure.value)} on {_sample(gate, artifact)}, and "
        f"with 95 % confidence between {low} and {high}; {_wanted(gate)}.",
        gate.place,
        help=help,
    )


_MORE = "Add evaluation data, raise `maxTokens`, or choose another limit."


def _rounded_up(count: float) -> int:
    """To two digits."""
    step: int = 10 ** max(0, len(str(int(count))) - 2)
    return max(1, math.ceil(count / step) * step)


def _sample(gate: Gate, artifact: Artifact) -> str:
    unit = METRICS[gate.metric].sample or ""
    return f"{artifact.quality.samples.get(unit, 0):,} {unit}"


def _wanted(gate: Gate) -> str:
    than = "at most" if gate.bound == "max" else "at least"
    return f"the gate wants {than} {_show(gate.metric, gate.limit)}"


def _show(metric: str, value: float) -> str:
    """With the metric's unit, and digits enough to tell a value from its limit."""
    if metric in ("size", "peakMemory"):
        return f"{show_bytes(round(value))} ({round(value)} bytes)"
    if METRICS[metric].share:
        return f"{show_ratio(value)} ({value:.10g})"
    units = {"klDivergence": " nats", "klDivergenceP99": " nats", "tokensPerSecond": " tokens/s", "latency": " ms"}
    return f"{value:.10g}{units.get(metric, '')}"
