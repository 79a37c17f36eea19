"""How the value of an overlay is laid over the one below: rules, and what overlays do as a list of edits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple

from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic, did_you_mean, near_name
from compiler.blueprint.blueprint import Places
from compiler.blueprint.fleet_spec import FleetSpec, OverlaySpec
from compiler.fleet.fields import PRIVACY, Field, Kind, find, given, paths, scope_of


class Rule(Enum):
    """`merge` is what mappings do unless a rule says otherwise, `replace` what everything else does."""

    REPLACE = "replace"
    MERGE = "merge"
    APPEND = "append"
    REMOVE = "remove"


ALLOWED = {
    Kind.NEEDED: (Rule.REPLACE,),
    Kind.OPTIONAL: (Rule.REPLACE, Rule.REMOVE),
    Kind.LIST: (Rule.REPLACE, Rule.APPEND, Rule.REMOVE),
    Kind.MAP: (Rule.MERGE, Rule.REPLACE, Rule.REMOVE),
    Kind.ENTRY: (Rule.REPLACE, Rule.REMOVE),
}

Path = tuple[str | int, ...]


class Edit(NamedTuple):
    """One thing that an overlay does to one value.

    `at` is where it stands in the blueprint. A mapping is replaced by an edit that empties it
    (`value` is an empty mapping) and one for each entry.
    """

    target: Field
    rule: Rule
    value: Any
    at: Path


@dataclass(slots=True)
class Edits:
    """Reads the overlays of one fleet, and keeps what it found wrong with them."""

    fleet: str
    spec: FleetSpec
    places: Places
    diagnostics: list[Diagnostic] = field(default_factory=list)

    def of(self, overlay: OverlaySpec, path: Path) -> tuple[Edit, ...]:
        """What the overlay at `path` does, in the order of application. A rule that makes no sense does nothing."""
        values = {edit.target: edit for edit in self._values(overlay, path)}
        if not values and not overlay.rules:
            if all(run in self.spec.runs for run in overlay.runs):
                self.diagnostics.append(self._idle(path))
            return ()
        if not overlay.rules:
            return tuple(values.values())
        return self._ruled(values, overlay, path)

    def _values(self, overlay: OverlaySpec, path: Path) -> Iterator[Edit]:
        if overlay.privacy is not None:
            for name, _, value, inner in given(overlay.privacy):
                yield Edit(Field(PRIVACY, name, ""), Rule.REPLACE, value, (*path, PRIVACY, *inner))
        for run, spec in overlay.runs.items():
            at = (*path, "runs", run)
            if run not in self.spec.runs:
                self.diagnostics.append(self._unknown_run(run, at))
                continue
            scope = scope_of(run)
            for name, entry, value, inner in given(spec):
                yield Edit(Field(scope, name, entry), Rule.REPLACE, value, (*at, *inner))

    def _ruled(self, values: dict[Field, Edit], overlay: OverlaySpec, path: Path) -> tuple[Edit, ...]:
        """The edits with rules: those that empty or remove come first, each value keeps its place."""
        first: list[Edit] = []
        for written, text in overlay.rules.items():
            at = (*path, "rules", written)
            rule = Rule(text)
            target = find(written, self.spec.runs)
            if target is None:
                self.diagnostics.append(self._no_path(written, at))
                continue
            below = [other for other in values if other[:2] == target[:2]]
            edit = values.get(target)
            if fault := self._fault(target, rule, bool(below if target.kind is Kind.MAP else edit)):
                message, help = fault
                self.diagnostics.append(Diagnostic(Code.BAD_VALUE, message, self.places.value(*at), help=help))
            elif rule is Rule.REMOVE and edit is None:
                first.append(Edit(target, rule, None, at))
            elif rule is Rule.REPLACE and target.kind is Kind.MAP:
                first.append(Edit(target, rule, {}, at))
            elif edit is not None:
                values[target] = edit._replace(rule=rule)
        return (*first, *values.values())

    def _fault(self, target: Field, rule: Rule, valued: bool) -> tuple[str, str] | None:
        """Message and help for a rule that makes no sense there; `valued` tells whether the overlay gives a value."""
        kind, path = target.kind, target.path
        if rule not in ALLOWED[kind]:
            rules = " or ".join(f"`{one.value}`" for one in ALLOWED[kind])
            return f"`{path}` is {kind.value}: `{rule.value}` means nothing for it.", f"It takes {rules}."
        if rule is Rule.REMOVE:
            if valued and kind is not Kind.LIST:
                instead = "Write `replace`" if kind is Kind.MAP else "Leave out the rule"
                return (
                    f"This overlay removes `{path}`, and gives it a value too.",
                    f"{instead}, or leave out the value.",
                )
        elif not valued:
            return f"This overlay gives no value to `{path}`.", f"Give one, or leave out the rule `{rule.value}`."
        return None

    def _no_path(self, written: str, at: Path) -> Diagnostic:
        known = list(paths(self.spec.runs))
        near = near_name(written, known)
        otherwise = "A path is `runs.RUN.threads`, `runs.RUN.serve.command`, `runs.RUN.environment.NAME`, or the like."
        help = f"`{near}` has a similar name." if near else otherwise
        message = f"Fleet `{self.fleet}` has no value at `{written}`."
        return Diagnostic(Code.UNKNOWN_REFERENCE, message, self.places.key(*at), help=help)

    def _unknown_run(self, run: str, at: Path) -> Diagnostic:
        message = f"Fleet `{self.fleet}` has no run `{run}`."
        help = did_you_mean(run, self.spec.runs)
        return Diagnostic(Code.UNKNOWN_REFERENCE, message, self.places.key(*at), help=help)

    def _idle(self, path: Path) -> Diagnostic:
        place = self.places.value(*path, "match")
        help = "Give it values under `runs` or `privacy`, or remove it."
        return Diagnostic(Code.BAD_VALUE, "This overlay sets nothing.", place, help=help)
