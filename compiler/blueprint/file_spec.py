"""One blueprint file as a pydantic model: the envelope around models, recipes, device classes, runtimes and fleets."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from compiler.blueprint.fleet_spec import FleetSpec
from compiler.blueprint.model_spec import ModelSpec
from compiler.blueprint.recipe_spec import RecipeSpec
from compiler.blueprint.runtime_spec import RuntimeSpec
from compiler.blueprint.scalars import Name
from compiler.blueprint.spec import DeviceClassSpec, Spec

API_VERSION = "slmc.dev/v1alpha1"
KIND = "Blueprint"


class EnvelopeSpec(Spec):
    """One blueprint file without a look into its entries."""

    api_version: Any
    kind: Any
    models: dict[str, Any] = {}
    recipes: dict[str, Any] = {}
    device_classes: dict[str, Any] = {}
    runtimes: dict[str, Any] = {}
    fleets: dict[str, Any] = {}


class BlueprintSpec(Spec):
    """One blueprint file. The files of a workspace merge by name."""

    api_version: Annotated[Literal["slmc.dev/v1alpha1"], Field(description="Version of the format.")]
    kind: Annotated[Literal["Blueprint"], Field(description="Always `Blueprint`.")]
    models: Annotated[dict[Name, ModelSpec], Field(description="Models with their versions.")] = {}
    recipes: Annotated[dict[Name, RecipeSpec], Field(description="How models are optimized.")] = {}
    device_classes: Annotated[dict[Name, DeviceClassSpec], Field(description="Kinds of hardware.")] = {}
    runtimes: Annotated[dict[Name, RuntimeSpec], Field(description="What serves models.")] = {}
    fleets: Annotated[dict[Name, FleetSpec], Field(description="Devices, and what runs on them.")] = {}


SECTIONS: dict[str, type[Spec]] = {
    "models": ModelSpec,
    "recipes": RecipeSpec,
    "deviceClasses": DeviceClassSpec,
    "runtimes": RuntimeSpec,
    "fleets": FleetSpec,
}
"""What the entries of each section are, by the section's key in YAML."""
