"""What was measured of an artifact ↔ plain JSON: figures with their intervals, golden answers.

Lists of numbers are one text: `slmc.lock` has one value a line, and an answer has dozens of numbers. Loading raises
KeyError, TypeError, ValueError or AttributeError for what dumping does not write.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from compiler.artifact.artifact import SOURCE, Answer, Figure, Golden, Quality
from compiler.artifact.evaluation.metrics import METRICS, TASKS

N = TypeVar("N", int, float)


def dump_quality(quality: Quality) -> dict[str, Any]:
    return {
        "samples": dict(quality.samples),
        "figures": dump_figures(quality.figures),
        "baseline": quality.baseline,
    }


def load_quality(entry: Mapping[str, Any]) -> Quality:
    samples = {unit: int(number(count)) for unit, count in entry["samples"].items()}
    baseline = text(entry["baseline"])
    if baseline != SOURCE and not baseline.startswith("sha256:"):
        raise ValueError(f"{baseline!r} is no baseline")
    return Quality(samples, load_figures(entry["figures"]), baseline)


def dump_figures(figures: Mapping[str, Figure]) -> dict[str, Any]:
    return {name: {"value": figure.value, "low": figure.low, "high": figure.high} for name, figure in figures.items()}


def load_figures(entry: Mapping[str, Any]) -> dict[str, Figure]:
    return {_metric(name): _figure(figure) for name, figure in entry.items()}


def dump_golden(golden: Golden) -> dict[str, Any]:
    """What is empty is left out."""
    entry = {
        "task": golden.task,
        "tolerance": golden.tolerance,
        "answers": [_dump_answer(answer) for answer in golden.answers],
    }
    return entry | ({"cosines": _joined(golden.cosines)} if golden.cosines else {})


def load_golden(entry: Mapping[str, Any]) -> Golden:
    task = text(entry["task"])
    if task not in TASKS:
        raise ValueError(f"{task!r} is no task")
    answers = tuple(_load_answer(answer) for answer in entry["answers"])
    return Golden(task, float(number(entry["tolerance"])), answers, _split(entry.get("cosines", ""), float))


def number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is not a number")
    return value


def text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not text")
    return value


def _dump_answer(answer: Answer) -> dict[str, Any]:
    facts = {
        "output": answer.output,
        "tokens": _joined(answer.tokens),
        "candidates": _joined(answer.candidates),
        "values": _joined(answer.values),
    }
    return {"input": answer.input} | {name: fact for name, fact in facts.items() if fact}


def _load_answer(entry: Mapping[str, Any]) -> Answer:
    return Answer(
        text(entry["input"]),
        text(entry.get("output", "")),
        _split(entry.get("tokens", ""), int),
        _split(entry.get("candidates", ""), int),
        _split(entry.get("values", ""), float),
    )


def _metric(name: str) -> str:
    if name not in METRICS:
        raise ValueError(f"{name!r} is no metric")
    return name


def _figure(entry: Mapping[str, Any]) -> Figure:
    low, high = (None if bound is None else number(bound) for bound in (entry["low"], entry["high"]))
    return Figure(number(entry["value"]), low, high)


def _joined(numbers: Iterable[float]) -> str:
    return " ".join(map(repr, numbers))


def _split(joined: Any, kind: Callable[[str], N]) -> tuple[N, ...]:
    numbers = tuple(kind(word) for word in text(joined).split())
    if not all(math.isfinite(number) for number in numbers):
        raise ValueError(f"{joined!r} has a number that is not finite")
    return numbers
