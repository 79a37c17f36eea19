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
    RelativePath,
    Share,
    Version,
)


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
    gates: Annotated[GatesSpec, Field(description="Limits that the result must keep.")] = GatesSpec.model_construct()


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
