"""How much a candidate's answers are like the model's own, on calibration texts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import numpy as np

from compiler.artifact.inference.encoder import POOLED
from compiler.artifact.steps.step import Refused

Metric = Literal["klDivergence", "cosine"]
Runs = Iterable[Mapping[str, Any]]


def answer(model: Any, metric: Metric) -> str:
    """The output that `metric` is about. Raises Refused if the graph has none."""
    names = [value.name for value in model.graph.output]
    if metric == "klDivergence":
        if "logits" not in names:
            raise Refused(f"`target.klDivergence` is for graphs with an output `logits`; this one has `{names[0]}`.")
        return "logits"
    if "logits" in names:
        raise Refused("`target.cosine` is for graphs that give embeddings; this one has an output `logits`.")
    return next((name for name in POOLED if name in names), names[0])


def metric_of(model: Any) -> Metric:
    """The metric that suits what the graph gives."""
    return "klDivergence" if any(value.name == "logits" for value in model.graph.output) else "cosine"


def damage(metric: Metric, name: str, original: Runs, candidate: Runs) -> float:
    """The same whatever the metric: 0 for answers that are alike, the larger the less they are."""
    found = likeness(metric, name, original, candidate)
    return 1 - found if metric == "cosine" else found


def likeness(metric: Metric, name: str, original: Runs, candidate: Runs) -> float:
    """Mean KL(original ‖ candidate) over positions, in nats; or the mean cosine of the texts' vectors."""
    found: list[float] = []
    for one, other in zip(original, candidate, strict=True):
        left, right = one[name].astype(np.float64), other[name].astype(np.float64)
        if metric == "cosine":
            left, right = left.mean(axis=0), right.mean(axis=0)
            found.append(float(left @ right / (np.linalg.norm(left) * np.linalg.norm(right))))
        else:
            before, after = _log_shares(left), _log_shares(right)
            found += np.sum(np.exp(before) * (before - after), axis=1).tolist()
    return float(np.mean(found))


def _log_shares(logits: Any) -> Any:
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
