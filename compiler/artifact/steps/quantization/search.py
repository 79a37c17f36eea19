"""Which matrices get 8 bits for a size or a quality to be reached."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from compiler.artifact.steps.step import Refused


@dataclass(frozen=True, slots=True)
class Candidate:
    """A matrix: what 4 bits do to it, and bytes that it takes with 4 and with 8."""

    sensitivity: float
    small: int
    large: int

    @property
    def urgency(self) -> float:
        """Error that goes for each byte that 8 bits cost."""
        return self.sensitivity / (self.large - self.small)


def by_urgency(candidates: Mapping[str, Candidate]) -> list[str]:
    """Names, the most urgent first."""
    return sorted(candidates, key=lambda name: (-candidates[name].urgency, name))


def to_size(candidates: Mapping[str, Candidate], least: int, most: int) -> set[str]:
    """The names that get 8 bits: as many of the most urgent as `most` bytes have room for.

    `least` are the bytes of the model with 4 bits for all. Raises Refused when even these are too many.
    """
    left = most - least
    if left < 0:
        raise Refused(f"`target.size` is {most:,} bytes; with 4 bits for every matrix weights take {least:,}.")
    chosen = set()
    for name in by_urgency(candidates):
        cost = candidates[name].large - candidates[name].small
        if cost <= left:
            chosen.add(name)
            left -= cost
    return chosen


def to_quality(candidates: Mapping[str, Candidate], reaches: Callable[[frozenset[str]], bool]) -> set[str] | None:
    """The fewest of the most urgent that have to get 8 bits for `reaches` to hold; None when all of them do not do.

    Looks by halves, as if each further matrix made the model better: in ⌈log2(n + 1)⌉ + 1 trials.
    """
    order = by_urgency(candidates)
    if not reaches(frozenset(order)):
        return None
    low, high = 0, len(order)
    while low < high:
        middle = (low + high) // 2
        if reaches(frozenset(order[:middle])):
            high = middle
        else:
            low = middle + 1
    return set(order[:high])
