"""What one run of the benchmark found, by name, and what there is no figure for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.fleet.extent import Extent
from benchmarks.fleet.git_cost import Cost
from benchmarks.fleet.measure import Figure, Figures


@dataclass(slots=True)
class Results:
    """`figures` by the name of the case, such as `slmc cold own 10000`."""

    extent: Extent
    figures: Figures = field(default_factory=dict)
    yaml: dict[str, float] = field(default_factory=dict)
    git: dict[str, Cost] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    """By tool or environment, why it was not there."""
    different: dict[str, int] = field(default_factory=dict)
    """By tool: for how many devices its files say something else than those of the floor."""
    refused: str = ""
    """Why slmc does not take the workload, if it does not."""

    def figure(self, name: str) -> Figure:
        refused = self.refused if name.startswith("slmc ") else ""
        return self.figures.get(name, Figure(failed=refused or "not measured"))

    def cpu(self, name: str) -> float | None:
        figure = self.figure(name)
        return None if figure.failed else figure.cpu

    def ratio(self, name: str, base: str) -> float | None:
        """How many times the CPU time of `base` that of `name` is."""
        top, bottom = self.cpu(name), self.cpu(base)
        return top / bottom if top and bottom else None

    def growth(self, name: str, sizes: Sequence[int]) -> float | None:
        """The exponent of CPU time over devices: the slope of the line through the logarithms, by least squares."""
        seconds = [self.cpu(f"{name} {size}") for size in sizes]
        if len(sizes) < 2 or not all(seconds):
            return None
        xs, ys = [math.log(size) for size in sizes], [math.log(second or 1) for second in seconds]
        x, y = sum(xs) / len(xs), sum(ys) / len(ys)
        return sum((a - x) * (b - y) for a, b in zip(xs, ys, strict=True)) / sum((a - x) ** 2 for a in xs)

    def memory(self, devices: int) -> int:
        """Bytes: the most that slmc took for that many devices, whatever it did."""
        ours = [f for name, f in self.figures.items() if name.startswith("slmc ") and name.endswith(f" {devices}")]
        return max((figure.memory for figure in ours if not figure.failed), default=0)
