"""An entry of a fleet's `targets`: a name, or a name with options."""

from __future__ import annotations

from typing import Any

from compiler.blueprint.blueprint import Places
from compiler.blueprint.fleet_spec import TargetUseSpec
from compiler.fleet.graph import TargetOption, TargetUse


def target_use(spec: str | TargetUseSpec, at: tuple[str | int, ...], places: Places) -> TargetUse:
    """The entry that stands at the path `at`."""
    if isinstance(spec, str):
        return TargetUse(spec, places.value(*at))
    options = [
        TargetOption(
            name,
            tuple(value) if isinstance(value, list) else value,
            places.key(*at, "options", name),
            places.value(*at, "options", name),
        )
        for name, value in sorted(spec.options.items())
    ]
    return TargetUse(spec.name, places.value(*at, "name"), tuple(options))


def target_value(spec: str | TargetUseSpec) -> Any:
    """The entry as plain data, for people and tools."""
    if isinstance(spec, str) or not spec.options:
        return spec if isinstance(spec, str) else spec.name
    return {"name": spec.name, "options": dict(spec.options)}
