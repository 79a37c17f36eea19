"""The rows of the table: what was measured, its goal, and whether it was reached."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.fleet.extent import KUSTOMIZE
from benchmarks.fleet.git_cost import Cost
from benchmarks.fleet.results import Results

_GOAL_SIZES = (10_000, 100_000)
NONE = "–"
"""Where there is no figure: the notes say why."""


@dataclass(frozen=True, slots=True)
class Row:
    """`ratio` is to the jinja2 floor, or, of a peer, to slmc. `reached` is None where there is nothing to judge."""

    work: str
    tool: str
    devices: int
    result: str
    memory: int = 0
    ratio: str = ""
    goal: str = ""
    reached: bool | None = None


def rows(results: Results) -> list[Row]:
    """Every row, in the order of the table."""
    n, largest = results.extent.devices, results.extent.largest
    made = _Rows(results)
    return [
        *made.cold(n),
        *made.cohorts(n),
        *made.no_op(n, largest),
        *made.one_device(n, largest),
        *made.other_edits(n),
        *made.growth(),
        *made.memory(n, largest),
        *made.yaml(),
        *made.git(n),
    ]


@dataclass(frozen=True, slots=True)
class _Rows:
    results: Results

    def cold(self, n: int) -> Iterator[Row]:
        cpu, floor = self.results.cpu(f"slmc cold own {n}"), self.results.cpu(f"floor {n}")
        reached = cpu <= 3.0 and cpu <= 0.6 * floor if cpu and floor else False
        work = "cold, a bundle for each device"
        yield self._row(work, f"slmc cold own {n}", "≤ 3.0 s and ≤ 0.6 × floor", reached)
        yield self._row("", f"floor {n}")
        yield self._row("", f"write {n}")
        yield from self._slower(f"slmc cold own {n}", {f"kapitan {n}": 75, f"KCL {n}": 30, f"rjsonnet {n}": 3.5})
        if self.results.extent.slow_peers:
            yield self._row("", f"kustomize {KUSTOMIZE[-1]}", base=f"slmc cold own {KUSTOMIZE[-1]}")

    def cohorts(self, n: int) -> Iterator[Row]:
        yield self._limited("cold, 40 configurations", f"slmc cold cohorts {n}", 1.2)

    def no_op(self, n: int, largest: int) -> Iterator[Row]:
        yield self._limited("no-op", f"slmc no-op {n}", 0.6)
        if largest > n:
            yield self._limited("", f"slmc no-op {largest}", 4.0)
        yield from self._slower(f"slmc no-op {n}", {f"kapitan no-op {n}": 0})

    def one_device(self, n: int, largest: int) -> Iterator[Row]:
        yield self._limited("one device edited", f"slmc one device {n}", 0.8)
        if largest > n:
            here, small, large = (
                self.results.cpu(f"slmc {name}") for name in (f"one device {n}", f"validate {n}", f"validate {largest}")
            )
            more = f"≤ that and {large - small:.2f} s more to read" if large and small else "≤ that and the reading"
            limit = here + large - small if here and small and large else 0.0
            cpu = self.results.cpu(f"slmc one device {largest}")
            yield self._row("", f"slmc one device {largest}", more, bool(cpu and cpu <= limit))
        yield from self._slower(f"slmc one device {n}", {f"kapitan one device {n}": 40})
        yield self._row("reading it: slmc validate", f"slmc validate {n}")
        if largest > n:
            yield self._row("", f"slmc validate {largest}")

    def other_edits(self, n: int) -> Iterator[Row]:
        yield self._row("one line of one site's overlay edited", f"slmc one overlay {n}")
        yield self._row("one model edited, of 1 in 25 devices", f"slmc one model {n}")

    def growth(self) -> Iterator[Row]:
        sizes = self.results.extent.sizes
        if len(sizes) < 2:
            return
        yield self._exponent("slmc cold own", "slmc", sizes, 1.05)
        if sizes[-1] > self.results.extent.devices:
            yield self._limited("cold, a bundle for each device", f"slmc cold own {sizes[-1]}", 30.0)
        if self.results.extent.slow_peers:
            yield self._exponent("KCL", "KCL", sizes[:2])
            yield self._exponent("kustomize", "kustomize", KUSTOMIZE)

    def memory(self, n: int, largest: int) -> Iterator[Row]:
        limits = {n: 250e6, largest: 1.2e9 if largest > n else 250e6}
        for devices, limit in limits.items():
            most = self.results.memory(devices)
            goal = f"≤ {limit / 1e6:,.0f} MB"
            reached = 0 < most <= limit if devices in _GOAL_SIZES else None
            yield Row(
                "most memory of all these",
                "slmc",
                devices,
                f"{most / 1e6:,.0f} MB" if most else NONE,
                most,
                "",
                goal,
                reached,
            )

    def yaml(self) -> Iterator[Row]:
        ours, theirs = self.results.yaml["slmc"], self.results.yaml["ruamel"]
        reached = self._judged(self.results.extent.devices, ours >= 4)
        ratio = f"{ours / theirs:.0f} × as fast"
        yield Row("YAML with positions", "slmc", 0, f"{ours:.1f} MB/s", 0, ratio, "≥ 4 MB/s", reached)
        yield Row("", "ruamel round trip", 0, f"{theirs:.2f} MB/s")

    def git(self, n: int) -> Iterator[Row]:
        ours, floor = self.results.git.get("slmc version"), self.results.git["floor version"]
        reached = self._judged(n, bool(ours and ours.files <= 300 and ours.diff <= 1e6))
        work, goal = "version bump of the fleet, as a diff", "≤ 300 files, ≤ 1 MB"
        yield Row(work, "slmc, in cohorts", n, _diff(ours), goal=goal, reached=reached)
        yield Row("", "folder per device", n, _diff(floor))
        ours, floor = self.results.git.get("slmc one device in cohorts"), self.results.git["floor one device"]
        reached = self._judged(n, bool(ours and ours.objects <= 10 * 1024))
        work, goal = "Git objects of a one-device commit", "≤ 10 KiB"
        yield Row(work, "slmc, in cohorts", n, _objects(ours), goal=goal, reached=reached)
        yield Row("", "slmc, a bundle for each", n, _objects(self.results.git.get("slmc one device")))
        yield Row("", "folder per device", n, _objects(floor))

    def _slower(self, base: str, goals: dict[str, float]) -> Iterator[Row]:
        """Peers, with how many times slower than slmc they should be at least. Those that were not run are left out."""
        for name, least in goals.items():
            if name not in self.results.figures:
                continue
            ratio = self.results.ratio(name, base)
            goal = f"≥ {least:g} × slmc" if least else ""
            yield self._row("", name, goal, bool(ratio and ratio >= least) if least else None, base)

    def _limited(self, work: str, name: str, limit: float) -> Row:
        cpu = self.results.cpu(name)
        return self._row(work, name, f"≤ {limit:g} s", bool(cpu and cpu <= limit))

    def _exponent(self, name: str, tool: str, sizes: tuple[int, ...], limit: float | None = None) -> Row:
        found = self.results.growth(name, sizes)
        work = f"growth, {sizes[0]:,} to {sizes[-1]:,}" if limit else f"{sizes[0]:,} to {sizes[-1]:,}"
        result = NONE if found is None else f"exponent {found:.2f}"
        reached = self._judged(sizes[-1], bool(found and found <= limit)) if limit else None
        return Row(work, tool, 0, result, goal=f"≤ {limit}" if limit else "", reached=reached)

    def _row(self, work: str, name: str, goal: str = "", reached: bool | None = None, base: str = "") -> Row:
        """A row of CPU time, beside the floor or, with `base`, beside that case of slmc."""
        tool, n = name.split()[0], int(name.split()[-1])
        figure = self.results.figure(name)
        if figure.failed:
            return Row(work, _called(tool), n, NONE, goal=goal, reached=self._judged(n, reached))
        ratio = self.results.ratio(name, base or f"floor {n}")
        beside = "" if ratio is None else f"{ratio:.3g} × {'slmc' if base else 'floor'}"
        return Row(work, _called(tool), n, f"{figure.cpu:.2f} s", figure.memory, beside, goal, self._judged(n, reached))

    def _judged(self, n: int, reached: bool | None) -> bool | None:
        """Goals are for two sizes of fleet, and of no other size does one say anything."""
        return reached if n in _GOAL_SIZES else None


def _called(tool: str) -> str:
    return {"floor": "floor: libyaml and jinja2", "write": "floor: write the bytes"}.get(tool, tool)


def _diff(cost: Cost | None) -> str:
    return f"{cost.files:,} files, {cost.diff / 1e6:.2f} MB" if cost else NONE


def _objects(cost: Cost | None) -> str:
    return f"{cost.objects / 1024:.1f} KiB" if cost else NONE
