"""Overlays of one rank that set one value of one device differently."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic
from compiler.base.units import exact_bytes
from compiler.fleet.devices import Device
from compiler.fleet.explain import exact, exact_entry
from compiler.fleet.fields import PRIVACY, Field, Kind
from compiler.fleet.findings import Findings
from compiler.fleet.layers import Layers, OverlayLayer
from compiler.fleet.rules import Edit, Rule

_Deed = tuple[OverlayLayer, Edit]
_Key = tuple[int, int, Field]
"""The number of the later overlay, that of the earlier one (of a column: -1), and the value."""


@dataclass(slots=True)
class _Clash:
    """`later` and `earlier` disagree on so many devices, the first of which is `device`."""

    later: _Deed
    earlier: _Deed | None
    """None for a column of the inventory, in the row of `device`."""
    device: Device
    target: Field
    value: Any
    devices: int = 0


@dataclass(slots=True)
class Conflicts:
    """Collects the conflicts of one fleet: one for each pair and value, however many devices have it."""

    layers: Layers
    _clashes: dict[_Key, _Clash] = field(default_factory=dict)

    def look(self, matched: tuple[int, ...], devices: Sequence[Device]) -> None:
        """Compare the overlays of these clauses, which match these devices."""
        applied = self.layers.applied(matched)
        if len(applied) < 2:
            return
        scopes = {PRIVACY, *(run.scope for run in self.layers.runs_of(matched))}
        for _, group in groupby(applied, key=lambda overlay: overlay.rank):
            overlays = list(group)
            if len(overlays) > 1:
                for one, other in _disagreeing(overlays, scopes):
                    earlier, later = sorted((one, other), key=lambda deed: deed[0].number)
                    key = later[0].number, earlier[0].number, _narrower(one[1].target, other[1].target)
                    self._note(key, _Clash(later, earlier, devices[0], key[2], earlier[1].value), len(devices))

    def look_at_columns(
        self, matched: tuple[int, ...], devices: Iterable[Device], target_of: Callable[[str], Field | None]
    ) -> None:
        """Compare what the columns of devices set with the overlays of these clauses that have the same rank."""
        rank = self.layers.column_rank
        overlays = (overlay for overlay in self.layers.applied(matched) if overlay.rank == rank)
        at_rank = {edit.target: (overlay, edit) for overlay in overlays for edit in overlay.edits}
        for device in devices if at_rank else ():
            for path, value in device.values:
                if target := target_of(path):
                    deed = at_rank.get(target) or at_rank.get(target._replace(name=""))
                    if deed and not (deed[1].rule is Rule.REPLACE and exact(deed[1].value) == exact(value)):
                        self._note((deed[0].number, -1, target), _Clash(deed, None, device, target, value), 1)

    def _note(self, key: _Key, clash: _Clash, devices: int) -> None:
        known = self._clashes.setdefault(key, clash)
        known.devices += devices
        if clash.device.id < known.device.id:
            known.device, known.value = clash.device, clash.value

    def diagnostics(self) -> list[Diagnostic]:
        findings = Findings()
        for _, clash in sorted(self._clashes.items()):
            findings.add(Code.OVERLAY_CONFLICT, lambda clash=clash: self._described(clash))  # type: ignore[misc]
        return findings.diagnostics()

    def _described(self, clash: _Clash) -> Diagnostic:
        overlay, edit = clash.later
        level, priority = self.layers.name_of(overlay), overlay.rank[1]
        rank = f"level `{level}`" + (f" and priority {priority}" if priority else "")
        on = f"on {clash.devices:,} devices, such as" if clash.devices > 1 else "on"
        help = "Give the one that shall win a higher `priority`, or a more specific `match`."
        if clash.earlier is None:
            column = self.layers.columns.get(clash.target.path, "")
            place, other = clash.device.column_place(column), "a column of the inventory"
            does = _sets(Rule.REPLACE, edit.target, clash.value)
            help = "With a `priority` above 0 the overlay wins, with one below 0 the column."
        else:
            place, other = self.layers.places.value(*clash.earlier[1].at), f"another one of {rank}"
            does = _sets(clash.earlier[1].rule, clash.earlier[1].target, clash.earlier[1].value)
        message = (
            f"`{edit.target.path}`: this overlay {_sets(edit.rule, edit.target, edit.value)}, {other} {does}, "
            f"{on} `{clash.device.id}`."
        )
        return Diagnostic(
            Code.OVERLAY_CONFLICT,
            message,
            self.layers.places.value(*edit.at),
            help=help,
            related=((place, f"{other} {does}"),),
        )


def _narrower(one: Field, other: Field) -> Field:
    return one if one.name else other


def _disagreeing(overlays: list[OverlayLayer], scopes: set[str]) -> Iterator[tuple[_Deed, _Deed]]:
    """Each deed that disagrees with the first one at the same value, or with what drops it with its mapping."""
    seen: dict[Field, _Deed] = {}
    whole: list[_Deed] = []
    for overlay in overlays:
        for edit in overlay.edits:
            if edit.target.scope not in scopes:
                continue
            first = seen.setdefault(edit.target, (overlay, edit))
            if first[0] is not overlay and _differ(first[1], edit):
                yield first, (overlay, edit)
            if edit.target.kind is Kind.MAP:
                whole.append((overlay, edit))
    for overlay, edit in whole:
        given = {other.target: exact(other.value) for other in overlay.edits}
        for target, (owner, entry) in seen.items():
            inside = target.name and target[:2] == edit.target[:2] and owner is not overlay
            if inside and entry.rule is not Rule.REMOVE and given.get(target) != exact(entry.value):
                yield (owner, entry), (overlay, edit)


def _differ(one: Edit, other: Edit) -> bool:
    if one.rule is Rule.REMOVE and other.rule is Rule.REMOVE:
        return False
    return one.rule is not other.rule or exact_entry(one.value) != exact_entry(other.value)


def _sets(rule: Rule, target: Field, value: Any) -> str:
    """What a deed does, such as ``sets `2` ``."""
    if isinstance(value, dict):
        return "replaces it"
    if value is None:
        return "removes it"
    if target.field == "memoryLimit":
        shown = exact_bytes(value)
    else:
        shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    verb = {Rule.APPEND: "appends", Rule.REMOVE: "removes"}.get(rule, "sets")
    return f"{verb} `{shown}`"
