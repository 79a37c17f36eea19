"""What a template sees: plain names, plain values, no method that does anything.

`docs/how-to/write-a-target.md` describes these for the people who write templates. Nothing here
says how many devices a cohort has or which: adding a device changes no bundle.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from compiler.artifact.artifact import Artifact, Artifacts
from compiler.fit.check import Estimate, RunEstimate
from compiler.fleet.graph import Cohort, Fleet, Run


@dataclass(frozen=True, slots=True)
class PrivacyFacts:
    data_class: str
    residency: str | None
    egress: str
    """`deny` or `allow`."""
    telemetry: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FleetFacts:
    name: str
    region: str | None
    blueprint: str
    """The blueprint file that declares the fleet, relative to the workspace."""
    privacy: PrivacyFacts
    """As it is for the cohort: overlays may have changed it."""
    variables: tuple[str, ...]
    """Names of what each device has a value of its own for, in `/etc/slmc/device.env`."""


@dataclass(frozen=True, slots=True)
class ClassFacts:
    """The device class. Sizes in bytes; what nobody declared is None."""

    name: str
    arch: str
    """`amd64` or `arm64`."""
    isa: tuple[str, ...]
    cores: int | None
    memory: int
    reserved_memory: int
    storage: int
    reserved_storage: int
    accelerators: tuple[str, ...]
    systemd: int | None


@dataclass(frozen=True, slots=True)
class CohortFacts:
    name: str
    device_class: ClassFacts


@dataclass(frozen=True, slots=True)
class FileFacts:
    """A file of an artifact: `name` relative to the artifact's folder, `size` in bytes."""

    name: str
    size: int
    digest: str


@dataclass(frozen=True, slots=True)
class ArtifactFacts:
    """What the device has to have: `folder` is where it lies there."""

    name: str
    digest: str
    folder: str
    size: int
    files: tuple[FileFacts, ...]


@dataclass(frozen=True, slots=True)
class ModelFacts:
    id: str
    name: str
    version: str
    task: str
    license: str


@dataclass(frozen=True, slots=True)
class RunFacts:
    """A run with every default decided: context in tokens, memory in bytes."""

    name: str
    model: ModelFacts
    recipe: str
    artifact: ArtifactFacts
    threads: int
    context_length: int
    memory_limit: int
    """The blueprint's, else twice the estimate."""
    memory_estimate: int
    port: int
    image: str | None
    command: tuple[str, ...] | None
    environment: Mapping[str, str]
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TargetFacts:
    name: str
    description: str


FACTS: tuple[type, ...] = (
    PrivacyFacts, FleetFacts, ClassFacts, CohortFacts, FileFacts, ArtifactFacts, ModelFacts, RunFacts, TargetFacts,
)  # fmt: skip

ARTIFACT_ROOT = "/var/lib/slmc/artifacts"
"""Where artifacts lie on a device, each in a folder named by its digest's hex digits."""


def cohort_context(fleet: Fleet, cohort: Cohort, artifacts: Artifacts, estimate: Estimate) -> dict[str, Any]:
    """The names that every template of the cohort sees, all but `run` and `target`."""
    estimates = {run.run: run for run in estimate.runs}
    runs = tuple(_run(run, artifacts.artifacts[run.artifact], estimates[run.name]) for run in cohort.runs)
    return {"fleet": _fleet(fleet, cohort), "cohort": CohortFacts(cohort.name, _device_class(cohort)), "runs": runs}


def _fleet(fleet: Fleet, cohort: Cohort) -> FleetFacts:
    privacy = cohort.privacy
    return FleetFacts(
        fleet.name,
        fleet.region,
        fleet.place.source.path,
        PrivacyFacts(privacy.data_class, privacy.residency, privacy.egress, privacy.telemetry),
        fleet.variables,
    )


def _device_class(cohort: Cohort) -> ClassFacts:
    hardware = cohort.device_class
    return ClassFacts(
        name=hardware.name,
        arch=hardware.arch,
        isa=hardware.isa,
        cores=hardware.cores,
        memory=hardware.memory,
        reserved_memory=hardware.reserved_memory,
        storage=hardware.storage,
        reserved_storage=hardware.reserved_storage,
        accelerators=hardware.accelerators,
        systemd=hardware.systemd,
    )


def _run(run: Run, artifact: Artifact, estimate: RunEstimate) -> RunFacts:
    model = run.model
    return RunFacts(
        name=run.name,
        model=ModelFacts(model.id, model.name, model.version, model.task, model.license),
        recipe=run.recipe.name,
        artifact=_artifact(artifact),
        threads=run.threads,
        context_length=run.context_length or artifact.shape.context_length,
        memory_limit=run.memory_limit or 2 * estimate.memory,
        memory_estimate=estimate.memory,
        port=run.port,
        image=run.image,
        command=run.command,
        environment=dict(run.environment),
        parameters=dict(run.parameters),
    )


def _artifact(artifact: Artifact) -> ArtifactFacts:
    return ArtifactFacts(
        name=artifact.name,
        digest=artifact.digest,
        folder=f"{ARTIFACT_ROOT}/{artifact.digest.removeprefix('sha256:')}",
        size=artifact.size,
        files=tuple(FileFacts(file.name, file.size, file.digest) for file in artifact.files),
    )
