"""The compiler's view of a workspace: every name is an object, every value knows its lines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from compiler.base.span import Span
from compiler.fleet.devices import Device, Origins, Setting


@dataclass(frozen=True, slots=True)
class Model:
    """One version of a model. Paths are relative to the workspace, with `/`."""

    name: str
    version: str
    task: str
    license: str
    source: str
    evaluation_data: str
    evaluation_tokens: int
    place: Span = field(compare=False, repr=False)
    """Where `source:` stands."""
    evaluation_place: Span = field(compare=False, repr=False)
    baseline: str = "source"
    """What its artifacts are compared with: `source`, or the artifact that is `deployed`."""

    @property
    def id(self) -> str:
        return f"{self.name}@{self.version}"


@dataclass(frozen=True, slots=True)
class Step:
    """One recipe step: `kind` and its parameters as plain JSON values, defaults filled in."""

    kind: str
    parameters: Mapping[str, Any]
    place: Span = field(compare=False, repr=False)
    files: tuple[StepFile, ...] = ()
    """What the parameters name in the workspace."""
    places: Mapping[str, Span] = field(default_factory=dict, compare=False, repr=False)
    """Of the parameters that are written, by their paths: `adapter`, `dimensions.batch`, `inputs.0`."""


@dataclass(frozen=True, slots=True)
class StepFile:
    """A file or folder that a step reads beside the model: `key` is the parameter that names it."""

    key: str
    path: str
    place: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Gate:
    """A limit on one metric (`klDivergence`, `size`, …): `limit` in the metric's base unit
    (bytes, shares of 1, nats, tokens per second)."""

    metric: str
    bound: Literal["max", "min"]
    limit: float
    place: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Recipe:
    """Steps and gates; or several such recipes to choose from, and then none of its own."""

    name: str
    steps: tuple[Step, ...]
    gates: tuple[Gate, ...]
    place: Span = field(compare=False, repr=False)
    choice: tuple[Recipe, ...] = ()
    minimize: str = ""
    """What the best of a choice has the least of: `size`, `latency`, `memory`, `energy`."""
    places: tuple[Span, ...] = field(default=(), compare=False, repr=False)
    """Where the choice names each of its recipes."""

    @property
    def candidates(self) -> tuple[Recipe, ...]:
        """The recipes that may be the one: itself, unless it is a choice."""
        return self.choice or (self,)


@dataclass(frozen=True, slots=True)
class DeviceClass:
    """A kind of hardware, `extends` followed. Sizes in bytes, power in watts.

    `name` is what an inventory calls it: a class of the catalogue keeps its `builtin/`.
    """

    name: str
    arch: Literal["amd64", "arm64"]
    memory: int
    storage: int
    reserved_memory: int
    reserved_storage: int
    cores: int | None
    isa: tuple[str, ...]
    accelerators: tuple[str, ...]
    power_watts: float | None
    price_usd: float | None
    price_date: str | None
    systemd: int | None
    place: Span | None = field(compare=False, repr=False)
    """Where the class is declared in the workspace; None for one used straight from the catalogue."""
    podman: str | None = None
    """Its first two numbers: `5.4`."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """What serves a model. Words of `command` and `arguments` may hold placeholders; probes are paths of URLs."""

    name: str
    image: str | None = None
    command: tuple[str, ...] | None = None
    arguments: tuple[str, ...] | None = None
    """What the image's entry point is given."""
    tasks: tuple[str, ...] = ()
    """Empty: any."""
    live: str | None = None
    ready: str | None = None
    metrics: str | None = None
    notify: bool = False
    """Whether it tells systemd that it is ready."""
    configuration: str | None = None
    """The file of the bundle that it reads."""
    environment: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True, unsafe_hash=True)
class Run:
    """A model on the devices of one cohort, all overlays applied.

    Nobody changes it. It is not frozen, because making it would then take twice as long.
    """

    name: str
    model: Model
    recipe: Recipe
    threads: int
    context_length: int | None
    memory_limit: int | None
    image: str | None
    command: tuple[str, ...] | None
    port: int
    environment: tuple[tuple[str, str], ...]
    place: Span = field(compare=False, repr=False)
    """Where the run is declared in its fleet."""
    parameters: tuple[tuple[str, Any], ...] = ()
    runtime: Runtime | None = None
    limits: tuple[tuple[str, float], ...] = ()
    """By key of the blueprint, in tokens, requests, bytes and seconds; what nobody set is not there."""
    objectives: tuple[tuple[str, float], ...] = ()
    """The same, in seconds and shares of 1."""

    @property
    def artifact(self) -> str:
        """The name of the artifact that this run needs: `assistant-1.4.0-int4-edge`."""
        return artifact_name(self.model, self.recipe)


def artifact_name(model: Model, recipe: Recipe) -> str:
    """Of a choice, what stands for the name of the one artifact that it will be."""
    if recipe.choice:
        return f"{model.name}-{model.version} chosen among {', '.join(one.name for one in recipe.choice)}"
    return f"{model.name}-{model.version}-{recipe.name}"


@dataclass(frozen=True, slots=True)
class Privacy:
    data_class: str
    residency: str | None
    egress: Literal["deny", "allow"]
    telemetry: tuple[str, ...]


@dataclass(slots=True, unsafe_hash=True)
class Cohort:
    """The devices of a fleet whose resolved configuration is identical; they share bundles. Nobody changes it."""

    name: str
    device_class: DeviceClass
    """With the facts that the devices state of themselves in the place of the class's."""
    runs: tuple[Run, ...]
    devices: tuple[Device, ...]
    privacy: Privacy
    origins: Origins = field(compare=False, repr=False)

    @property
    def provenance(self) -> Mapping[str, Setting]:
        """Of the first device, by path inside the fleet. It is worked out anew each time."""
        return self.origins.of(self.devices[0])

    def place_of(self, run: Run, path: str) -> Span:
        """Where the value at `path` of a run was set, else where the run is declared. Worked out anew each time."""
        setting = self.provenance.get(f"runs.{run.name}.{path}")
        return setting.place if setting and setting.place else run.place

    def provenance_of(self, device: str) -> Mapping[str, Setting]:
        """Of the device with this id; of the first one when the cohort has no such device."""
        return self.origins.of(next((member for member in self.devices if member.id == device), self.devices[0]))


@dataclass(frozen=True, slots=True)
class TargetOption:
    """A value that a fleet gives a target: text, a number, a truth value, or a tuple of such."""

    name: str
    value: Any
    key: Span = field(compare=False, repr=False)
    place: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class TargetUse:
    """A target that a fleet is emitted for, with the place that asked for it. Options are in the order of names."""

    name: str
    place: Span = field(compare=False, repr=False)
    options: tuple[TargetOption, ...] = ()


@dataclass(frozen=True, slots=True)
class Fleet:
    name: str
    region: str | None
    targets: tuple[TargetUse, ...]
    privacy: Privacy
    """The fleet's own; overlays may give a cohort another."""
    cohorts: tuple[Cohort, ...]
    place: Span = field(compare=False, repr=False)
    idle: tuple[Device, ...] = ()
    """Devices that no run matches: they belong to no cohort and get no bundle."""
    variables: tuple[str, ...] = ()
    """Names, in order, of what the table of devices gives each device for itself."""

    @property
    def devices(self) -> int:
        return sum(len(cohort.devices) for cohort in self.cohorts)
