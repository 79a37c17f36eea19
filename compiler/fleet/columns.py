"""What the columns of a fleet's inventories mean: `columns:` of the blueprint, checked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic, did_you_mean
from compiler.base.span import Span
from compiler.blueprint import scalars
from compiler.blueprint.blueprint import Places
from compiler.blueprint.fleet_spec import FleetSpec, RunOverrideSpec
from compiler.blueprint.spec import DeviceClassSpec, Spec
from compiler.fleet.places import part

FACT, VALUE, VARIABLE = "fact", "runs", "device"
_FACTS = ("arch", "cores", "memory", "podman", "storage", "systemd")
_VALUES = ("contextLength", "memoryLimit", "model", "recipe", "serve.image", "serve.port", "threads")
_OPEN = ("environment", "parameters")
"""Keys of a run whose own keys are free names."""
_FREE_NAME = re.compile(scalars.VARIABLE)


@dataclass(frozen=True, slots=True)
class Use:
    """What one column means. `written` is what the blueprint says: `runs.counter.threads`."""

    written: str
    kind: str
    """FACT, VALUE or VARIABLE."""
    name: str
    """`memory`, the path inside the fleet `runs.counter.threads`, or `SHOP_NAME`."""
    spec: type[Spec] = DeviceClassSpec
    path: tuple[str, ...] = ()
    """Of the value in a `spec`."""


@dataclass(frozen=True)
class Columns:
    """The columns that are no labels, by their names in the inventories."""

    uses: Mapping[str, Use] = field(default_factory=dict)

    @cached_property
    def variables(self) -> tuple[tuple[str, str], ...]:
        """Name and column of each variable of a device, in the order of the names."""
        return tuple(sorted((use.name, column) for column, use in self.uses.items() if use.kind == VARIABLE))

    @property
    def key(self) -> tuple[tuple[str, str], ...]:
        """Equal for columns that mean the same."""
        return tuple(sorted((column, use.written) for column, use in self.uses.items()))


def check_columns(fleet: str, spec: FleetSpec, places: Places) -> tuple[Columns, list[Diagnostic]]:
    """The `columns:` of a fleet. One that means nothing is reported and left out: it is a label then."""
    uses: dict[str, Use] = {}
    first: dict[str, str] = {}
    diagnostics: list[Diagnostic] = []
    path = ("fleets", fleet, "columns")
    for column, written in spec.columns.items():
        place = places.value(*path, column)
        use, found = _use(fleet, spec, written, place)
        if column in ("id", "class"):
            help = "Leave it out: a device states facts and values in further columns."
            found = Diagnostic(
                Code.BAD_VALUE, f"The column `{column}` has its own meaning.", places.key(*path, column), help=help
            )
        elif written in first:
            related = ((places.value(*path, first[written]), "the first one is here"),)
            message = f"A second column is `{written}`."
            found = Diagnostic(Code.BAD_VALUE, message, place, help="Remove one of the two.", related=related)
        elif use is not None and use.kind == VARIABLE:
            found = _clash(fleet, spec, use, place, places)
        first.setdefault(written, column)
        if found:
            diagnostics.append(found)
        elif use is not None:
            uses[column] = use
    return Columns(uses), diagnostics


def _use(fleet: str, spec: FleetSpec, written: str, place: Span) -> tuple[Use | None, Diagnostic | None]:
    kind, _, rest = written.partition(".")
    if kind == VARIABLE:
        return Use(written, kind, rest), None
    if kind == FACT:
        if rest in _FACTS:
            return Use(written, kind, rest, DeviceClassSpec, (rest,)), None
        message = f"A device cannot state `{rest}` of its own."
        help = did_you_mean(rest, _FACTS)
        return None, Diagnostic(
            Code.UNKNOWN_REFERENCE, message, part(place, written, len(kind) + 1, len(rest)), help=help
        )
    run = max((name for name in spec.runs if rest.startswith(name + ".")), key=len, default=None)
    if run is None:
        name = rest.partition(".")[0]
        message = f"Fleet `{fleet}` has no run `{name}`."
        help = did_you_mean(name, spec.runs)
        if name in spec.runs:
            message, help = f"`{written}` names no value of run `{name}`.", f"Write, for example, `{written}.threads`."
        return None, Diagnostic(
            Code.UNKNOWN_REFERENCE, message, part(place, written, len(kind) + 1, len(name)), help=help
        )
    key = rest[len(run) + 1 :]
    open, _, name = key.partition(".")
    if key in _VALUES or (open in _OPEN and _FREE_NAME.fullmatch(name)):
        path = tuple(key.split("."))
        return Use(written, kind, written, RunOverrideSpec, path), None
    message = f"No column can set `{key}` of a run."
    help = did_you_mean(key, [*_VALUES, *(f"{one}.NAME" for one in _OPEN)])
    span = part(place, written, len(written) - len(key), len(key))
    return None, Diagnostic(Code.UNKNOWN_REFERENCE, message, span, help=help)


def is_reserved(variable: str) -> bool:
    """Whether slmc itself sets a variable of this name in the environment of a run."""
    return variable.startswith("SLMC_") or variable == "ORT_DISABLE_TELEMETRY"


def _clash(fleet: str, spec: FleetSpec, use: Use, place: Span, places: Places) -> Diagnostic | None:
    """What forbids the name of a variable: it is set already, by slmc or by a run."""
    help = "Give the variable another name."
    if is_reserved(use.name):
        return Diagnostic(Code.BAD_VALUE, f"`{use.name}` is set by slmc itself.", place, help=help)
    for run, other in _environments(fleet, spec, places):
        if other[0] == use.name:
            message = f"`{use.name}` is set by run `{run}`, for all devices."
            related = ((other[1], "it is set here"),)
            return Diagnostic(Code.BAD_VALUE, message, place, help=help, related=related)
    return None


def _environments(fleet: str, spec: FleetSpec, places: Places) -> Iterator[tuple[str, tuple[str, Span]]]:
    """Every variable of the fleet's runs, with the run: their own, those of overlays, those of other columns."""
    at: tuple[str, ...] = ("fleets", fleet)
    for run, own in spec.runs.items():
        for name in own.environment:
            yield run, (name, places.key(*at, "runs", run, "environment", name))
        prefix = f"runs.{run}.environment."
        for column, written in spec.columns.items():
            if written.startswith(prefix):
                yield run, (written.removeprefix(prefix), places.value(*at, "columns", column))
    for index, overlay in enumerate(spec.overlays):
        for run, override in overlay.runs.items():
            inner: Any = override.environment or {}
            for name in inner:
                yield run, (name, places.key(*at, "overlays", index, "runs", run, "environment", name))
