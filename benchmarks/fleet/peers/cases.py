"""The peers and floors as cases to measure: sources and output of each are folders below the work folder."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from benchmarks.fleet import environments
from benchmarks.fleet.measure import Case
from benchmarks.fleet.peers import floors, jsonnet, kapitan, kcl, kustomize

_MODULES = {"floor": floors, "kapitan": kapitan, "rjsonnet": jsonnet, "KCL": kcl, "kustomize": kustomize}
_PACKAGES = {"peers": ("rjsonnet", "kcl-lib"), "kapitan": ("kapitan", "reclass-rs")}


@dataclass(slots=True)
class Peers:
    """Their environments are in `work`, their sources and output in `scratch`."""

    work: Path
    scratch: Path
    versions: dict[str, str] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    """By environment, why it could not be made."""
    _programs: dict[str, Path] = field(default_factory=dict)

    def install(self, name: str) -> None:
        """Make one of the environments: `peers` or `kapitan`."""
        programs, why = environments.environment(name, self.work)
        if programs is None:
            self.absent[name] = why
        else:
            self._programs[name] = programs
            self.versions |= environments.versions(programs, *_PACKAGES[name])

    def sources(self, tool: str, n: int) -> Path:
        folder = self.scratch / f"sources-{tool}-{n}"
        if not folder.exists():
            _MODULES[tool].write_sources(n, folder)
        return folder

    def output(self, tool: str, n: int) -> Path:
        if tool == "kapitan":
            return self.sources(tool, n) / "compiled"
        return self.scratch / f"output-{tool}-{n}"

    def floors(self, n: int) -> list[Case]:
        """jinja2 and libyaml; and only writing, from a file with all that the other wrote."""
        sources, kept = self.sources("floor", n), self.scratch / f"kept-{n}"
        if not kept.exists():
            floors.main("keep", str(sources), str(kept))
        return [
            self._case("floor", n, floors.command("render", sources, self.output("floor", n))),
            self._case("write", n, floors.command("write", kept, self.output("write", n))),
        ]

    def render_floor(self, n: int) -> Case:
        """The floor into the tree that it made before, after an edit of its sources."""
        command = floors.command("render", self.sources("floor", n), self.output("floor", n))
        return Case(f"floor, once more {n}", command, self.scratch)

    def rjsonnet(self, n: int) -> list[Case]:
        if "peers" not in self._programs:
            return []
        command = jsonnet.command(self._programs["peers"], self.sources("rjsonnet", n), self.output("rjsonnet", n))
        return [self._case("rjsonnet", n, command)]

    def kcl(self, n: int) -> list[Case]:
        if "peers" not in self._programs:
            return []
        command = kcl.command(self._programs["peers"], self.sources("KCL", n), self.output("KCL", n))
        return [self._case("KCL", n, command)]

    def kustomize(self, n: int) -> list[Case]:
        kubectl = kustomize.program()
        if kubectl is None:
            self.absent["kustomize"] = "kubectl is not installed"
            return []
        self.versions["kustomize"] = kustomize.version(kubectl)
        return [Case(f"kustomize {n}", kustomize.command(kubectl, self.sources("kustomize", n)), self.scratch)]

    def kapitan(self, n: int) -> list[Case]:
        """From nothing, once more with nothing changed, and for one device."""
        if "kapitan" not in self._programs:
            return []
        programs, sources = self._programs["kapitan"], self.sources("kapitan", n)
        everything, one = kapitan.command(programs), kapitan.command(programs, kapitan.ONE)
        caches = {"XDG_CACHE_HOME": str(self.scratch / "cache-kapitan")}
        cases = ((f"kapitan {n}", everything), (f"kapitan no-op {n}", everything), (f"kapitan one device {n}", one))
        return [Case(name, command, sources, environment=caches) for name, command in cases]

    def _case(self, tool: str, n: int, command: list[str]) -> Case:
        return Case(f"{tool} {n}", command, self.scratch, partial(_emptied, self.output(tool, n)))


def _emptied(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
