"""One run: every case of slmc, the peers and the floors, in turn, then what the layouts cost in Git."""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from benchmarks.fleet import environments, git_cost, measure, same, workspace
from benchmarks.fleet.extent import KUSTOMIZE, YAML_DEVICES, Extent
from benchmarks.fleet.measure import Case
from benchmarks.fleet.peers.cases import Peers
from benchmarks.fleet.results import Results
from benchmarks.fleet.slmc import ROOT, Slmc
from benchmarks.fleet.workspace import Variant

_PACKAGES = ("slmc", "pydantic", "jinja2", "PyYAML", "ruamel.yaml", "onnxruntime")


def run(extent: Extent, work: Path) -> Results:
    """Measure all of the extent in the folder `work`, which is best on a tmpfs.

    The peers' environments and the store stay there for the next run; its `run` is made anew.
    """
    scratch = work / "run"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    benchmark = _Benchmark(extent, Slmc(work, scratch), Peers(work, scratch), Results(extent))
    benchmark.set_up()
    benchmark.cold()
    benchmark.again()
    benchmark.slow_peers()
    benchmark.larger()
    benchmark.yaml()
    benchmark.git()
    benchmark.results.versions |= benchmark.peers.versions
    benchmark.results.absent = benchmark.peers.absent
    return benchmark.results


@dataclass(slots=True)
class _Benchmark:
    extent: Extent
    slmc: Slmc
    peers: Peers
    results: Results
    said: dict[str, bytes] = field(default_factory=dict)
    """By device, a digest of what the floor's files say."""

    def set_up(self) -> None:
        """Make the environments and the warm store."""
        self.results.versions = {"CPython": platform.python_version(), **environments.versions(None, *_PACKAGES)}
        if self.extent.peers:
            self.peers.install("peers")
        if self.extent.slow_peers:
            self.peers.install("kapitan")
        self.results.refused = self.slmc.warm() or self.slmc.takes_it()

    def cold(self) -> None:
        """The fleet from nothing, by slmc, the floors and the quick peers, in turn."""
        n = self.extent.devices
        cases = self.peers.floors(n)
        if self.extent.peers:
            cases += self.peers.rjsonnet(n)
        if not self.results.refused:
            cases += [self.slmc.cold(variant, n) for variant in Variant]
            cases += [self.slmc.cold(Variant.OWN, size) for size in self.extent.sizes if size < n]
        self._measure(cases)
        if not self.results.refused:
            self._compare("slmc", self.slmc.folder(Variant.OWN, n) / "deploy")
        if self.peers.output("rjsonnet", n).exists():
            self._compare("rjsonnet", self.peers.output("rjsonnet", n))

    def again(self) -> None:
        """Compiles of the tree that is there: nothing to do, and after edits."""
        n = self.extent.devices
        if not self.results.refused:
            overlay = self.slmc.again("one overlay", n, workspace.edit_overlay)
            model = self.slmc.again("one model", n, workspace.edit_model)
            self._measure([*self._usual(n), overlay, model])

    def larger(self) -> None:
        """The largest fleet, by slmc alone."""
        n = self.extent.largest
        if n > self.extent.devices and not self.results.refused:
            self._measure([self.slmc.cold(Variant.OWN, n)])
            self._measure(self._usual(n))
            shutil.rmtree(self.slmc.folder(Variant.OWN, n))

    def _usual(self, n: int) -> list[Case]:
        edited = self.slmc.again("one device", n, workspace.edit_device)
        return [self.slmc.again("no-op", n), self.slmc.validate(n), edited]

    def slow_peers(self) -> None:
        """The peers that take minutes, one run of each."""
        if not self.extent.slow_peers:
            return
        n = self.extent.devices
        cases = [*self.peers.kcl(n // 10), *self.peers.kcl(n)]
        cases += [case for size in KUSTOMIZE for case in self.peers.kustomize(size)]
        cases += self.peers.kapitan(n)
        self.results.figures |= measure.in_turn(cases, rounds=1)
        for tool in ("KCL", "kapitan"):
            if self.results.cpu(f"{tool} {n}"):
                self._compare(tool, self.peers.output(tool, n))
                shutil.rmtree(self.peers.output(tool, n))

    def yaml(self) -> None:
        n = max(YAML_DEVICES, self.extent.devices)
        command = [sys.executable, "-m", "benchmarks.fleet.yaml_speed", str(n)]
        done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE)
        self.results.yaml = json.loads(done.stdout)

    def git(self) -> None:
        """A change of the whole fleet and of one device, in slmc's layout and in a folder for each device."""
        n = self.extent.devices
        sources, render = self.peers.sources("floor", n), self.peers.render_floor(n)
        for name, edit in (("one device", git_cost.edit_floor), ("version", git_cost.bump_floor)):
            self._git(f"floor {name}", self.peers.output("floor", n), partial(edit, sources), render)
        if self.results.refused:
            return
        for variant, name, change in (
            (Variant.OWN, "one device", workspace.edit_device),
            (Variant.COHORTS, "version", workspace.bump_version),
            (Variant.COHORTS, "one device in cohorts", workspace.move_device),
        ):
            folder, compile = self.slmc.folder(variant, n), self.slmc.again(f"{name}, for Git", n, variant=variant)
            self._git(f"slmc {name}", folder, partial(change, folder), compile)

    def _git(self, name: str, folder: Path, edit: Callable[[], None], case: Case) -> None:
        def change() -> None:
            edit()
            measure.run(case)

        self.results.git[name] = git_cost.cost(folder, change)

    def _measure(self, cases: list[Case]) -> None:
        self.results.figures |= measure.in_turn(cases, self.extent.rounds)

    def _compare(self, tool: str, output: Path) -> None:
        """Whether the tool wrote the same values as the floor, for every device."""
        if not self.said:
            self.said = same.said(self.peers.output("floor", self.extent.devices))
        other = same.said(output)
        self.results.different[tool] = sum(said != other.get(device) for device, said in self.said.items())
