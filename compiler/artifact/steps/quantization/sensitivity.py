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

from compiler.artifact.graph.weights import Source
from compiler.artifact.steps.quantization.blockwise import rounding
from compiler.artifact.steps.quantization.blockwise.scheme import Buffers, Scheme
from compiler.artifact.steps.quantization.calibration import Calibration
from compiler.artifact.steps.quantization.likeness import Metric, damage
from compiler.artifact.steps.quantization.matrices import Product

TEXTS = 8
"""That are enough to rank matrices by."""

_ROWS = 256
"""Tokens that products are measured on, taken evenly from the texts."""

_COLUMNS = 1024
"""That are worked on at a time."""


def of_answers(
    source: Source,
    chosen: Sequence[Product],
    runs: Calibration,
    metric: Metric,
    scheme: Scheme,
    tell: Callable[[float], None],
) -> dict[str, float]:
    """By weight: what rounding it does to the value of `runs`, which is what the model answers; see `damage`."""
    [name] = runs.values
    truth = list(runs)
    weights = {product.weight: product for product in chosen}
    found: dict[str, float] = {}
    for number, (weight, product) in enumerate(weights.items(), 1):
        rounded = restored(_matrix(source, product), scheme)
        runs.instead = {weight: np.ascontiguousarray(rounded.T if product.transposed else rounded)}
        found[weight] = max(0.0, damage(metric, name, truth, runs))
        tell(number / len(weights))
    return found


def of_products(
    source: Source, chosen: Sequence[Product], runs: Iterable[Mapping[str, Any]], scheme: Scheme
) -> dict[str, float]:
    """By weight: relative error of its product, in squares; of a matrix that is used twice, the larger.

    `runs` give the inputs of the products.
    """
    inputs = _sampled(runs)
    found: dict[str, float] = {}
    for product in chosen:
        added, exact = error(_matrix(source, product), inputs[product.input], scheme)
        found[product.weight] = max(found.get(product.weight, 0.0), added / exact if exact else 0.0)
    return found


def restored(matrix: Any, scheme: Scheme) -> Any:
    """A matrix, K × N of float32, as a product sees it that has it in blocks. Raises NotFinite."""
    made = np.empty(matrix.shape, np.float32)
    for start in range(0, matrix.shape[1], _COLUMNS):
        made[:, start : start + _COLUMNS] = _restored(matrix[:, start : start + _COLUMNS], scheme)
    return made


def error(matrix: Any, inputs: Any, scheme: Scheme) -> tuple[float, float]:
    """Squares summed over tokens × K `inputs` times K × N `matrix`: of what quantizing adds, and of the product.

    Raises NotFinite.
    """
    added = exact = 0.0
    for start in range(0, matrix.shape[1], _COLUMNS):
        part = matrix[:, start : start + _COLUMNS]
        added += float(np.square(inputs @ (_restored(part, scheme) - part), dtype=np.float64).sum())
        exact += float(np.square(inputs @ part, dtype=np.float64).sum())
    return added, exact


def _restored(part: Any, scheme: Scheme) -> Any:
    rows, columns = part.shape
    padded = np.zeros((scheme.blocks(rows), scheme.block_size, columns), np.float32)
    padded.reshape(-1, columns)[:rows] = part
    return rounding.quantize(padded, scheme, np.float32, Buffers()).restored(rows)


def _matrix(source: Source, product: Product) -> Any:
    """The constant factor, K × N."""
    whole = source.array(product.matrix.tensor)
    return whole.T if product.transposed else whole


def _sampled(runs: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Some rows of each value."""
    found: dict[str, list[Any]] = {}
    for run in runs:
        for name, value in run.items():
            places = np.unique(np.linspace(0, len(value) - 1, _ROWS // TEXTS).astype(np.int64))
            found.setdefault(name, []).append(value[places])
    return {name: np.concatenate(parts) for name, parts in found.items()}
