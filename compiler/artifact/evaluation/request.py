"""What an evaluation is asked, and what it answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compiler.artifact.evaluation.statistics import Interval

Figures = Mapping[str, list[float | None]]
"""By metric: value, low, high."""


@dataclass(frozen=True, slots=True)
class Request:
    """Model folders: of what is compared with, whose tokenizer is used, and of the candidates."""

    reference: Path
    candidates: tuple[Path, ...]
    data: Path
    max_tokens: int
    threads: int
    converters: Path = Path()
    """The folder of the environments of converters, which have the runtimes of other formats."""

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Request:
        """From plain JSON values."""
        candidates = tuple(Path(folder) for folder in plain["candidates"])
        data, converters = Path(plain["data"]), Path(plain["converters"])
        return cls(Path(plain["reference"]), candidates, data, plain["max_tokens"], plain["threads"], converters)


def interval(value: Any, bounds: Interval) -> list[float | None]:
    """The figure; an interval has its value in it, whatever the sample's replicates are."""
    found, (low, high) = float(value), bounds
    return [found, None if low is None else min(low, found), None if high is None else max(high, found)]


def result(samples: Mapping[str, int], reference: Figures, candidates: Iterable[Figures | str]) -> dict[str, Any]:
    """`candidates` are figures, or why one failed."""
    return {
        "samples": dict(samples),
        "reference": dict(reference),
        "candidates": [{"failed": one} if isinstance(one, str) else {"figures": dict(one)} for one in candidates],
    }
