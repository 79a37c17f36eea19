"""The blueprint format, as pydantic models: what a user may write, and nothing else.

Field names are snake_case here and camelCase in YAML. The descriptions become the JSON
Schema that editors show, so they are written for the person at the keyboard.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema

from compiler.blueprint.scalars import (
    ByteSize,
    DateText,
    ImageReference,
    ModelReference,
    Name,
    OneOrMore,
    RelativePath,
    Share,
    VariableName,
    Version,
)

API_VERSION = "slmc.dev/v1alpha1"
KIND = "Blueprint"


class Spec(BaseModel):
    """A mapping of the blueprint. A key is written with a value or left out: null is no value."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        allow_inf_nan=False,
        alias_generator=to_camel,
        validate_by_name=False,
        validate_by_alias=True,
        defer_build=True,
    )

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Let None be the default of a field, but nothing that can be written."""
        schema = handler(source)
        model: Any = handler.resolve_ref_schema(schema)
        for field in model["schema"]["fields"].values():
            inner = field["schema"]
            if inner["type"] == "default" and inner["schema"]["type"] == "nullable":
                inner["schema"] = inner["schema"]["schema"]
        return schema


class EvaluateSpec(Spec):
    """What a model is measured on."""

    data: Annotated[RelativePath, Field(description='JSON Lines in the workspace, one `{"text": …}` per line.')]
    max_tokens: Annotated[int, Field(ge=256, le=10_000_000, description="How many tokens to read at most.")] = 16_384


class ModelVersionSpec(Spec):
    """One version of a model."""

    source: Annotated[RelativePath, Field(description="Folder in the layout that onnxruntime-genai loads.")]


class ModelSpec(Spec):
    """A model with its versions."""

    task: Annotated[Literal["text-generation"], Field(description="What the model does.")]
    license: Annotated[str, Field(min_length=1, description="SPDX identifier of the model's licence.")]
    evaluate: Annotated[EvaluateSpec, Field(description="What the model is measured on.")]
    versions: Annotated[
        dict[Version, ModelVersionSpec], Field(min_length=1, description="Versions by name, such as `1.4.0`.")
    ]


class OptimizeStep(Spec):
    """ONNX Runtime's graph optimization, saved. Speed: fewer nodes. Size and quality: unchanged."""

    kind: Literal["optimize"]
    level: Annotated[
        Literal["basic", "extended"], Field(description="`extended` also fuses nodes, for the CPU provider.")
    ] = "extended"


class QuantizeDynamicStep(Spec):
    """8-bit weights and activations; activations are scaled at run time."""

    kind: Literal["quantize"]
    scheme: Literal["int8-dynamic"]
    per_channel: Annotated[bool, Field(description="One scale for each output channel: same size, better quality.")] = (
        True
    )


class QuantizeBlockwiseStep(Spec):
    """4- or 8-bit weights in blocks that share one scale; activations stay as they are."""

    kind: Literal["quantize"]
    scheme: Literal["int4", "int8"]
    block_size: Annotated[
        Literal[16, 32, 64, 128, 256], Field(description="Weights that share a scale. Smaller: better and larger.")
    ] = 32
    symmetric: Annotated[bool, Field(description="Without zero points: a little smaller and worse.")] = False


QuantizeStep = Annotated[QuantizeDynamicStep | QuantizeBlockwiseStep, Field(discriminator="scheme")]
StepSpec = Annotated[OptimizeStep | QuantizeStep, Field(discriminator="kind")]


class SizeGate(Spec):
    max: Annotated[ByteSize, Field(description="The most that is allowed, such as 450MiB.")]


class NumberCeiling(Spec):
    max: Annotated[float, Field(ge=0, description="The most that is allowed.")]


class NumberFloor(Spec):
    min: Annotated[float, Field(ge=0, description="The least that is allowed.")]


class ShareFloor(Spec):
    min: Annotated[Share, Field(description="The least that is allowed, such as 95%.")]


class GatesSpec(Spec):
    """Limits that the result must keep. A gate that fails stops the release (exit code 4)."""

    perplexity: Annotated[NumberCeiling | None, Field(description="Of the result, on the evaluation data.")] = None
    perplexity_ratio: Annotated[NumberCeiling | None, Field(description="Perplexity over the unoptimized model's.")] = (
        None
    )
    kl_divergence: Annotated[
        NumberCeiling | None, Field(description="Mean, in nats, of the next-token distribution.")
    ] = None
    top_one_agreement: Annotated[
        ShareFloor | None, Field(description="Share of positions with the same best token.")
    ] = None
    size: Annotated[SizeGate | None, Field(description="All files of the result.")] = None
    tokens_per_second: Annotated[NumberFloor | None, Field(description="Measured on the build machine.")] = None
    peak_memory: Annotated[SizeGate | None, Field(description="Measured on the build machine.")] = None


class RecipeSpec(Spec):
    """Ordered optimization steps, and the gates that their result must pass."""

    steps: Annotated[list[StepSpec], Field(min_length=1, description="What is done to the model, in this order.")]
    gates: Annotated[GatesSpec, Field(description="Limits that the result must keep.")] = GatesSpec()


class PriceSpec(Spec):
    """A price. Prices move, so it has a date."""

    usd: Annotated[float, Field(ge=0, description="US dollars for one device.")]
    date: Annotated[DateText, Field(description="When it was true: a day, a month or a year.")]
    source: Annotated[str | None, Field(description="Who asks that price.")] = None


