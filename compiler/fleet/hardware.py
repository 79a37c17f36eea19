"""Where a fact of a device class was written: the class's own line, or that of a class it extends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from compiler.base.span import Span
from compiler.base.spelling import snake
from compiler.blueprint.blueprint import Blueprint
from compiler.blueprint.spec import DeviceClassSpec
from compiler.fleet.catalogue import PREFIX
from compiler.fleet.devices import Origin, Setting
from compiler.fleet.graph import Cohort

SECTION = "deviceClasses"


def class_fact(blueprint: Blueprint, catalogue: Blueprint, cohort: Cohort, fact: str) -> Setting:
    """The value of `fact` (spelt as in YAML) on the cohort's devices, the line that gives it, what that overrode.

    Devices that state their own hardware come before their class: then the place is the first device's row.
    """
    name = snake(fact)
    value = getattr(cohort.device_class, name)
    given = [
        (spelt, place)
        for spec, at, places in _chain(blueprint, catalogue, cohort.device_class.name)
        if (spelt := getattr(spec, name, None)) is not None
        for place in [places.value(SECTION, at, fact)]
    ]
    device = cohort.devices[0] if cohort.devices else None
    if device is not None and any(stated in (name, fact) for stated, _ in device.facts):
        given.insert(0, (value, device.place))
    if not given:
        return Setting(value, None)
    (_, place), *others = given
    return Setting(value, place, tuple(Origin(other, where) for other, where in others))


def class_place(blueprint: Blueprint, catalogue: Blueprint, name: str) -> Span | None:
    """Where the class is declared."""
    own = next(_chain(blueprint, catalogue, name), None)
    return own[2].key(SECTION, own[1]) if own else None


def _chain(blueprint: Blueprint, catalogue: Blueprint, name: str) -> Iterator[tuple[DeviceClassSpec, str, Any]]:
    """Each class from `name` to the one that extends nothing, with its name in its file and that file's places.

    Inside the catalogue a class has no `builtin/` before its name, and extends others by their short names.
    """
    seen: set[str] = set()
    parent: str | None = name
    while parent is not None and parent not in seen:
        seen.add(parent)
        shipped = parent.startswith(PREFIX)
        source, short = (catalogue, parent.removeprefix(PREFIX)) if shipped else (blueprint, parent)
        spec = source.device_classes.get(short)
        if spec is None:
            return
        yield spec, short, source.places
        parent = spec.extends and (PREFIX + spec.extends if shipped else spec.extends)
