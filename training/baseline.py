"""The baseline that the network has to beat: a bigram model over the same tokens, interpolated Kneser–Ney.

Kneser and Ney, "Improved backing-off for m-gram language modeling", ICASSP 1995, in the interpolated form of
Chen and Goodman, "An empirical study of smoothing techniques for language modeling", 1998.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

DISCOUNTS = tuple(step / 20 for step in range(10, 20))


@dataclass(frozen=True, slots=True)
class Bigrams:
    """Counts of pairs and what follows from them; probabilities of a next token sum to one for every last token."""

    pairs: Counter[tuple[int, int]]
    starts: Counter[int]
    """How often a token is the first of a pair."""
    followers: Counter[int]
    """How many different tokens follow a token."""
    leaders: Counter[int]
    """How many different tokens stand before a token."""
    vocabulary: int
    discount: float

    def probability(self, last: int, token: int) -> float:
        """Of `token` after `last`; the tokens never seen share what the discount leaves, evenly."""
        kinds = len(self.pairs)
        spread = self.discount * len(self.leaders) / kinds / self.vocabulary
        alone = max(self.leaders[token] - self.discount, 0) / kinds + spread
        if not self.starts[last]:
            return alone
        kept = max(self.pairs[last, token] - self.discount, 0) / self.starts[last]
        return kept + self.discount * self.followers[last] / self.starts[last] * alone


def learn(texts: Sequence[Sequence[int]], development: Sequence[Sequence[int]], vocabulary: int) -> Bigrams:
    """Count the pairs of `texts`; the discount is the one of `DISCOUNTS` that is best on `development`."""
    pairs = Counter(pair for text in texts for pair in pairwise(text))
    starts: Counter[int] = Counter()
    for (last, _), count in pairs.items():
        starts[last] += count
    followers = Counter(last for last, _ in pairs)
    leaders = Counter(token for _, token in pairs)
    models = (Bigrams(pairs, starts, followers, leaders, vocabulary, discount) for discount in DISCOUNTS)
    return min(models, key=lambda model: mean_loss(model, development))


def mean_loss(model: Bigrams, texts: Iterable[Sequence[int]]) -> float:
    """Mean negative log-likelihood in nats of each token but the first of a text."""
    losses = [-math.log(model.probability(*pair)) for text in texts for pair in pairwise(text)]
    return math.fsum(losses) / len(losses)
