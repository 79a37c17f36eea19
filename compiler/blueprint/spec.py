"""The blueprint format, as pydantic models: what a user may write, and nothing else.

Field names are snake_case here and camelCase in YAML. The descriptions become the JSON
Schema that editors show, so they are written for the person at the keyboard.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema

from compiler.blueprint.scalars import ByteSize, DateText, EngineVersion


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
    podman: Annotated[EngineVersion | None, Field(description="Version of podman on the device, in quotes.")] = None
    source: Annotated[str | None, Field(description="Where these facts come from.")] = None
