"""Ranges of values, as calibration finds them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from compiler.artifact.steps.quantization.ranges import Range, extremes, ranges


def _runs(values: Any, parts: int = 4) -> list[dict[str, Any]]:
    return [{"x": part.astype(np.float32)} for part in np.split(values, parts)]


def test_extremes_are_of_all_runs_and_each_channel() -> None:
    runs = [{"x": np.array([[1, -2], [3, 4]])}, {"x": np.array([[-5, 0]])}]
    found = extremes(runs)["x"]
    assert (found.low.tolist(), found.high.tolist()) == ([-5, -2], [3, 4])


@pytest.mark.parametrize("percentile", [90, 99.9])
def test_percentile_cuts_both_tails(percentile: float) -> None:
    values = np.random.default_rng(2).gamma(2, size=(4000, 8)) - 1
    runs = _runs(values)
    found = ranges(runs, extremes(runs), "percentile", percentile, 128)["x"]
    bin_width = (values.max() - values.min()) / 2048
    tail = (100 - percentile) / 2
    assert found.low == pytest.approx(np.percentile(values, tail), abs=2 * bin_width)
    assert found.high == pytest.approx(np.percentile(values, 100 - tail), abs=2 * bin_width)


def test_entropy_clips_rare_outliers_and_nothing_of_even_values() -> None:
    draw = np.random.default_rng(3)
    rare = draw.standard_normal((4000, 8))
    rare[::400] *= 40
    even = draw.uniform(-1, 2, (4000, 8))
    for values, low, high in ((rare, 2.5, float(np.abs(rare).max()) / 2), (even, 2 - 2 / 256, 2.0)):
        runs = _runs(values)
        found = ranges(runs, extremes(runs), "entropy", 99.99, 128)["x"]
        assert low < found.high <= high
    many = _runs(rare)
    whole = ranges(many, extremes(many), "minmax", 99.99, 128)
    assert ranges(many, extremes(many), "entropy", 99.99, 32768) == whole


@pytest.mark.parametrize(
    ("found", "scale", "zero"),
    [
        (Range(-1, 3), 4 / 255, 64),
        (Range(1, 5.1), 0.02, 0),
        (Range(-5.1, -1), 0.02, 255),
        (Range(0, 0), 1, 0),
    ],
)
def test_zero_is_always_exact(found: Range, scale: float, zero: int) -> None:
    assert found.integers(0, 255) == (np.float32(scale), zero)
