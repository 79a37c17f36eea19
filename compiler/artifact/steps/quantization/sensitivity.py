"""What 4 bits do to each matrix, alone.

Two measures. The exact one runs the model with one matrix rounded at a time and looks at its answers: the last matrix
of a decoder or the values of an encoder's last layer then stand out. The cheap one is the error that is added to the
matrix's own product, with values of the model's own: it knows nothing of what becomes of the error, and ranks worse. It
is for models that the exact one would take hours on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from compiler.artifact.steps.quantization.calibration import Calibration
from compiler.artifact.steps.quantization.likeness import Metric, damage
from compiler.artifact.steps.quantization.nbits import error, matrix, restored
from compiler.artifact.steps.quantization.products import Product
from compiler.artifact.weights import Source

TEXTS = 8
"""That are enough to rank matrices by."""

_ROWS = 256
"""Tokens that products are measured on, taken evenly from the texts."""


def of_answers(
    source: Source,
    chosen: Sequence[Product],
    runs: Calibration,
    metric: Metric,
    size: int,
    tell: Callable[[float], None],
) -> dict[str, float]:
    """By weight: what rounding it does to the value of `runs`, which is what the model answers; see `damage`.

    Raises Refused for weights that are not finite numbers.
    """
    [name] = runs.values
    truth = list(runs)
    weights = {product.weight: product for product in chosen}
    found: dict[str, float] = {}
    for number, (weight, product) in enumerate(weights.items(), 1):
        rounded = restored(matrix(source, product), 4, size)
        runs.instead = {weight: np.ascontiguousarray(rounded.T if product.transposed else rounded)}
        found[weight] = max(0.0, damage(metric, name, truth, runs))
        tell(number / len(weights))
    return found


def of_products(
    source: Source, chosen: Sequence[Product], runs: Iterable[Mapping[str, Any]], size: int
) -> dict[str, float]:
    """By weight: relative error of its product, in squares; of a matrix that is used twice, the larger.

    `runs` give the inputs of the products. Raises Refused for weights that are not finite numbers.
    """
    inputs = _sampled(runs)
    found: dict[str, float] = {}
    for product in chosen:
        added, exact = error(matrix(source, product), inputs[product.input], 4, size)
        found[product.weight] = max(found.get(product.weight, 0.0), added / exact if exact else 0.0)
    return found


def _sampled(runs: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Some rows of each value."""
    found: dict[str, list[Any]] = {}
    for run in runs:
        for name, value in run.items():
            places = np.unique(np.linspace(0, len(value) - 1, _ROWS // TEXTS).astype(np.int64))
            found.setdefault(name, []).append(value[places])
    return {name: np.concatenate(parts) for name, parts in found.items()}
