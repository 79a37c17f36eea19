"""The device classes that come with slmc, as `builtin/NAME`."""

from __future__ import annotations

from collections.abc import Mapping

from compiler.base.diagnostics import Diagnostic
from compiler.base.shipped import shipped
from compiler.blueprint.blueprint import Blueprint
from compiler.blueprint.merge import merge
from compiler.blueprint.spec import DeviceClassSpec
from compiler.syntax.read import read

PREFIX = "builtin/"
_FILE = "device-classes.slmc.yaml"

Catalogue = Mapping[str, DeviceClassSpec]
"""By full name, such as `builtin/raspberry-pi-5-8g`."""


def load() -> tuple[Catalogue, list[Diagnostic]]:
    """Read the catalogue. It is a blueprint like any other, so its mistakes are diagnostics too."""
    blueprint, diagnostics = declared()
    return {PREFIX + name: _prefixed(spec) for name, spec in blueprint.device_classes.items()}, diagnostics


def declared() -> tuple[Blueprint, list[Diagnostic]]:
    """The catalogue as it is written: short names, each value with its place."""
    document, diagnostics = read(shipped("catalogue") / _FILE, PREFIX + _FILE)
    blueprint, faults = merge([document] if document else [])
    return blueprint, diagnostics + faults


def _prefixed(spec: DeviceClassSpec) -> DeviceClassSpec:
    """Inside the catalogue a class extends another one by its short name."""
    return spec.model_copy(update={"extends": PREFIX + spec.extends}) if spec.extends else spec
