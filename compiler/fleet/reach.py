"""What runs and overlays reach: names in a `match:` that mean nothing, clauses that no device meets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_

from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic, did_you_mean
from compiler.blueprint.blueprint import Places
from compiler.fleet.classes import Classes
from compiler.fleet.inventory import Inventory
from compiler.fleet.layers import OverlayLayer, RunLayer
from compiler.fleet.match import CLASS, DEVICE, Clause, comparable


@dataclass(frozen=True, slots=True)
class Reach:
    """Checks the clauses of one fleet against its inventory.

    With an inventory that is not sound, what is missing may only have been left out:
    classes alone are checked then.
    """

    fleet: str
    inventory: Inventory
    classes: Classes
    places: Places

    def check(
        self, runs: Sequence[RunLayer], overlays: Sequence[OverlayLayer], signatures: Iterable[int]
    ) -> list[Diagnostic]:
        """Report names that nobody declared; warn of runs and overlays that match nothing.

        `signatures` are the sets of clauses, as bits (runs first), that match some device.
        """
        matched = list(signatures)
        clauses = [*(run.clause for run in runs), *(overlay.clause for overlay in overlays)]
        ids = {device.id for device in self.inventory.devices}
        faults = [list(self._unknown(clause, ids)) for clause in clauses]
        diagnostics = [diagnostic for found in faults for diagnostic in found]
        if not self.inventory.sound:
            return diagnostics
        met = reduce(or_, matched, 0)
        beside: dict[str, int] = {}
        for index, run in enumerate(runs):
            if met >> index & 1:
                beside[run.name] = reduce(or_, (bits for bits in matched if bits >> index & 1))
            elif not faults[index]:
                diagnostics.append(self._unused_run(run))
        for index, overlay in enumerate(overlays, len(runs)):
            if met >> index & 1:
                lost = (name for name in overlay.values if name in beside and not beside[name] >> index & 1)
                diagnostics += [self._unused_values(overlay, name) for name in lost]
            elif not faults[index]:
                diagnostics.append(self._unused_overlay(overlay))
        return diagnostics

    def _unknown(self, clause: Clause, ids: set[str]) -> Iterator[Diagnostic]:
        for key, value, place in clause.items(self.places):
            if key == CLASS and not self.classes.knows(value):
                yield self.classes.unknown(Code.UNKNOWN_CLASS, value, place)
        if not self.inventory.sound:
            return
        for key in clause.match:
            if key not in self.inventory.labels and key not in (CLASS, DEVICE):
                place = self.places.key(*clause.path, "match", key)
                help = did_you_mean(key, {*self.inventory.labels, CLASS, DEVICE})
                message = f"No device of fleet `{self.fleet}` has a label `{key}`."
                yield Diagnostic(Code.UNKNOWN_REFERENCE, message, place, help=help)
        if DEVICE in clause.match:
            yield from self._unknown_devices(clause, ids)

    def _unknown_devices(self, clause: Clause, ids: set[str]) -> Iterator[Diagnostic]:
        for key, id, place in clause.items(self.places):
            if key == DEVICE and id not in ids:
                help = did_you_mean(id, comparable(ids), "Devices are named by their `id` in the inventory.")
                message = f"No device of fleet `{self.fleet}` has the id `{id}`."
                yield Diagnostic(Code.UNKNOWN_REFERENCE, message, place, help=help)

    def _unused_run(self, run: RunLayer) -> Diagnostic:
        message = f"No device of fleet `{self.fleet}` matches run `{run.name}`."
        return Diagnostic(Code.RUN_UNUSED, message, run.place, help=self._why(run.clause))

    def _unused_overlay(self, overlay: OverlayLayer) -> Diagnostic:
        place = self.places.value(*overlay.clause.path, "match")
        message = f"No device of fleet `{self.fleet}` matches this overlay."
        return Diagnostic(Code.OVERLAY_UNUSED, message, place, help=self._why(overlay.clause))

    def _unused_values(self, overlay: OverlayLayer, run: str) -> Diagnostic:
        place = self.places.key(*overlay.clause.path, "runs", run)
        return Diagnostic(Code.OVERLAY_UNUSED, f"None of the devices that this overlay matches runs `{run}`.", place)

    def _why(self, clause: Clause) -> str | None:
        """The first key whose values no device has."""
        for key, wanted in clause.match.items():
            present = self.inventory.values(key)
            if wanted and key != DEVICE and not present.intersection(wanted):
                asked = " or ".join(f"`{key}: {value}`" for value in wanted[:5])
                return f"No device has {asked}. {did_you_mean(wanted[0], present, '')}".rstrip()
        return "No single device has all of these values." if len(clause.match) > 1 else None
