"""Choices of recipes: what was picked for each device class and why, and which candidates nothing beats."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from compiler.artifact.artifact import Artifact
from compiler.base.units import show_bytes
from compiler.fit.choose import Candidate, Decision
from compiler.report.table import table

_WIDTH, _HEIGHT = 48, 8
"""Characters and lines of the plot."""


@dataclass(frozen=True, slots=True)
class Point:
    """A candidate by what it costs: bytes, and what of the original's quality it lost."""

    recipe: str
    size: int
    loss: float
    best: bool = False
    """Whether no other candidate is at most as large and loses at most as much, and less of one."""


def choices_text(decisions: Iterable[Decision], artifacts: Mapping[str, Artifact], plots: bool = True) -> str:
    """For every decision a table of its candidates; with `plots` one of size against loss for every set of them."""
    parts, plotted = [], set()
    for decision in decisions:
        points = pareto(decision.candidates, artifacts)
        parts.append(_table(decision, points))
        key = decision.model, tuple(one.digest for one in decision.candidates)
        if plots and len(points) > 1 and key not in plotted:
            plotted.add(key)
            parts.append(plot(points))
    return "\n".join(parts)


def choices_data(decisions: Iterable[Decision], artifacts: Mapping[str, Artifact]) -> list[dict[str, Any]]:
    """The same as plain JSON values."""
    return [_decision_data(decision, pareto(decision.candidates, artifacts)) for decision in decisions]


def pareto(candidates: Iterable[Candidate], artifacts: Mapping[str, Artifact]) -> list[Point]:
    """The candidates that could be built, in the order of the choice. `artifacts` are by digest."""
    made = [(one.recipe, artifacts[one.digest]) for one in candidates if one.digest in artifacts]
    points = [Point(name, one.size, loss) for name, one in made if (loss := one.quality.loss) is not None]
    return [Point(one.recipe, one.size, one.loss, not any(_beats(other, one) for other in points)) for one in points]


def plot(points: Sequence[Point]) -> str:
    """Size to the right, loss upwards; `●` is in the Pareto set, `○` is not. Letters name the recipes."""
    sizes, losses = [point.size for point in points], [point.loss for point in points]
    grid = [[" "] * (_WIDTH + 1) for _ in range(_HEIGHT + 1)]
    names = []
    for letter, point in zip("abcdefghijklmnopqrstuvwxyz", points, strict=False):
        x = round(_share(point.size, sizes) * (_WIDTH - 1))
        y = _HEIGHT - round(_share(point.loss, losses) * _HEIGHT)
        grid[y][x : x + 2] = ["●" if point.best else "○", letter]
        names.append(f"{letter} {point.recipe}")
    lines = [f"  {'loss' if not number else '':4} │{''.join(row).rstrip()}" for number, row in enumerate(grid)]
    axis = f"       └{'─' * (_WIDTH + 1)} size"
    scale = f"        {show_bytes(min(sizes))} … {show_bytes(max(sizes))}; loss {min(losses):.5g} … {max(losses):.5g}"
    return "\n".join([*lines, axis, scale, f"        {', '.join(names)}; ● nothing is both smaller and better"]) + "\n"


def _beats(one: Point, other: Point) -> bool:
    return one.size <= other.size and one.loss <= other.loss and (one.size, one.loss) != (other.size, other.loss)


def _share(value: float, of: Sequence[float]) -> float:
    low, high = min(of), max(of)
    return (value - low) / (high - low) if high > low else 0.0


def _table(decision: Decision, points: Iterable[Point]) -> str:
    best = {point.recipe: point.best for point in points}
    rows = [
        [
            f"{'→' if one.recipe == decision.recipe else ' '} {one.recipe}",
            _shown(decision.minimize, decision.figures.get(one.recipe)),
            "●" if best.get(one.recipe) else "",
            one.dropped or ("chosen" if one.recipe == decision.recipe else "passes"),
        ]
        for one in decision.candidates
    ]
    head = f"{decision.fleet}/{decision.run} on {decision.device_class}"
    return table([head, f"least {decision.minimize}", "Pareto", "why"], rows, right=(1,))


def _shown(minimize: str, figure: float | None) -> str:
    if figure is None:
        return "-"
    if minimize in ("size", "memory"):
        return show_bytes(round(figure))
    return f"{figure:.3g} {'J' if minimize == 'energy' else 'ms'}"


def _decision_data(decision: Decision, points: Iterable[Point]) -> dict[str, Any]:
    at = {point.recipe: point for point in points}
    return {
        "fleet": decision.fleet,
        "run": decision.run,
        "class": decision.device_class,
        "model": decision.model,
        "minimize": decision.minimize,
        "recipe": decision.recipe,
        "candidates": [
            {
                "recipe": one.recipe,
                "digest": one.digest or None,
                "dropped": one.dropped or None,
                "figure": decision.figures.get(one.recipe),
                "size": at[one.recipe].size if one.recipe in at else None,
                "loss": at[one.recipe].loss if one.recipe in at else None,
                "pareto": one.recipe in at and at[one.recipe].best,
            }
            for one in decision.candidates
        ],
    }
