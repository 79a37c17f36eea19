"""The bigram model, against probabilities worked out by hand."""

import math

import pytest

from training.baseline import DISCOUNTS, Bigrams, learn, mean_loss
from training.measure import Figures, figures, windows

VOCABULARY = 4
TEXTS = [[0, 1, 2, 1, 2], [0, 1, 1]]


@pytest.fixture
def bigrams() -> Bigrams:
    """Pairs: 0→1 twice, 1→2 twice, 2→1 once, 1→1 once. Token 3 is never seen."""
    learned = learn(TEXTS, [[0, 1]], VOCABULARY)
    return Bigrams(learned.pairs, learned.starts, learned.followers, learned.leaders, VOCABULARY, discount=0.5)


def test_a_probability_by_hand(bigrams: Bigrams) -> None:
    # Of four kinds of pairs three end in 1, one in 2; the discount frees 0.5 × 2 of 4 kinds, spread over 4 tokens.
    alone = (1 - 0.5) / 4 + 0.5 * 2 / 4 / 4
    assert bigrams.probability(1, 2) == pytest.approx((2 - 0.5) / 3 + 0.5 * 2 / 3 * alone, abs=1e-15)
    assert bigrams.probability(3, 2) == pytest.approx(alone, abs=1e-15)


@pytest.mark.parametrize("last", range(VOCABULARY))
def test_probabilities_sum_to_one(bigrams: Bigrams, last: int) -> None:
    assert math.fsum(bigrams.probability(last, token) for token in range(VOCABULARY)) == pytest.approx(1, abs=1e-12)


def test_the_loss_leaves_out_the_first_token(bigrams: Bigrams) -> None:
    expected = -(math.log(bigrams.probability(0, 1)) + math.log(bigrams.probability(1, 2))) / 2
    assert mean_loss(bigrams, [[0, 1, 2]]) == pytest.approx(expected, abs=1e-15)


def test_the_discount_is_the_best_on_the_development_text() -> None:
    assert learn(TEXTS, [[0, 1, 2]], VOCABULARY).discount == min(DISCOUNTS)
    assert learn(TEXTS, [[0, 3], [0, 3]], VOCABULARY).discount == max(DISCOUNTS)


def test_figures_count_bytes_of_utf8() -> None:
    assert figures(math.log(2), 8, ["abπ"]) == Figures(8, pytest.approx(2), pytest.approx(2))


def test_a_window_of_one_token_is_left_out() -> None:
    assert windows([0, 1, 2, 3, 4, 5, 6], 3) == [[0, 1, 2], [3, 4, 5]]
    assert windows([0, 1, 2, 3, 4], 3) == [[0, 1, 2], [3, 4]]
