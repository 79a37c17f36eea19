"""From a fact that a template read to the value in the blueprint, or to what slmc computed it from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from compiler.artifact.artifact import Artifact, Artifacts
from compiler.base.spelling import camel
from compiler.blueprint.blueprint import Blueprint
from compiler.bundle.bundles import cohort_folder, levels_for
from compiler.bundle.context import artifact_folder
from compiler.bundle.options import option_values
from compiler.bundle.targets import DEFINITION, Target
from compiler.fit.check import RunEstimate
from compiler.fleet.devices import Setting
from compiler.fleet.graph import Cohort, Fleet, Run
from compiler.fleet.hardware import class_fact, class_place
from compiler.fleet.where import origins
from compiler.report.grounds import (
    Ground,
    LockText,
    of_artifact,
    of_context_length,
    of_memory_estimate,
    of_memory_limit,
    of_port,
)

Fact = tuple[str, ...]

_KEYS = {
    "threads": "threads", "context_length": "contextLength", "memory_limit": "memoryLimit", "port": "serve.port",
    "image": "serve.image", "command": "serve.command", "recipe": "recipe",
}  # fmt: skip
"""The attributes of `run` that a blueprint sets, by their paths there."""


@dataclass(frozen=True, slots=True)
class ShownValue:
    """Where one value came from.

    `fact` is its name in a template, `path` where a blueprint has it. `grounds` are there for a computed value.
    """

    fact: str
    path: str | None
    setting: Setting
    devices: int
    grounds: tuple[Ground, ...] = ()


@dataclass(frozen=True, slots=True)
class ShownValues:
    """Everything that is known of one cohort. `device` narrows the answers to one of its devices."""

    fleet: Fleet
    cohort: Cohort
    target: Target | None
    blueprint: Blueprint
    catalogue: Blueprint
    lock: LockText
    artifacts: Artifacts
    estimates: Mapping[str, RunEstimate]
    """By name of the run."""
    device: str | None = None

    def of(self, fact: Fact) -> list[ShownValue]:
        """The origins of a fact; several where devices of the cohort came to its value by other lines."""
        kind, *rest = fact
        if kind == "runs" and rest:
            run = next(run for run in self.cohort.runs if run.name == rest[0])
            return self._run(run, rest[1:])
        if kind == "runs":
            return [self._run(run, ["name"])[0] for run in self.cohort.runs]
        if kind == "fleet" and rest:
            return self._fleet(rest)
        if kind == "cohort" and rest:
            return [self._cohort(rest)]
        if kind == "target" and rest:
            return [self._target(*rest)]
        return []

    @property
    def _ids(self) -> list[str]:
        return [self.device] if self.device else [device.id for device in self.cohort.devices]

    def set_by(self, fact: str, key: str, otherwise: Any = None) -> list[ShownValue]:
        """The origins of the value at `key` inside the fleet, the most frequent first."""
        found: dict[str, tuple[Setting, int]] = {}
        for provenance, devices in origins(self.cohort, self.device):
            setting = provenance.get(key) or Setting(otherwise, None)
            _, count = found.get(repr(setting), (setting, 0))
            found[repr(setting)] = setting, count + devices
        path = f"fleets.{self.fleet.name}.{key}"
        ordered = sorted(found.items(), key=lambda pair: (-pair[1][1], pair[0]))
        return [ShownValue(fact, path, setting, count) for _, (setting, count) in ordered]

    def _one(self, fact: str, path: str | None, setting: Setting, grounds: Iterable[Ground] = ()) -> ShownValue:
        return ShownValue(fact, path, setting, len(self._ids), tuple(grounds))

    def _run(self, run: Run, rest: list[str]) -> list[ShownValue]:
        at = f"runs.{run.name}"
        fact = ".".join(["run", *rest])
        field = rest[0] if rest else "name"
        if field == "name":
            return [self._one(fact, f"fleets.{self.fleet.name}.{at}", Setting(run.name, run.place))]
        if field == "model" and rest[1:] in (["task"], ["license"]):
            path = ("models", run.model.name, rest[1])
            value = Setting(getattr(run.model, rest[1]), self.blueprint.places.value(*path))
            return [self._one(fact, ".".join(path), value)]
        if field == "model":
            return self.set_by(fact, f"{at}.model", run.model.id)
        if field == "artifact":
            return [self._artifact(run, fact, rest[1:])]
        if field in ("runtime", "arguments"):
            return self.set_by(fact, f"{at}.serve.runtime", run.runtime.name if run.runtime else None)
        if field in ("environment", "limits", "objectives", "parameters"):
            return self._mapping(run, field, rest[1:])
        origins = self.set_by(fact, f"{at}.{_KEYS[field]}", getattr(run, field)) if field in _KEYS else []
        return list(self._computed(run, fact, field, origins))

    def _computed(self, run: Run, fact: str, field: str, origins: list[ShownValue]) -> Iterator[ShownValue]:
        """The origins, with what slmc worked out where the blueprint sets nothing."""
        if field == "memory_estimate":
            estimate = self.estimates[run.name]
            grounds = of_memory_estimate(run, estimate, self.artifact(run), self.lock)
            length = self.set_by("run.context_length", f"runs.{run.name}.contextLength")
            yield self._one(fact, None, Setting(estimate.memory, None), grounds)
            yield from self._computed(run, "run.context_length", "context_length", length)
        for origin in origins:
            setting = origin.setting
            if field == "memory_limit" and setting.value is None:
                estimate = self.estimates[run.name]
                found = tuple(of_memory_limit(run, estimate, self.artifact(run), self.lock))
                yield replace(origin, setting=replace(setting, value=estimate.default_limit), grounds=found)
                length = self.set_by("run.context_length", f"runs.{run.name}.contextLength")
                yield from self._computed(run, "run.context_length", "context_length", length)
            elif field == "context_length" and setting.value is None:
                artifact = self.artifact(run)
                found = tuple(of_context_length(artifact, self.lock))
                yield replace(origin, setting=replace(setting, value=artifact.shape.context_length), grounds=found)
            elif field == "port" and setting.place is None:
                yield replace(origin, grounds=tuple(of_port(run, self.cohort)))
            else:
                yield origin

    def artifact(self, run: Run) -> Artifact:
        return self.artifacts.artifacts[run.artifact]

    def _mapping(self, run: Run, field: str, rest: list[str]) -> list[ShownValue]:
        """One value of the environment or the parameters, or all of them."""
        values: Mapping[str, Any] = dict(getattr(run, field))
        names = [rest[0]] if rest else sorted(values)
        key = f"runs.{run.name}.{field}"
        found = [
            origin for name in names for origin in self.set_by(f"run.{field}.{name}", f"{key}.{name}", values.get(name))
        ]
        return found or self.set_by(f"run.{field}", key, {})

    def _artifact(self, run: Run, fact: str, rest: list[str]) -> ShownValue:
        artifact = self.artifact(run)
        field = rest[0] if rest else "digest"
        if field == "files" and rest[1:]:
            file = next(file for file in artifact.files if file.name == rest[1])
            shown = getattr(file, rest[2]) if rest[2:] else file.name
            found = Ground(f"{file.name}, {file.size:,} bytes, {file.digest}", self.lock.file(artifact.name, file.name))
            grounds = (found, *of_artifact(run, artifact, self.lock, field))
            return self._one("run.artifact.files", None, Setting(shown, None), grounds)
        if field == "files":
            value: Any = [file.name for file in artifact.files]
        elif field == "folder":
            value = artifact_folder(artifact)
        elif field == "golden":
            value = artifact.golden is not None
        else:
            value = getattr(artifact, field)
        return self._one(fact, None, Setting(value, None), of_artifact(run, artifact, self.lock, field))

    def _fleet(self, rest: list[str]) -> list[ShownValue]:
        fact = ".".join(["fleet", *rest])
        fleet, path = self.fleet, f"fleets.{self.fleet.name}"
        if rest[0] == "name":
            return [self._one(fact, path, Setting(fleet.name, fleet.place))]
        if rest[0] == "blueprint":
            ground = Ground(f"the file that declares fleet `{fleet.name}`", str(fleet.place))
            return [self._one(fact, None, Setting(fleet.place.source.path, None), [ground])]
        return self.set_by(fact, ".".join(camel(name) for name in rest))

    def _cohort(self, rest: list[str]) -> ShownValue:
        fact = ".".join(["cohort", *rest])
        hardware = self.cohort.device_class
        place = class_place(self.blueprint, self.catalogue, hardware.name)
        if rest in (["name"], ["folder"]):
            folder = cohort_folder(self.fleet.name, self.cohort.name, levels_for(len(self.fleet.cohorts)))
            value = self.cohort.name if rest == ["name"] else folder
            return self._one(fact, None, Setting(value, None), self._cohort_name(str(place)))
        if rest in (["device_class"], ["device_class", "name"]):
            return self._one(fact, f"deviceClasses.{hardware.name}", Setting(hardware.name, place))
        key = camel(rest[1])
        setting = class_fact(self.blueprint, self.catalogue, self.cohort, key)
        return self._one(fact, f"deviceClasses.{hardware.name}.{key}", setting)

    def _cohort_name(self, place: str) -> Iterator[Ground]:
        yield Ground(f"slmc names a cohort after its device class, here `{self.cohort.device_class.name}`", place)
        for key, setting in sorted(self.cohort.provenance_of(self._ids[0]).items() if self._ids else ()):
            if setting.place and setting.overrode:
                yield Ground(f"and after the overlays that set its values, here `{key}`", str(setting.place))

    def _target(self, field: str, *rest: str) -> ShownValue:
        assert self.target is not None
        use = next(use for use in self.fleet.targets if use.name == self.target.name)
        path = f"fleets.{self.fleet.name}.targets"
        ground = Ground("what the target's definition says", f"{self.target.label}/{DEFINITION}")
        if field == "name":
            return self._one("target.name", path, Setting(use.name, use.place))
        if field == "description":
            return self._one("target.description", None, Setting(self.target.description, None), [ground])
        values = option_values(self.target.options, use)
        if not rest:
            return self._one("target.options", path, Setting(values, use.place))
        name, fact = rest[0], f"target.options.{rest[0]}"
        given = next((option for option in use.options if option.name == name), None)
        if given is not None:
            return self._one(fact, path, Setting(given.value, given.place))
        return self._one(fact, path, Setting(values[name], None), [ground])
