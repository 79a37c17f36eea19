"""Classification of labelled texts: accuracy, macro F1, agreement with a reference."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from compiler.artifact.evaluation.finite import not_finite
from compiler.artifact.evaluation.metrics import TEXT_CLASSIFICATION
from compiler.artifact.evaluation.request import Figures, Request, interval, result
from compiler.artifact.evaluation.statistics import REPLICATES, Interval, percentiles, wilson
from compiler.artifact.evaluation.taken import taken
from compiler.artifact.evaluation.texts import Entry
from compiler.artifact.inference.encoder import Encoder
from compiler.artifact.reason import reason

LABELS = "config.json"
"""Of the model's folder: `id2label` has its labels' names, as Hugging Face's libraries write them."""

_SEED = 0x5EED
_VALUES_AT_ONCE = 2**20


@dataclass(slots=True)
class _Candidate:
    scores: Iterator[Any] | None = None
    confusion: Any = None
    """Labels × labels: texts of the row's label that got the column's."""
    agreed: int = 0
    failed: str | None = None

    def fail(self, why: str) -> None:
        self.failed, self.scores = why, None


def measure(request: Request) -> dict[str, Any]:
    """All figures of all candidates, on the same texts; see `evaluate`."""
    names = label_names(request.reference)
    others = [_open(path, request) for path in request.candidates]
    confusion, count = np.zeros((0, 0), np.int64), 0
    for entry, scores in zip(taken(request, TEXT_CLASSIFICATION), _scores(request.reference, request), strict=True):
        if not np.isfinite(scores).all():
            raise not_finite("its scores are not finite numbers", request.reference)
        if not count:
            confusion = np.zeros((len(scores), len(scores)), np.int64)
            for other in others:
                other.confusion = np.zeros_like(confusion)
        truth, count = _number(entry, names, len(scores)), count + 1
        confusion[truth, scores.argmax()] += 1
        for other in others:
            _add(other, truth, scores)
    if not count:
        return {"samples": {}}
    return result({"texts": count}, _own(confusion), [other.failed or _figures(other) for other in others])


def label_names(folder: Path) -> dict[int, str]:
    """By number; empty when the model does not say."""
    try:
        found = json.loads((folder / LABELS).read_bytes())["id2label"]
        return {int(number): str(name) for number, name in found.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _number(entry: Entry, names: dict[int, str], labels: int) -> int:
    """Of the text's label. Raises ValueError."""
    label = entry.label
    if isinstance(label, str):
        number = next((number for number, name in names.items() if name == label), -1)
        if not names:
            raise ValueError(f"a text has the label `{label}`, and no `id2label` in `{LABELS}` says its number")
    else:
        number = -1 if label is None else label
    if not 0 <= number < labels:
        raise ValueError(f"a text has the label `{label}`, which is none of the model's {labels}")
    return number


def _scores(folder: Path, request: Request) -> Iterator[Any]:
    return Encoder(folder, request.threads).scores(
        entry.text for entry in taken(request, TEXT_CLASSIFICATION) if entry.text is not None
    )


def _open(folder: Path, request: Request) -> _Candidate:
    try:
        return _Candidate(_scores(folder, request))
    except Exception as error:
        return _Candidate(failed=reason(error))


def _add(other: _Candidate, truth: int, expected: Any) -> None:
    if other.scores is None:
        return
    try:
        found = next(other.scores)
    except Exception as error:
        other.fail(reason(error))
        return
    if found.shape != expected.shape:
        other.fail(f"it has {len(found)} labels, and what it is compared with {len(expected)}")
    elif not np.isfinite(found).all():
        other.fail("its scores are not finite numbers")
    else:
        other.confusion[truth, found.argmax()] += 1
        other.agreed += int(found.argmax() == expected.argmax())


def _own(confusion: Any) -> Figures:
    count = int(confusion.sum())
    share = float(np.trace(confusion)) / count
    return {"accuracy": interval(share, wilson(share, count)), "f1": interval(*macro_f1(confusion))}


def _figures(other: _Candidate) -> Figures:
    count = int(other.confusion.sum())
    share = other.agreed / count
    return {**_own(other.confusion), "labelAgreement": interval(share, wilson(share, count))}


def macro_f1(confusion: Any) -> tuple[float, Interval]:
    """The mean of the F1 of every label that a text has or gets, with its interval.

    To draw texts with replacement is to draw from the cells of the confusion matrix.
    """
    count = int(confusion.sum())
    value = float(_macro_f1(confusion[None].astype(np.float64))[0])
    if count < 2:
        return value, (None, None)
    generator = np.random.Generator(np.random.PCG64(_SEED))
    used = np.flatnonzero(confusion.sum(axis=0) + confusion.sum(axis=1))
    cells = confusion[np.ix_(used, used)]
    step = max(1, _VALUES_AT_ONCE // cells.size)
    drawn = []
    for start in range(0, REPLICATES, step):
        found = generator.multinomial(count, cells.ravel() / count, size=min(step, REPLICATES - start))
        drawn.append(_macro_f1(found.reshape(-1, *cells.shape).astype(np.float64)))
    return value, percentiles(np.concatenate(drawn), count)


def _macro_f1(confusion: Any) -> Any:
    """Of each matrix in a stack. F1 = 2 TP / (row + column)."""
    right = np.diagonal(confusion, axis1=1, axis2=2)
    both = confusion.sum(axis=1) + confusion.sum(axis=2)
    there = both > 0
    scores = np.divide(2 * right, both, out=np.zeros_like(both), where=there)
    return scores.sum(axis=1) / there.sum(axis=1)
