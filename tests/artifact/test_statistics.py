"""Intervals against tables and formulas, and how often they hold the truth."""

from __future__ import annotations

import numpy as np
import pytest

from compiler.artifact.evaluation.blocks import Blocks
from compiler.artifact.evaluation.statistics import (
    Tail,
    bootstrap,
    effective_size,
    percentiles,
    share_interval,
    student,
    wilson,
)


@pytest.mark.parametrize(
    ("degrees", "table"), [(2, 4.303), (3, 3.182), (5, 2.571), (10, 2.228), (30, 2.042), (120, 1.980)]
)
def test_student_s_quantiles_are_those_of_the_table(degrees: int, table: float) -> None:
    assert student(degrees) == pytest.approx(table, rel=0.01)


@pytest.mark.parametrize(
    ("hits", "size", "low", "high"),
    [
        # Newcombe, Statistics in Medicine 17 (1998), table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_s_interval_is_that_of_the_literature(hits: int, size: int, low: float, high: float) -> None:
    assert wilson(hits / size, size) == pytest.approx((low, high), abs=1e-4)


def test_blocks_of_equal_cases_tell_as_much_as_one_case_each() -> None:
    sizes = np.full(200, 50.0)
    alike = np.where(np.arange(200) % 4 == 0, 0.0, 50.0)
    few = effective_size(alike, sizes)
    assert few == pytest.approx(200, rel=0.03)
    mixed = effective_size(np.full(200, 37.0), sizes)  # less than chance differs between blocks: no bonus for that
    assert mixed == pytest.approx(200 * 50, rel=0.03)
    assert effective_size(np.array([40.0]), np.array([50.0])) is None
    assert share_interval(np.array([40.0]), np.array([50.0])) == (None, None)


def test_bootstrap_of_a_mean_has_the_width_of_its_standard_error() -> None:
    values = np.random.default_rng(4).normal(10, 2, 400)
    low, high = bootstrap(np.stack([values, np.ones(400)], axis=1), lambda drawn: drawn[:, 0] / drawn[:, 1])
    error = values.std(ddof=1) / 20
    assert (low, high) == pytest.approx((values.mean() - 1.97 * error, values.mean() + 1.97 * error), abs=0.15 * error)


def test_bootstrap_of_few_units_is_wider_than_its_plain_percentiles() -> None:
    replicates = np.random.default_rng(0).normal(0, 1, 100_000)
    assert percentiles(replicates, 5) == pytest.approx((-3.10, 3.10), abs=0.06)  # 2.776 √(5/4)
    assert percentiles(replicates, 5000) == pytest.approx((-1.96, 1.96), abs=0.03)


def test_a_single_block_has_no_interval() -> None:
    assert bootstrap(np.ones((1, 2)), lambda drawn: drawn[:, 0]) == (None, None)


def test_intervals_of_clustered_samples_hold_the_truth_as_often_as_they_say() -> None:
    """300 samples of 25 windows of 40 tokens whose windows differ: ones that take tokens for independent hold it in a
    half of them."""
    draw = np.random.default_rng(11)
    held = {"share": 0, "mean": 0, "independent": 0}
    sizes = np.full(25, 40.0)
    for _ in range(300):
        hits = draw.binomial(40, draw.beta(8, 2, 25)).astype(np.float64)
        means = draw.normal(1, 0.5, 25) * 40 + draw.normal(0, np.sqrt(40), 25)
        low, high = share_interval(hits, sizes)
        held["share"] += low <= 0.8 <= high  # type: ignore[operator]
        low, high = bootstrap(np.stack([means, sizes], axis=1), lambda drawn: drawn[:, 0] / drawn[:, 1])
        held["mean"] += low <= 1 <= high  # type: ignore[operator]
        low, high = wilson(hits.sum() / 1000, 1000)
        held["independent"] += low <= 0.8 <= high
    assert held["share"] >= 275
    assert held["mean"] >= 275
    assert held["independent"] < 240


@pytest.mark.parametrize("count", [400, 40_000, 100_000])
def test_quantiles_of_a_long_stream_are_exact(count: int) -> None:
    values = np.random.default_rng(2).exponential(1, count)
    tail, blocks = Tail(count), np.arange(count) // (count // 100)
    for start in range(0, count, 97):
        tail.add(values[start : start + 97], blocks[start : start + 97])
    found, (low, high) = tail.quantile(0.99, np.full(100, count // 100))
    assert found == np.sort(values)[round(0.99 * count) - 1]
    assert low is not None
    assert high is not None
    assert low <= -np.log(0.01) <= high
    assert high - low < 5 / np.sqrt(0.01 * count)


def test_a_quantile_that_the_largest_value_may_fall_short_of_has_no_upper_bound() -> None:
    values = np.random.default_rng(2).exponential(1, 300)
    tail = Tail(300)
    tail.add(values, np.arange(300))
    found, (low, high) = tail.quantile(0.99, np.ones(300))
    assert found == np.sort(values)[296]
    assert high is None
    assert low is not None
    assert low < found


def test_windows_are_blocks_and_many_of_them_share_one() -> None:
    assert Blocks.of([511] * 30) == Blocks(30, 30 * 511, 1)
    assert Blocks.of([1] * 5000) == Blocks(1667, 5000, 3)
    assert Blocks.of([1] * 5000).at(4999, 0, 2).tolist() == [1666, 1666]


def test_few_windows_are_cut_into_parts() -> None:
    blocks = Blocks.of([130, 10])
    assert blocks == Blocks(4, 140, 1, (0, 3))
    assert blocks.at(0, 63, 3).tolist() == [0, 1, 1]
    assert blocks.at(1, 0, 2).tolist() == [3, 3]
