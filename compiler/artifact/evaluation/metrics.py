"""What is measured of artifacts: every metric with the tasks that have it. Gates and reports go by this table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from compiler.artifact.converters.formats import RUNTIMES, converted

TEXT_GENERATION, EMBEDDINGS, TEXT_CLASSIFICATION = "text-generation", "embeddings", "text-classification"
TASKS = (TEXT_GENERATION, EMBEDDINGS, TEXT_CLASSIFICATION)


@dataclass(frozen=True, slots=True)
class Metric:
    """`sample` is the unit of what it is measured on (`tokens`, `texts`, `prompts`); without one it has no interval.

    `decimals` are those that the lock carries. `compared`: with the baseline. `share`: of 1, with an interval that is
    never 1 alone. `enough`: a smaller sample gives no interval; see `evaluation.statistics` for the reasons.
    """

    name: str
    tasks: tuple[str, ...]
    sample: str | None = None
    decimals: int = 0
    compared: bool = False
    share: bool = False
    enough: int = 2


_LISTED = (
    Metric("perplexity", (TEXT_GENERATION,), "tokens", 3, enough=128),
    Metric("perplexityRatio", (TEXT_GENERATION,), "tokens", 4, compared=True, enough=128),
    Metric("klDivergence", (TEXT_GENERATION,), "tokens", 5, compared=True, enough=128),
    Metric("klDivergenceP99", (TEXT_GENERATION,), "tokens", 4, compared=True, enough=368),
    Metric("topOneAgreement", (TEXT_GENERATION,), "tokens", 4, compared=True, share=True, enough=128),
    Metric("taskAccuracy", (TEXT_GENERATION,), "prompts", 4, share=True),
    Metric("cosineMean", (EMBEDDINGS,), "texts", 5, compared=True),
    Metric("cosineMin", (EMBEDDINGS,), "texts", 5, compared=True, enough=59),
    Metric("rankCorrelation", (EMBEDDINGS,), "texts", 4, compared=True, enough=4),
    Metric("neighbourAgreement", (EMBEDDINGS,), "texts", 4, compared=True, share=True),
    Metric("accuracy", (TEXT_CLASSIFICATION,), "texts", 4, share=True),
    Metric("f1", (TEXT_CLASSIFICATION,), "texts", 4),
    Metric("labelAgreement", (TEXT_CLASSIFICATION,), "texts", 4, compared=True, share=True),
    Metric("size", TASKS),
    Metric("tokensPerSecond", (TEXT_GENERATION,)),
    Metric("latency", TASKS),
    Metric("peakMemory", TASKS),
)
METRICS = {metric.name: metric for metric in _LISTED}
MACHINE = ("tokensPerSecond", "latency", "peakMemory")
"""Those that depend on the build machine."""


def unevaluated(task: str, names: Iterable[str]) -> str | None:
    """The file of an artifact whose quality nothing here can measure: other runtimes than onnxruntime give embeddings
    only, and llama.cpp nothing. None where it can be measured."""
    found = converted(names)
    return None if found and task == EMBEDDINGS and PurePosixPath(found).suffix in RUNTIMES else found
