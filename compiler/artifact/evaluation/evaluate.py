"""Measure artifacts of one model, by its task, and derive their golden answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from compiler.artifact.evaluation import embeddings, golden, text_classification, text_generation
from compiler.artifact.evaluation.request import Request
from compiler.artifact.metrics import EMBEDDINGS, TEXT_CLASSIFICATION, TEXT_GENERATION
from compiler.artifact.reason import reason

_TASKS: Mapping[str, Callable[[Request], dict[str, Any]]] = {
    TEXT_GENERATION: text_generation.measure,
    EMBEDDINGS: embeddings.measure,
    TEXT_CLASSIFICATION: text_classification.measure,
}


def evaluate(task: str, reference: str, candidates: list[str], data: str, max_tokens: int, threads: int) -> Any:
    """Measure every candidate beside the reference on the same data.

    `reference` and `candidates` are model folders; the reference's tokenizer is used. Gives `samples` (by unit how
    many; empty when nothing can be measured), the figures of the `reference` by itself, and for each of `candidates`
    its `figures` (by metric: value, low, high; see `metrics`) and `golden` answers, or why it `failed`. Only golden
    answers are rounded. Raises when the reference fails.
    """
    request = Request(Path(reference), tuple(Path(path) for path in candidates), Path(data), max_tokens, threads)
    found = _TASKS[task](request)
    for folder, one in zip(request.candidates, found.get("candidates", []), strict=False):
        if "failed" not in one:
            try:
                one["golden"] = golden.derive(task, folder, request)
            except Exception as error:
                one.clear()
                one["failed"] = reason(error)
    return found
