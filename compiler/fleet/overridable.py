"""What the overlays of a level may set: `overridable` of a fleet, a list of paths for each level."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic, did_you_mean
from compiler.base.span import Span
from compiler.blueprint.blueprint import Places
from compiler.blueprint.fleet_spec import FleetSpec
from compiler.fleet.fields import PRIVACY, PRIVACY_FIELDS, RUN_FIELDS, RUNS, Field, Kind, find, paths
from compiler.fleet.findings import Findings
from compiler.fleet.layers import OverlayLayer
from compiler.fleet.levels import FLEET, Levels

Segments = tuple[str, ...]
_ANY = "*"


@dataclass(slots=True)
class Overridable:
    """Holds the overlays and columns of one fleet to what their levels may set.

    A level that is not named may set everything in `runs` and nothing in `privacy`.
    """

    fleet: str
    spec: FleetSpec
    levels: Levels
    places: Places
    findings: Findings = field(default_factory=Findings)
    _patterns: dict[str, list[Segments]] = field(init=False)

    def __post_init__(self) -> None:
        self._patterns = {
            level: [self._segments(pattern) for pattern in patterns]
            for level, patterns in self.spec.overridable.items()
        }

    def check(self, overlays: Iterable[OverlayLayer]) -> list[Diagnostic]:
        """Report levels and patterns that mean nothing, then every value that its level may not set."""
        diagnostics = [*self._bad_levels(), *self._bad_patterns()]
        for overlay in sorted(overlays, key=lambda overlay: overlay.number):
            level = self.levels.names[overlay.rank[0]]
            for edit in overlay.edits:
                if not self._may(level, edit.target):
                    self._refuse(level, edit.target, self.places.value(*edit.at), "Overlays")
        for column, use in self.spec.columns.items():
            target = find(use, self.spec.runs)
            if target is not None and not self._may("device", target):
                self._refuse("device", target, self.places.value("fleets", self.fleet, "columns", column), "Columns")
        return diagnostics + self.findings.diagnostics()

    def _may(self, level: str, target: Field) -> bool:
        patterns = self._patterns.get(level)
        if patterns is None:
            return target.scope != PRIVACY
        path = _path(target)
        return any(len(pattern) <= len(path) and _fits(pattern, path) for pattern in patterns)

    def _refuse(self, level: str, target: Field, place: Span, who: str) -> None:
        at = ("fleets", self.fleet, "overridable", level)
        if level in self._patterns:
            related = self.places.key(*at), f"level `{level}` may set only what is listed here"
            help = f"Add `{target.path}` to this list, or leave the value to a more general level."
        else:
            related = self.places.key("fleets", self.fleet), f"this fleet has no `overridable` for level `{level}`"
            help = (
                "Unless it is named, a level may set nothing in `privacy`. To allow this, write "
                f"`overridable: {{{level}: [{RUNS}, {target.path}]}}` in the fleet."
            )
        message = f"{who} of level `{level}` may not set `{target.path}`."
        self.findings.add(
            Code.NOT_OVERRIDABLE, lambda: Diagnostic(Code.NOT_OVERRIDABLE, message, place, help, (related,))
        )

    def _bad_levels(self) -> Iterator[Diagnostic]:
        known = [level for level in self.levels.names if level != FLEET]
        for level in self.spec.overridable:
            if level not in known:
                place = self.places.key("fleets", self.fleet, "overridable", level)
                message = f"Fleet `{self.fleet}` has no level `{level}`."
                yield Diagnostic(Code.UNKNOWN_REFERENCE, message, place, help=did_you_mean(level, known))

    def _bad_patterns(self) -> Iterator[Diagnostic]:
        """Report patterns that no value can match."""
        possible = list(self._possible())
        known = {RUNS, PRIVACY, *paths([*self.spec.runs, _ANY])}
        for level, patterns in self.spec.overridable.items():
            for index, pattern in enumerate(patterns):
                if not any(_can_fit(self._patterns[level][index], path) for path in possible):
                    place = self.places.value("fleets", self.fleet, "overridable", level, index)
                    message = f"No value of fleet `{self.fleet}` has a path like `{pattern}`."
                    otherwise = "A path is `runs.*.threads`, `privacy.telemetry`, or a part that covers all below it."
                    help = did_you_mean(pattern, known, otherwise)
                    yield Diagnostic(Code.UNKNOWN_REFERENCE, message, place, help=help)

    def _possible(self) -> Iterator[Segments]:
        for run in self.spec.runs:
            for name, kind in RUN_FIELDS.items():
                yield (RUNS, run, *name.split("."), *((_ANY,) if kind is Kind.MAP else ()))
        yield from ((PRIVACY, name) for name in PRIVACY_FIELDS)

    def _segments(self, pattern: str) -> Segments:
        """The pattern in its parts; a run's name is one of them, dots and all."""
        for run in sorted(self.spec.runs, key=len, reverse=True):
            if f"{pattern}.".startswith(f"{RUNS}.{run}."):
                rest = pattern.removeprefix(f"{RUNS}.{run}").removeprefix(".")
                return (RUNS, run, *(rest.split(".") if rest else ()))
        return tuple(pattern.split("."))


def _path(target: Field) -> Segments:
    fields = (*target.field.split("."), *([target.name] if target.name else []))
    return (PRIVACY, *fields) if target.scope == PRIVACY else (RUNS, target.scope.partition(".")[2], *fields)


def _fits(pattern: Segments, path: Segments) -> bool:
    return all(part in (_ANY, step) for part, step in zip(pattern, path, strict=False))


def _can_fit(pattern: Segments, path: Segments) -> bool:
    """Whether the pattern fits a path in which `*` stands for any name."""
    return len(pattern) <= len(path) and all(
        _ANY in (part, step) or part == step for part, step in zip(pattern, path, strict=False)
    )
