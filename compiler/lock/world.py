"""What the next compile has to know of a large fleet when nothing but rows of its inventories changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from compiler.base.span import Span
from compiler.fleet.devices import Device
from compiler.fleet.graph import Fleet

LARGE = 1000
"""Devices. With fewer, looking at all of them takes no time worth saving."""


@dataclass(slots=True)
class World:
    """All devices, in numbers."""

    inventories: dict[str, str] = field(default_factory=dict)
    """The texts of the inventories, by path."""
    ways: dict[str, int] = field(default_factory=dict)
    """By fleet, class and the clauses that match: how many devices."""
    cohorts: dict[str, dict[str, int]] = field(default_factory=dict)
    """By fleet and cohort: how many devices."""
    artifacts: dict[str, int] = field(default_factory=dict)
    """By name: how many cohorts need it."""

    @classmethod
    def of(cls, fleets: Iterable[Fleet]) -> World | None:
        """None for a small one, and where some device runs nothing: the index does not have those."""
        listed = tuple(fleets)
        if sum(fleet.devices for fleet in listed) < LARGE or any(fleet.idle for fleet in listed):
            return None
        world = cls(ways=ways_of(listed), cohorts=cohorts_of(listed), artifacts=artifacts_of(listed))
        for device in devices_of(listed):
            if isinstance(device.origin, Span):
                return None
            source = device.origin.source
            world.inventories.setdefault(source.path, source.text)
        return world

    @classmethod
    def read(cls, data: Any) -> World | None:
        """What `plain` made; None for anything else."""
        try:
            return cls(**data)
        except TypeError:
            return None

    def plain(self) -> dict[str, Any]:
        return {item.name: dict(getattr(self, item.name)) for item in fields(self)}


def devices_of(fleets: Iterable[Fleet]) -> Iterable[Device]:
    return (device for fleet in fleets for cohort in fleet.cohorts for device in cohort.devices)


def ways_of(fleets: Iterable[Fleet]) -> Counter[str]:
    """By fleet, class and matching clauses: how many devices. Of fleets whose devices all run something."""
    return Counter(
        {
            f"{fleet.name}/{device_class}/{clauses}": number
            for fleet in fleets
            for (device_class, clauses), number in (fleet.cohorts[0].origins.ways.items() if fleet.cohorts else ())
        }
    )


def cohorts_of(fleets: Iterable[Fleet]) -> dict[str, dict[str, int]]:
    """By fleet and cohort: how many devices."""
    return {fleet.name: {cohort.name: len(cohort.devices) for cohort in fleet.cohorts} for fleet in fleets}


def artifacts_of(fleets: Iterable[Fleet], cohorts: Mapping[str, Iterable[str]] | None = None) -> Counter[str]:
    """How many cohorts need each artifact; of all cohorts, or of some by fleet."""
    return Counter(
        name
        for fleet in fleets
        for cohort in fleet.cohorts
        if cohorts is None or cohort.name in cohorts[fleet.name]
        for name in {run.artifact for run in cohort.runs}
    )
