"""What a template sees: plain names, plain values, no method that does anything.

`docs/how-to/write-a-target.md` describes these for the people who write templates. Nothing here
says how many devices a cohort has or which: adding a device changes no bundle.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from compiler.artifact.artifact import Artifact, Artifacts
from compiler.base.units import parse_version
from compiler.bundle.commands import arguments_of, command_of, limits_of
from compiler.fit.check import Estimate, RunEstimate
from compiler.fleet.graph import Cohort, DeviceClass, Fleet, Model, Privacy, Run, Runtime

K = TypeVar("K")
F = TypeVar("F")


@dataclass(frozen=True, slots=True)
class PrivacyFacts:
    data_class: str
    residency: str | None
    egress: str
    """`deny` or `allow`."""
    telemetry: tuple[str, ...]


@dataclass(slots=True, unsafe_hash=True)
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
    podman: tuple[int, int] | None
    """`(5, 4)`, to be compared with another such pair."""


@dataclass(slots=True, unsafe_hash=True)
class CohortFacts:
    name: str
    folder: str
    """Where its bundles lie below the output folder, each in a folder of its target's name."""
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
    golden: bool
    """Whether it has golden answers, so that the bundle has a `golden.json`."""


@dataclass(frozen=True, slots=True)
class ModelFacts:
    id: str
    name: str
    version: str
    task: str
    license: str


@dataclass(frozen=True, slots=True)
class RuntimeFacts:
    """What serves a run. `live`, `ready` and `metrics` are paths on its port."""

    name: str
    live: str | None
    ready: str | None
    metrics: str | None
    notify: bool
    configuration: str | None


@dataclass(slots=True, unsafe_hash=True)
class RunFacts:
    """A run with every default decided: context in tokens, memory in bytes.

    Frozen in all but name: one is made for each run of each cohort, and `frozen` makes that five times as slow.
    """

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
    arguments: tuple[str, ...] | None
    """For the image's entry point."""
    runtime: RuntimeFacts | None
    limits: Mapping[str, float]
    objectives: Mapping[str, float]
    environment: Mapping[str, str]
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TargetFacts:
    name: str
    description: str
    options: Mapping[str, Any]
    """What `target.yaml` declares, with the fleet's values; None where neither gives one. Lists are tuples."""


FACTS: tuple[type, ...] = (
    PrivacyFacts, FleetFacts, ClassFacts, CohortFacts, FileFacts, ArtifactFacts, ModelFacts, RuntimeFacts, RunFacts,
    TargetFacts,
)  # fmt: skip

ARTIFACT_ROOT = "/var/lib/slmc/artifacts"
"""Where artifacts lie on a device, each in a folder named by its digest's hex digits."""


_MOST_KEPT = 1000


class _Made(Generic[K, F]):
    """The facts of things that many cohorts share, made once for each. What they are made of is not looked at again."""

    def __init__(self, make: Callable[[K], F]) -> None:
        self._make = make
        self._kept: dict[int, tuple[K, F]] = {}
        """By identity: to hash a device class costs more than to make its facts. The value keeps the key alive."""

    def of(self, value: K) -> F:
        kept = self._kept.get(id(value))
        if kept is None:
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            kept = self._kept[id(value)] = value, self._make(value)
        return kept[1]


def cohort_context(
    fleet: Fleet, cohort: Cohort, artifacts: Artifacts, estimate: Estimate, folder: str
) -> dict[str, Any]:
    """The names that every template of the cohort sees, all but `run` and `target`. `folder` is the cohort's."""
    estimates = {run.run: run for run in estimate.runs}
    runs = tuple([_run(run, artifacts.artifacts[run.artifact], estimates[run.name]) for run in cohort.runs])
    facts = CohortFacts(cohort.name, folder, _CLASSES.of(cohort.device_class))
    return {"fleet": _fleet(fleet, cohort), "cohort": facts, "runs": runs}


def _fleet(fleet: Fleet, cohort: Cohort) -> FleetFacts:
    privacy = _PRIVACY.of(cohort.privacy)
    return FleetFacts(fleet.name, fleet.region, fleet.place.source.path, privacy, fleet.variables)


def _privacy(privacy: Privacy) -> PrivacyFacts:
    return PrivacyFacts(privacy.data_class, privacy.residency, privacy.egress, privacy.telemetry)


def _device_class(hardware: DeviceClass) -> ClassFacts:
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
        podman=parse_version(hardware.podman) if hardware.podman else None,
    )


def _run(run: Run, artifact: Artifact, estimate: RunEstimate) -> RunFacts:
    facts = _ARTIFACTS.of(artifact)
    length = run.context_length or artifact.shape.context_length
    return RunFacts(
        name=run.name,
        model=_MODELS.of(run.model),
        recipe=run.recipe.name,
        artifact=facts,
        threads=run.threads,
        context_length=length,
        memory_limit=run.memory_limit or estimate.default_limit,
        memory_estimate=estimate.memory,
        port=run.port,
        image=run.image,
        command=command_of(run, facts.folder, length),
        arguments=arguments_of(run, length),
        runtime=_RUNTIMES.of(run.runtime) if run.runtime else None,
        limits=limits_of(run),
        objectives=dict(run.objectives),
        environment=dict((run.runtime.environment if run.runtime else ()) + run.environment),
        parameters=dict(run.parameters),
    )


def _model(model: Model) -> ModelFacts:
    return ModelFacts(model.id, model.name, model.version, model.task, model.license)


def artifact_folder(artifact: Artifact) -> str:
    """Where the artifact lies on a device."""
    return f"{ARTIFACT_ROOT}/{artifact.digest.removeprefix('sha256:')}"


def _artifact(artifact: Artifact) -> ArtifactFacts:
    return ArtifactFacts(
        name=artifact.name,
        digest=artifact.digest,
        folder=artifact_folder(artifact),
        size=artifact.size,
        files=tuple(FileFacts(file.name, file.size, file.digest) for file in artifact.files),
        golden=artifact.golden is not None,
    )


def _runtime(runtime: Runtime) -> RuntimeFacts:
    return RuntimeFacts(
        runtime.name, runtime.live, runtime.ready, runtime.metrics, runtime.notify, runtime.configuration
    )


_ARTIFACTS = _Made(_artifact)
_CLASSES = _Made(_device_class)
_MODELS = _Made(_model)
_PRIVACY = _Made(_privacy)
_RUNTIMES = _Made(_runtime)
