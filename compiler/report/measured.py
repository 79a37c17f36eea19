"""Tables of what was measured of artifacts, before → after: one for each task, with columns for its metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from compiler.artifact.artifact import SOURCE, Artifact, Artifacts, Figure, Original, Speed
from compiler.artifact.evaluation.metrics import EMBEDDINGS, METRICS, TASKS, TEXT_CLASSIFICATION, TEXT_GENERATION
from compiler.base.units import show_bytes, show_ratio
from compiler.fleet.graph import Model
from compiler.plan.actions import Action, Plan
from compiler.report.table import table

_UNKNOWN = "-"

Figures = Mapping[str, Figure]


@dataclass(frozen=True, slots=True)
class _Column:
    """`metric` is shown with its interval; a column that no row has a figure for is left out when `seldom`."""

    header: str
    metric: str
    show: Callable[[Figures, str], str]
    seldom: bool = False


def _number(figures: Figures, metric: str) -> str:
    """`0.00396 ±0.00031`: the larger side of the interval."""
    figure, decimals = figures[metric], METRICS[metric].decimals
    half = _half(figure)
    return f"{figure.value:.{decimals}f}" + ("" if half is None else f" ±{half:.{decimals}f}")


def _share(figures: Figures, metric: str) -> str:
    figure = figures[metric]
    half = _half(figure)
    return show_ratio(figure.value) + ("" if half is None else f" ±{100 * half:.1f}")


def _perplexity(figures: Figures, metric: str) -> str:
    """With its ratio, whose interval is that of the difference."""
    ratio = f" (×{_number(figures, 'perplexityRatio')})" if "perplexityRatio" in figures else ""
    return f"{figures[metric].value:.3f}{ratio}"


def _half(figure: Figure) -> float | None:
    if figure.low is None or figure.high is None:
        return None
    return max(figure.value - figure.low, figure.high - figure.value)


_COLUMNS: Mapping[str, tuple[_Column, ...]] = {
    TEXT_GENERATION: (
        _Column("perplexity", "perplexity", _perplexity),
        _Column("KL", "klDivergence", _number),
        _Column("KL p99", "klDivergenceP99", _number),
        _Column("top-1", "topOneAgreement", _share),
        _Column("tasks", "taskAccuracy", _share, seldom=True),
    ),
    EMBEDDINGS: (
        _Column("cosine", "cosineMean", _number),
        _Column("worst", "cosineMin", lambda figures, metric: f"{figures[metric].value:.5f}"),
        _Column("ranks", "rankCorrelation", _number),
        _Column("neighbours", "neighbourAgreement", _share),
    ),
    TEXT_CLASSIFICATION: (
        _Column("accuracy", "accuracy", _share),
        _Column("F1", "f1", _number),
        _Column("agreement", "labelAgreement", _share),
    ),
}


def artifacts_text(plan: Plan, artifacts: Artifacts) -> str:
    """A table for each task, and where the figures come from."""
    tables = []
    for task in TASKS:
        actions = [a for a in plan.actions if a.model.task == task and a.name in artifacts.artifacts]
        if actions:
            tables.append(_task_text(task, actions, artifacts))
    return "\n".join(tables) + "".join(f"{line}\n" for line in _provenance(plan, artifacts))


def _task_text(task: str, actions: list[Action], artifacts: Artifacts) -> str:
    made = [artifacts.artifacts[action.name] for action in actions]
    columns = [c for c in _COLUMNS[task] if not c.seldom or any(c.metric in a.quality.figures for a in made)]
    rows = []
    for id in sorted({action.model.id for action in actions}):
        original = artifacts.originals.get(id)
        if original:
            head = [f"{original.model} as it came", show_bytes(original.size)]
            rows.append([*head, *_cells(columns, original.figures, ""), *_speed(task, original.speed)])
        for artifact in (artifact for artifact in made if artifact.model == id):
            head = [f"→ {artifact.recipe}", _size(artifact, original)]
            speed = _speed(task, artifact.speed, original.speed if original else None)
            rows.append([*head, *_cells(columns, artifact.quality.figures, _UNKNOWN), *speed])
    pace = "tokens/s" if task == TEXT_GENERATION else "ms"
    header = ["artifact", "size", *(column.header for column in columns), pace, "peak memory"]
    return table(header, rows, right=range(1, len(header)))


def _cells(columns: Iterable[_Column], figures: Figures, otherwise: str) -> list[str]:
    return [column.show(figures, column.metric) if column.metric in figures else otherwise for column in columns]


def _size(artifact: Artifact, original: Original | None) -> str:
    size = show_bytes(artifact.size)
    return f"{size} ({show_ratio(artifact.size / original.size)})" if original else size


def _speed(task: str, speed: Speed | None, before: Speed | None = None) -> list[str]:
    """Tokens per second, or milliseconds for one text, with the ratio to that of before; and peak memory."""
    if speed is None:
        return [_UNKNOWN, _UNKNOWN]
    value, earlier, digits = speed.tokens_per_second, before and before.tokens_per_second, 0
    if task != TEXT_GENERATION:
        value, earlier, digits = speed.latency, before and before.latency, 1
    ratio = f" (×{value / earlier:.2f})" if value and earlier else ""
    return [_UNKNOWN if value is None else f"{value:.{digits}f}{ratio}", show_bytes(speed.peak_memory)]


def _provenance(plan: Plan, artifacts: Artifacts) -> list[str]:
    """Where the figures come from."""
    measured = {
        _measured(action.model, artifacts.artifacts[action.name])
        for action in plan.actions
        if action.name in artifacts.artifacts
    }
    lines = [f"Quality: measured on {line}." for line in sorted(measured)]
    if any(_half(figure) for artifact in artifacts.artifacts.values() for figure in artifact.quality.figures.values()):
        lines.append("± is the 95 % confidence interval that the size of the sample allows.")
    hosts = {artifact.speed.host for artifact in artifacts.artifacts.values() if artifact.speed}
    lines += [
        f"Speed and peak memory: measured on this build machine ({host}), not on a device." for host in sorted(hosts)
    ]
    if not hosts:
        lines.append("Speed and peak memory: unknown here; they belong to the machine that builds.")
    return lines


def _measured(model: Model, artifact: Artifact) -> str:
    quality = artifact.quality
    sample = " and ".join(f"{count} {unit}" for unit, count in sorted(quality.samples.items(), reverse=True))
    against = "the model as it came"
    if quality.baseline != SOURCE:
        compared = any(METRICS[name].compared for name in quality.figures)
        digest = quality.baseline.removeprefix("sha256:")[:12]
        against = f"the artifact that was deployed ({digest})" + ("" if compared else ", which is not in the store")
    return f"{sample} of {model.evaluation_data}, against {against}"
