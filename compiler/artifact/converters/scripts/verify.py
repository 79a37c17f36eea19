"""Compare what a converted model gives with what the original gave."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .exchange import Refused

TEXTS = (
    "Press the green button to start the machine.",
    "How do I import a module in Python?",
    "Die Lieferung kommt am Dienstag um 9:30 Uhr.",
    "Yes",
    "The pump stopped after the filter was changed. Pressure fell to zero within a minute, and no alarm was heard. We "
    "closed the valve by hand, waited for ten minutes, opened it again and saw the same thing happen a second time.",
    "def area(width, height):\n    return width * height",
)
"""Short and long, prose and code: none is longer than 128 tokens in usual vocabularies."""

LEAST = {"fp32": 0.999, "fp16": 0.999, "int8": 0.99, "int4": 0.9}
"""The mean cosine below which a conversion is taken for broken. How good is good enough is for the recipe's gates."""


def compare(expected: Sequence[Any], found: Sequence[Any], precision: str, runtime: str) -> dict[str, Any]:
    """The cosine of each pair, as part of a step's report. Raises Refused for one below LEAST."""
    cosines = [cosine(one, other) for one, other in zip(expected, found, strict=True)]
    mean, worst = sum(cosines) / len(cosines), min(cosines)
    # Not `mean < …`: that is false of NaN.
    if not mean >= LEAST[precision]:
        raise Refused(
            f"what it made gives other values than the original in {runtime}: mean cosine {mean:.4f} over "
            f"{len(cosines)} texts, where `{precision}` needs {LEAST[precision]}."
        )
    return {"runtime": runtime, "texts": len(cosines), "cosineMean": round(mean, 6), "cosineMin": round(worst, 6)}


def check_smaller(before: int, after: int) -> None:
    """Raise Refused when weights that should take half the bytes or less hardly became smaller."""
    if after > 0.7 * before:
        raise Refused(f"its weights took {before} bytes and still take {after}: the converter found nothing to do.")


def cosine(one: Any, other: Any) -> float:
    """Of two arrays of any shape; 1 for two of zeros."""
    a, b = np.asarray(one, np.float64).ravel(), np.asarray(other, np.float64).ravel()
    if not a.any() and not b.any():
        return 1.0
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))
