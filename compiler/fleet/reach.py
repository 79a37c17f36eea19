"""What runs and overlays reach: names in a `match:` that mean nothing, clauses that no device meets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial

from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic, did_you_mean
from compiler.base.span import Span
from compiler.fleet.classes import Classes
from compiler.fleet.fields import PRIVACY
from compiler.fleet.findings import Findings
from compiler.fleet.inventory import Inventory
from compiler.fleet.layers import Layers, OverlayLayer, RunLayer
from compiler.fleet.match import CLASS, DEVICE, Clause, comparable
from compiler.fleet.rules import Edit, Path


@dataclass(slots=True)
class Reach:
    """Checks the clauses of one fleet against its inventory.

    With an inventory that is not sound, what is missing may only have been left out:
    classes alone are checked then. Of thousands of mistakes of one kind, the first are shown.
    """

    fleet: str
    inventory: Inventory
    classes: Classes
    layers: Layers
    findings: Findings = field(default_factory=Findings)
    _ids: set[str] = field(init=False)
    _values: dict[str, set[str]] = field(default_factory=dict)
    _met: set[int] = field(default_factory=set)
    _beside: set[tuple[int, str]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._ids = {device.id for device in self.inventory.devices}

    def check(self, ways: Iterable[tuple[int, ...]], removals: Mapping[Path, bool]) -> list[Diagnostic]:
        """Report names that nobody declared; warn of runs and overlays, or parts of them, that do nothing.

        `ways` are the sets of clauses that match some device, `removals` tells which edits removed anything.
        """
        for matched in ways:
            self._look(matched)
        faulty = {number for number, clause in enumerate(self.layers.clauses) if self._unknown(clause)}
        if self.inventory.sound:
            self._unused_runs(faulty)
            overlays = enumerate(self.layers.overlays, len(self.layers.runs))
            for number, overlay in sorted(overlays, key=lambda pair: pair[1].number):
                if number in self._met:
                    self._unused_parts(number, overlay, removals)
                elif number not in faulty:
                    self.findings.add(Code.OVERLAY_UNUSED, partial(self._unused_overlay, overlay))
        return self.findings.diagnostics()

    def check_order(self, order: Iterable[tuple[str, Span]]) -> list[Diagnostic]:
        """Report labels of the fleet's `order` that no device has."""
        if not self.inventory.sound:
            return []
        return [
            self._no_label(label, place, self.inventory.labels)
            for label, place in order
            if label not in self.inventory.labels
        ]

    def _look(self, matched: tuple[int, ...]) -> None:
        """Note which clauses met a device, and which overlays met one with which runs."""
        self._met.update(matched)
        runs = self.layers.runs
        scopes = {run.scope for run in self.layers.runs_of(matched)}
        for number in matched:
            if number >= len(runs):
                edits = self.layers.overlays[number - len(runs)].edits
                self._beside.update((number, edit.target.scope) for edit in edits if edit.target.scope in scopes)

    def _unknown(self, clause: Clause) -> bool:
        """Note names that mean nothing; True when there are any."""
        faulty = False
        if CLASS in clause.match or DEVICE in clause.match:
            for key, value, place in clause.items(self.layers.places):
                if key == CLASS and not self.classes.knows(value):
                    self.findings.add(
                        Code.UNKNOWN_CLASS, partial(self.classes.unknown, Code.UNKNOWN_CLASS, value, place)
                    )
                    faulty = True
                elif key == DEVICE and self.inventory.sound and value not in self._ids:
                    self.findings.add(Code.UNKNOWN_REFERENCE, partial(self._no_device, value, place))
                    faulty = True
        for key in clause.match if self.inventory.sound else ():
            if key not in self.inventory.labels and key not in (CLASS, DEVICE):
                place = self.layers.places.key(*clause.path, "match", key)
                known = {*self.inventory.labels, CLASS, DEVICE}
                self.findings.add(Code.UNKNOWN_REFERENCE, partial(self._no_label, key, place, known))
                faulty = True
        return faulty

    def _no_label(self, label: str, place: Span, known: Iterable[str]) -> Diagnostic:
        help = did_you_mean(label, known)
        message = f"No device of fleet `{self.fleet}` has a label `{label}`."
        return Diagnostic(Code.UNKNOWN_REFERENCE, message, place, help=help)

    def _no_device(self, id: str, place: Span) -> Diagnostic:
        help = did_you_mean(id, comparable(self._ids), "Devices are named by their `id` in the inventory.")
        message = f"No device of fleet `{self.fleet}` has the id `{id}`."
        return Diagnostic(Code.UNKNOWN_REFERENCE, message, place, help=help)

    def _unused_runs(self, faulty: set[int]) -> None:
        for number, run in enumerate(self.layers.runs):
            if number not in self._met and number not in faulty:
                self.findings.add(Code.RUN_UNUSED, partial(self._unused_run, run))

    def _unused_run(self, run: RunLayer) -> Diagnostic:
        message = f"No device of fleet `{self.fleet}` matches run `{run.name}`."
        return Diagnostic(Code.RUN_UNUSED, message, run.place, help=self._why(run.clause))

    def _unused_overlay(self, overlay: OverlayLayer) -> Diagnostic:
        place = self.layers.places.value(*overlay.clause.path, "match")
        message = f"No device of fleet `{self.fleet}` matches this overlay."
        return Diagnostic(Code.OVERLAY_UNUSED, message, place, help=self._why(overlay.clause))

    def _unused_parts(self, number: int, overlay: OverlayLayer, removals: Mapping[Path, bool]) -> None:
        """Warn of runs that no matching device has, and of removals that removed nothing."""
        used = {run.scope for index, run in enumerate(self.layers.runs) if index in self._met}
        for scope in dict.fromkeys(edit.target.scope for edit in overlay.edits):
            if scope != PRIVACY and scope in used and (number, scope) not in self._beside:
                self.findings.add(Code.OVERLAY_UNUSED, partial(self._unused_values, overlay, scope))
        for edit in overlay.edits:
            if removals.get(edit.at) is False:
                self.findings.add(Code.OVERLAY_UNUSED, partial(self._idle_removal, edit))

    def _unused_values(self, overlay: OverlayLayer, scope: str) -> Diagnostic:
        run = scope.partition(".")[2]
        place = self.layers.places.key(*overlay.clause.path, "runs", run)
        return Diagnostic(Code.OVERLAY_UNUSED, f"None of the devices that this overlay matches runs `{run}`.", place)

    def _idle_removal(self, edit: Edit) -> Diagnostic:
        message = f"There is nothing to remove at `{edit.target.path}` on the devices that this overlay matches."
        return Diagnostic(Code.OVERLAY_UNUSED, message, self.layers.places.value(*edit.at))

    def _why(self, clause: Clause) -> str | None:
        """The first key whose values no device has."""
        for key, wanted in clause.match.items():
            if key != DEVICE and wanted and not self._values_of(key).intersection(wanted):
                asked = " or ".join(f"`{key}: {value}`" for value in wanted[:5])
                near = did_you_mean(wanted[0], comparable(self._values_of(key)), "")
                return f"No device has {asked}. {near}".rstrip()
        return "No single device has all of these values." if len(clause.match) > 1 else None

    def _values_of(self, key: str) -> set[str]:
        if key not in self._values:
            self._values[key] = self.inventory.values(key)
        return self._values[key]
