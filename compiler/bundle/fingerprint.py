"""What shapes a bundle's files, in one digest: equal digests mean equal files."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from compiler.artifact.artifact import Artifacts
from compiler.bundle.targets import DEFINITION, Target, template_names
from compiler.fit.check import Estimate
from compiler.fleet.graph import Cohort, DeviceClass, Fleet, Run


class Fingerprints:
    """Takes the fingerprints of one compile. What many cohorts share is looked at once."""

    def __init__(self, artifacts: Artifacts) -> None:
        self._artifacts = artifacts
        self._targets: dict[str, str] = {}
        self._classes: dict[int, str] = {}

    def of_fleet(self, fleet: Fleet) -> str:
        """What all bundles of the fleet are shaped by."""
        return repr((fleet.name, fleet.region, fleet.place.source.path, fleet.variables))

    def of_cohort(self, fleet: str, cohort: Cohort, estimate: Estimate) -> str:
        """What all bundles of the cohort are shaped by; `fleet` is what its fleet gives."""
        runs = [self._run(run, needed.memory) for run, needed in zip(cohort.runs, estimate.runs, strict=True)]
        return repr((fleet, cohort.name, cohort.privacy, self._device_class(cohort.device_class), runs))

    def of_bundle(self, cohort: str, target: Target) -> str:
        if target.name not in self._targets:
            self._targets[target.name] = _target(target)
        return sha256(f"{self._targets[target.name]}{cohort}".encode(errors="surrogatepass")).hexdigest()

    def _run(self, run: Run, memory: int) -> tuple[Any, ...]:
        model, artifact = run.model, self._artifacts.artifacts[run.artifact]
        return (
            run.name, model.id, model.task, model.license, run.recipe.name, artifact.digest, run.threads,
            run.context_length, run.memory_limit, memory, run.image, run.command, run.port, run.environment,
            run.parameters,
        )  # fmt: skip

    def _device_class(self, hardware: DeviceClass) -> str:
        key = id(hardware)
        if key not in self._classes:
            self._classes[key] = repr(hardware)
        return self._classes[key]


def _target(target: Target) -> str:
    """The definition and the templates, by what is in the folder."""
    contents: Mapping[str, bytes] = {name: _read(target.folder / name) for name in template_names(target.folder)}
    digest = sha256((target.folder / DEFINITION).read_bytes())
    for name, data in contents.items():
        digest.update(f"\0{name}\0{len(data)}\0".encode(errors="surrogateescape") + data)
    return digest.hexdigest()


def _read(path: Path) -> bytes:
    """A template; nothing where the system refuses, which rendering reports."""
    try:
        return path.read_bytes()
    except OSError:
        return b""
