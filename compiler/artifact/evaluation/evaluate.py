"""Measure artifacts of one model, by its task, and derive their golden answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from compiler.artifact.evaluation import embeddings, golden, text_classification, text_generation
from compiler.artifact.evaluation.metrics import EMBEDDINGS, TEXT_CLASSIFICATION, TEXT_GENERATION, unevaluated
from compiler.artifact.evaluation.request import Request
from compiler.artifact.reason import reason

_TASKS: Mapping[str, Callable[[Request], dict[str, Any]]] = {
    TEXT_GENERATION: text_generation.measure,
    EMBEDDINGS: embeddings.measure,
    TEXT_CLASSIFICATION: text_classification.measure,
}


def evaluate(task: str, asked: Request) -> Any:
    """Measure every candidate beside the reference on the same data.

    Gives `samples` (by unit how many; empty when nothing can be measured), the figures of the `reference` by itself,
    and for each of `candidates` its `figures` (by metric: value, low, high; see `metrics`) and `golden` answers, or why
    it `failed`. A candidate that no runtime here runs for this task has no figures. Only golden answers are rounded.
    Raises when the reference fails.
    """
    run = tuple(f for f in asked.candidates if unevaluated(task, (path.name for path in f.iterdir())) is None)
    request = replace(asked, candidates=run)
    found = _TASKS[task](request)
    results = dict(zip(run, found.get("candidates", []), strict=False))
    for folder, one in results.items():
        if "failed" not in one:
            try:
                one["golden"] = golden.derive(task, folder, request)
            except Exception as error:
                one.clear()
                one["failed"] = reason(error)
    if found["samples"]:
        found["candidates"] = [results.get(folder, {"figures": {}, "golden": None}) for folder in asked.candidates]
    return found