class DeviceClassSpec(Spec):
    """A kind of hardware. What is left out comes from the class it extends."""

    extends: Annotated[str | None, Field(description="Another class, or `builtin/NAME`.")] = None
    arch: Annotated[Literal["amd64", "arm64"] | None, Field(description="Of the processor.")] = None
    isa: Annotated[list[str] | None, Field(description="Instruction set features, such as dotprod or avx512-vnni.")] = (
        None
    )
    cores: Annotated[int | None, Field(ge=1, description="Processor cores.")] = None
    memory: Annotated[ByteSize | None, Field(description="RAM, such as 8GB.")] = None
    reserved_memory: Annotated[ByteSize | None, Field(description="What the system keeps for itself.")] = None
    storage: Annotated[ByteSize | None, Field(description="Disk, card or flash, such as 32GB.")] = None
    reserved_storage: Annotated[ByteSize | None, Field(description="What the system keeps for itself.")] = None
    accelerators: Annotated[list[str] | None, Field(description="GPUs and NPUs, by name.")] = None
    power_watts: Annotated[float | None, Field(ge=0, description="Drawn under load.")] = None
    price: Annotated[PriceSpec | None, Field(description="Of one device, with its date.")] = None
    systemd: Annotated[int | None, Field(ge=240, description="Version of systemd on the device.")] = None
    source: Annotated[str | None, Field(description="Where these facts come from.")] = None


class ServeSpec(Spec):
    """What serves the model on the device."""

    image: Annotated[ImageReference | None, Field(description="For container targets, by digest.")] = None
    command: Annotated[
        list[str] | None, Field(min_length=1, description="For the systemd target: absolute program and arguments.")
    ] = None
    port: Annotated[
        int | None, Field(ge=1024, le=65535, description="On localhost; default: from 8080 on, in the order of runs.")
    ] = None


Match = dict[str, OneOrMore[str]]


class RunSpec(Spec):
    """A model, optimized by a recipe, running on the devices that match."""

    model: Annotated[ModelReference, Field(description="NAME@VERSION of a model.")]
    recipe: Annotated[Name, Field(description="The recipe that optimizes it.")]
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
    serve: Annotated[ServeSpec, Field(description="What serves the model on the device.")] = ServeSpec()
    environment: Annotated[dict[VariableName, str], Field(description="Environment variables of the server.")] = {}


class RunOverrideSpec(Spec):
    """The values of a run that an overlay may set."""

    model: Annotated[ModelReference | None, Field(description="NAME@VERSION of a model.")] = None
    recipe: Annotated[Name | None, Field(description="The recipe that optimizes it.")] = None
    threads: Annotated[int | None, Field(ge=1, le=1024, description="Threads that compute.")] = None
    context_length: Annotated[int | None, Field(ge=16, description="Tokens.")] = None
    memory_limit: Annotated[ByteSize | None, Field(description="Hard limit.")] = None
    serve: Annotated[ServeSpec | None, Field(description="Keys that are left out stay as they are.")] = None
    environment: Annotated[dict[VariableName, str] | None, Field(description="Added to the run's.")] = None


class OverlaySpec(Spec):
    """Values laid over the runs of the devices that match. Later overlays win."""

    match: Annotated[Match, Field(min_length=1, description="`class`, `device` or a label: one value or a list.")]
    runs: Annotated[dict[Name, RunOverrideSpec], Field(min_length=1, description="New values, by the run's name.")]


class PrivacySpec(Spec):
    """What may leave the device. Unless it says otherwise, nothing does."""

    data_class: Annotated[
        Literal["public", "internal", "personal", "health", "financial"], Field(description="What the model reads.")
    ] = "personal"
    residency: Annotated[str | None, Field(description="Where the data has to stay, such as `eu`.")] = None
    egress: Annotated[Literal["deny", "allow"], Field(description="Connections from the device to elsewhere.")] = "deny"
    telemetry: Annotated[
        list[Literal["latency", "errors", "tokens", "memory"]], Field(description="What is reported. All else stays.")
    ] = []


class FleetSpec(Spec):
    """The devices of an inventory, what runs on them, and for which targets it is emitted."""

    inventory: Annotated[OneOrMore[RelativePath], Field(description="CSV or JSON Lines, one row for each device.")]
    region: Annotated[str | None, Field(description="For people; nothing depends on it.")] = None
    runs: Annotated[dict[Name, RunSpec], Field(min_length=1, description="What runs on the devices, by name.")]
    targets: Annotated[list[Name], Field(min_length=1, description="Output formats, such as `systemd`.")]
    privacy: Annotated[PrivacySpec, Field(description="What may leave the device.")] = PrivacySpec()
    overlays: Annotated[list[OverlaySpec], Field(description="Other values for some devices. Later ones win.")] = []


class EnvelopeSpec(Spec):
    """One blueprint file without a look into its entries."""

    api_version: Any
    kind: Any
    models: dict[str, Any] = {}
    recipes: dict[str, Any] = {}
    device_classes: dict[str, Any] = {}
    fleets: dict[str, Any] = {}


class BlueprintSpec(Spec):
    """One blueprint file. The files of a workspace merge by name."""

    api_version: Annotated[Literal["slmc.dev/v1alpha1"], Field(description="Version of the format.")]
    kind: Annotated[Literal["Blueprint"], Field(description="Always `Blueprint`.")]
    models: Annotated[dict[Name, ModelSpec], Field(description="Models with their versions.")] = {}
    recipes: Annotated[dict[Name, RecipeSpec], Field(description="How models are optimized.")] = {}
    device_classes: Annotated[dict[Name, DeviceClassSpec], Field(description="Kinds of hardware.")] = {}
    fleets: Annotated[dict[Name, FleetSpec], Field(description="Devices, and what runs on them.")] = {}


SECTIONS: dict[str, type[Spec]] = {
    "models": ModelSpec,
    "recipes": RecipeSpec,
    "deviceClasses": DeviceClassSpec,
    "fleets": FleetSpec,
}
"""What the entries of each section are, by the section's key in YAML."""
