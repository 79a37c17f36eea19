"""Embeddings beside those of a reference: cosines, the order of similarities, nearest neighbours.

One text after the other; only a bounded number of vectors is kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from compiler.artifact.evaluation import encoding
from compiler.artifact.evaluation.blocks import Blocks
from compiler.artifact.evaluation.finite import not_finite
from compiler.artifact.evaluation.metrics import EMBEDDINGS
from compiler.artifact.evaluation.request import Figures, Request, interval, result
from compiler.artifact.evaluation.statistics import Interval, bootstrap, percentiles, wilson
from compiler.artifact.evaluation.taken import taken
from compiler.artifact.reason import reason

NEIGHBOURS = 2048
"""Texts, the first ones, among which neighbours are looked for; their vectors are kept, as float32."""
PAIRED = 512
"""Texts, the first ones, of which all pairs are ranked."""

_REPLICATES = 400
"""Of rank correlations, which take time."""
_SEED = 0x5EED
_ROWS = 256
_COVERED, _SURE = 0.95, 0.95
"""Wilks, Annals of Mathematical Statistics 12 (1941): with 59 texts, at least 95 % of all texts fare no worse than the
one that fares worst, with 95 % confidence. With fewer the worst says little."""


@dataclass(slots=True)
class _Candidate:
    sums: Any
    """By block: texts, cosines."""
    vectors: Iterator[Any] | None = None
    least: float = np.inf
    kept: list[Any] = field(default_factory=list)
    failed: str | None = None

    def fail(self, why: str) -> None:
        self.failed, self.vectors = why, None
        self.kept.clear()


def measure(request: Request) -> dict[str, Any]:
    """All figures of all candidates, on the same texts; see `evaluate`."""
    blocks = Blocks.of(1 for _ in taken(request, EMBEDDINGS))
    if not blocks.positions:
        return {"samples": {}}
    others = [_open(path, request, blocks) for path in request.candidates]
    kept: list[Any] = []
    for number, vector in enumerate(_vectors(request.reference, request)):
        if not np.isfinite(vector).all():
            raise not_finite("its embeddings are not finite numbers", request.reference)
        if number < NEIGHBOURS:
            kept.append(vector.astype(np.float32))
        for other in others:
            _add(other, vector, int(blocks.at(number, 0, 1)[0]), number)
    reference = np.array(kept)
    return result({"texts": blocks.positions}, {}, [other.failed or _figures(reference, other) for other in others])


def _vectors(folder: Path, request: Request) -> Iterator[Any]:
    texts = (entry.text for entry in taken(request, EMBEDDINGS) if entry.text is not None)
    return encoding.embeddings(folder, request, texts)


def _open(folder: Path, request: Request, blocks: Blocks) -> _Candidate:
    made = _Candidate(np.zeros((blocks.count, 2)))
    try:
        made.vectors = _vectors(folder, request)
    except Exception as error:
        made.fail(reason(error))
    return made


def _add(other: _Candidate, expected: Any, block: int, number: int) -> None:
    if other.vectors is None:
        return
    try:
        vector = next(other.vectors)
        cosine = float(vector @ expected)
    except Exception as error:
        other.fail(reason(error))
        return
    if not np.isfinite(cosine):
        other.fail("its embeddings are not finite numbers")
        return
    other.sums[block] += (1.0, cosine)
    other.least = min(other.least, cosine)
    if number < NEIGHBOURS:
        other.kept.append(vector.astype(np.float32))


def _figures(reference: Any, other: _Candidate) -> Figures:
    texts, cosines = other.sums.sum(axis=0)
    mean = bootstrap(other.sums, lambda drawn: drawn[:, 1] / drawn[:, 0])
    sure = 1 - _COVERED**texts >= _SURE
    figures = {
        "cosineMean": interval(cosines / texts, mean),
        "cosineMin": interval(other.least, (other.least, other.least) if sure else (None, None)),
    }
    kept = np.array(other.kept)
    if len(kept) > 2:
        value, bounds = rank_correlation(reference[:PAIRED], kept[:PAIRED])
        figures["rankCorrelation"] = interval(value, bounds)
    if len(kept) > 1:
        share = float((neighbours(reference) == neighbours(kept)).mean())
        figures["neighbourAgreement"] = interval(share, wilson(share, len(kept)))
    return figures


def neighbours(vectors: Any) -> Any:
    """Of each unit vector, the number of the one nearest to it; of equally near ones the first."""
    found = []
    for start in range(0, len(vectors), _ROWS):
        similar = vectors[start : start + _ROWS] @ vectors.T
        rows = np.arange(len(similar))
        similar[rows, rows + start] = -np.inf
        found.append(similar.argmax(axis=1))
    return np.concatenate(found)


def rank_correlation(one: Any, other: Any) -> tuple[float, Interval]:
    """Spearman's, of the similarities of all pairs of the same texts in two sets of unit vectors.

    The texts, not the pairs, are resampled: a pair counts as often as both its texts are drawn, times each other.
    """
    rows, columns = np.triu_indices(len(one), 1)
    pairs = [(vectors @ vectors.T)[rows, columns].astype(np.float64) for vectors in (one, other)]
    value = _correlation(_ranks(pairs[0]), _ranks(pairs[1]), np.ones(len(rows)))
    orders = [np.argsort(similar, kind="stable") for similar in pairs]
    generator = np.random.Generator(np.random.PCG64(_SEED))
    drawn = []
    for counts in generator.multinomial(len(one), np.full(len(one), 1 / len(one)), size=_REPLICATES):
        weights = (counts[rows] * counts[columns]).astype(np.float64)
        first, second = (_weighted_ranks(order, weights) for order in orders)
        drawn.append(_correlation(first, second, weights))
    return value, percentiles(np.array(drawn), len(one))


def _ranks(values: Any) -> Any:
    """From 1 on; equal values share the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (ends - (counts - 1) / 2)[inverse]


def _weighted_ranks(order: Any, weights: Any) -> Any:
    sorted_weights = weights[order]
    ranks = np.empty(len(order))
    ranks[order] = np.cumsum(sorted_weights) - sorted_weights / 2
    return ranks


def _correlation(one: Any, other: Any, weights: Any) -> float:
    """Pearson's, weighted; NaN where nothing varies."""
    total = weights.sum()
    if not total:
        return float("nan")
    a, b = one - (weights @ one) / total, other - (weights @ other) / total
    scale = float(np.sqrt((weights @ a**2) * (weights @ b**2)))
    return float(weights @ (a * b)) / scale if scale else float("nan")
