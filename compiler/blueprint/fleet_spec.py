"""The fleets of a blueprint, as pydantic models: runs, overlays, privacy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from compiler.blueprint.runtime_spec import LimitsSpec, ObjectivesSpec
from compiler.blueprint.scalars import (
    ByteSize,
    ColumnUse,
    ImageReference,
    ModelReference,
    Name,
    OneOrMore,
    OptionName,
    OptionValue,
    RelativePath,
    RuntimeReference,
    Scalar,
    VariableName,
)
from compiler.blueprint.spec import Spec


class ServeSpec(Spec):
    """What serves the model on the device."""

    runtime: Annotated[
        RuntimeReference | None, Field(description="A runtime: `builtin/onnxruntime`, or one of `runtimes:`.")
    ] = None
    image: Annotated[ImageReference | None, Field(description="For container targets, by digest.")] = None
    command: Annotated[
        list[str] | None, Field(min_length=1, description="For the systemd target: absolute program and arguments.")
    ] = None
    port: Annotated[
        int | None, Field(ge=1024, le=65535, description="On localhost; default: from 8080 on, in the order of runs.")
    ] = None


Match = dict[str, OneOrMore[str]]


class ChoiceSpec(Spec):
    """Several recipes, of which slmc takes the best that passes its gates, for each device class."""

    choose: Annotated[list[Name], Field(min_length=1, description="Names of recipes.")]
    minimize: Annotated[Literal["size", "latency", "memory", "energy"], Field(description="Which one is the best.")] = (
        "size"
    )

    @property
    def written(self) -> str:
        """The choice as a blueprint may write it: one text for one choice."""
        return f"{{choose: [{', '.join(self.choose)}], minimize: {self.minimize}}}"


def _name_or_choice(value: Any) -> str:
    return "choice" if isinstance(value, dict) else "name"


_NAME_OR_CHOICE: Callable[[Any], str] = _name_or_choice
RecipeUse = Annotated[
    Annotated[Name, Tag("name")] | Annotated[ChoiceSpec, Tag("choice")], Discriminator(_NAME_OR_CHOICE)
]


class RunSpec(Spec):
    """A model, optimized by a recipe, running on the devices that match."""

    model: Annotated[ModelReference, Field(description="NAME@VERSION of a model.")]
    recipe: Annotated[
        RecipeUse, Field(description="The recipe that optimizes it, or `{choose: [A, B], minimize: size}`.")
    ]
    match: Annotated[
        Match, Field(description="`class`, `device` or a label, with one value or a list; default: every device.")
    ] = {}
    threads: Annotated[int, Field(ge=1, le=1024, description="Threads that compute.")] = 4
    context_length: Annotated[int | None, Field(ge=16, description="Tokens; default: what the model was made for.")] = (
        None
    )
    memory_limit: Annotated[ByteSize | None, Field(description="Hard limit; default: twice what slmc estimates.")] = (
        None
    )
    serve: Annotated[ServeSpec, Field(description="What serves the model on the device.")] = ServeSpec.model_construct()
    limits: Annotated[LimitsSpec, Field(description="What the server takes on.")] = LimitsSpec.model_construct()
    objectives: Annotated[ObjectivesSpec, Field(description="What the run is held to.")] = (
        ObjectivesSpec.model_construct()
    )
    environment: Annotated[dict[VariableName, str], Field(description="Environment variables of the server.")] = {}
    parameters: Annotated[dict[VariableName, Scalar], Field(description="Values for own templates.")] = {}


class RunOverrideSpec(Spec):
    """The values of a run that an overlay may set."""

    model: Annotated[ModelReference | None, Field(description="NAME@VERSION of a model.")] = None
    recipe: Annotated[RecipeUse | None, Field(description="The recipe that optimizes it, or a choice.")] = None
    threads: Annotated[int | None, Field(ge=1, le=1024, description="Threads that compute.")] = None
    context_length: Annotated[int | None, Field(ge=16, description="Tokens.")] = None
    memory_limit: Annotated[ByteSize | None, Field(description="Hard limit.")] = None
    serve: Annotated[ServeSpec | None, Field(description="Keys that are left out stay as they are.")] = None
    limits: Annotated[LimitsSpec | None, Field(description="Keys that are left out stay as they are.")] = None
    objectives: Annotated[ObjectivesSpec | None, Field(description="Keys that are left out stay as they are.")] = None
    environment: Annotated[dict[VariableName, str] | None, Field(description="Added to the run's.")] = None
    parameters: Annotated[dict[VariableName, Scalar] | None, Field(description="Added to the run's.")] = None


DataClass = Literal["public", "internal", "personal", "health", "financial"]
Egress = Literal["deny", "allow"]
Telemetry = Literal["latency", "errors", "tokens", "memory"]


class PrivacySpec(Spec):
    """What may leave the device. Unless it says otherwise, nothing does."""

    data_class: Annotated[DataClass, Field(description="What the model reads.")] = "personal"
    residency: Annotated[str | None, Field(description="Where the data has to stay, such as `eu`.")] = None
    egress: Annotated[Egress, Field(description="Connections from the device to elsewhere.")] = "deny"
    telemetry: Annotated[list[Telemetry], Field(description="What is reported. All else stays.")] = []


class PrivacyOverrideSpec(Spec):
    """The privacy values that an overlay may set, where `overridable` lets it."""

    data_class: Annotated[DataClass | None, Field(description="What the model reads.")] = None
    residency: Annotated[str | None, Field(description="Where the data has to stay, such as `eu`.")] = None
    egress: Annotated[Egress | None, Field(description="Connections from the device to elsewhere.")] = None
    telemetry: Annotated[list[Telemetry] | None, Field(description="What is reported. All else stays.")] = None


MergeRule = Literal["replace", "merge", "append", "remove"]


class OverlaySpec(Spec):
    """Values laid over those of the devices that match. A more specific match wins."""

    match: Annotated[Match, Field(min_length=1, description="`class`, `device` or a label: one value or a list.")]
    priority: Annotated[
        int, Field(ge=-1000, le=1000, description="Among overlays of one level, the higher one wins.")
    ] = 0
    runs: Annotated[dict[Name, RunOverrideSpec], Field(description="New values, by the run's name.")] = {}
    privacy: Annotated[PrivacyOverrideSpec | None, Field(description="Only where `overridable` lets it.")] = None
    rules: Annotated[
        dict[str, MergeRule],
        Field(description="How a value is laid over the one below, by its path, such as `runs.chat.serve.command`."),
    ] = {}


class TargetUseSpec(Spec):
    """A target with values for its options."""

    name: Annotated[Name, Field(description="Name of the target.")]
    options: Annotated[
        dict[OptionName, OptionValue], Field(description="Values of the options that its `target.yaml` declares.")
    ] = {}


def _name_or_target(value: Any) -> str:
    return "target" if isinstance(value, dict) else "name"


_NAME_OR_TARGET: Callable[[Any], str] = _name_or_target
TargetEntry = Annotated[
    Annotated[Name, Tag("name")] | Annotated[TargetUseSpec, Tag("target")], Discriminator(_NAME_OR_TARGET)
]


class FleetSpec(Spec):
    """The devices of an inventory, what runs on them, and for which targets it is emitted."""

    inventory: Annotated[
        OneOrMore[RelativePath],
        Field(
            description="CSV or JSON Lines, one row for each device: paths, or patterns such as `inventory/**/*.csv`."
        ),
    ]
    columns: Annotated[
        dict[str, ColumnUse],
        Field(description="Columns of the inventory that are no labels: a fact of the hardware, a value, a variable."),
    ] = {}
    region: Annotated[str | None, Field(description="For people; nothing depends on it.")] = None
    runs: Annotated[dict[Name, RunSpec], Field(min_length=1, description="What runs on the devices, by name.")]
    targets: Annotated[
        list[TargetEntry],
        Field(min_length=1, description="Output formats, such as `systemd` or `{name: container, options: {…}}`."),
    ]
    privacy: Annotated[PrivacySpec, Field(description="What may leave the device.")] = PrivacySpec.model_construct()
    overlays: Annotated[list[OverlaySpec], Field(description="Other values for some devices.")] = []
    order: Annotated[
        list[str], Field(description="Labels as levels of overlays, from general to specific; other labels come after.")
    ] = ["region", "site"]
    overridable: Annotated[
        dict[str, list[str]],
        Field(description="By level, the paths that its overlays may set, such as `runs.*.threads`; default: `runs`."),
    ] = {}
