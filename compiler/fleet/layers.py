"""Runs and overlays of one fleet, ready to be laid over each other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic
from compiler.base.span import Span
from compiler.blueprint.blueprint import Places
from compiler.blueprint.fleet_spec import PrivacySpec, RunSpec
from compiler.fleet.fields import PRIVACY_FIELDS, RUN_FIELDS, Kind, given
from compiler.fleet.levels import Levels
from compiler.fleet.match import Clause
from compiler.fleet.rules import Edit, Path, Rule
from compiler.fleet.state import State

Spans = Mapping[tuple[str, str], Span]
"""By field and entry: where the fleet writes a value. What is not there is slmc's own default."""


@dataclass(frozen=True, slots=True)
class RunLayer:
    """A run as the fleet declares it: whom it asks for, its values, where they stand."""

    name: str
    scope: str
    clause: Clause
    values: State
    spans: Spans
    place: Span


@dataclass(frozen=True, slots=True)
class OverlayLayer:
    """An overlay: whom it asks for and what it does. `number` is its place in the blueprint's list."""

    number: int
    clause: Clause
    rank: tuple[int, int]
    """Level and priority. Overlays of a higher rank are laid over those of a lower one."""
    edits: tuple[Edit, ...]


@dataclass(frozen=True)
class Layers:
    """All layers of one fleet, and numbers for their clauses: runs first, then overlays from the lowest rank up."""

    runs: tuple[RunLayer, ...]
    overlays: tuple[OverlayLayer, ...]
    privacy: State
    privacy_spans: Spans
    levels: Levels
    places: Places
    columns: Mapping[str, str]
    """The columns of the inventory that set values, by the path of the value."""

    @cached_property
    def clauses(self) -> list[Clause]:
        return [*(run.clause for run in self.runs), *(overlay.clause for overlay in self.overlays)]

    @cached_property
    def by_scope(self) -> dict[str, RunLayer]:
        return {run.scope: run for run in self.runs}

    @property
    def column_rank(self) -> tuple[int, int]:
        """The rank of what the columns of an inventory set."""
        return self.levels.device, 0

    def applied(self, matched: Iterable[int]) -> list[OverlayLayer]:
        """The overlays among the numbers of matching clauses, in the order of application."""
        first = len(self.runs)
        return [self.overlays[number - first] for number in matched if number >= first]

    def runs_of(self, matched: Iterable[int]) -> list[RunLayer]:
        """The runs among the numbers of matching clauses."""
        return [self.runs[number] for number in matched if number < len(self.runs)]

    def split(self, matched: tuple[int, ...]) -> tuple[tuple[int, ...], list[OverlayLayer]]:
        """The clauses below the columns of the inventory, or at their rank, and the overlays above them."""
        above = [overlay for overlay in self.applied(matched) if overlay.rank > self.column_rank]
        return matched[: len(matched) - len(above)], above

    def name_of(self, overlay: OverlayLayer) -> str:
        """The name of the overlay's level."""
        return self.levels.names[overlay.rank[0]]


def edits_of(overlays: Iterable[OverlayLayer]) -> Iterator[tuple[OverlayLayer, Edit]]:
    """What the overlays do, in order. What two of one rank append alike is appended once."""
    appended = set()
    for overlay in overlays:
        for edit in overlay.edits:
            if edit.rule is Rule.APPEND:
                key = overlay.rank, edit.target, edit.value
                if key in appended:
                    continue
                appended.add(key)
            yield overlay, edit


def own_values(spec: RunSpec | PrivacySpec, path: Path, places: Places) -> tuple[State, dict[tuple[str, str], Span]]:
    """The values of a run or of a fleet's privacy, written at `path`, and where they stand."""
    fields = PRIVACY_FIELDS if isinstance(spec, PrivacySpec) else RUN_FIELDS
    state: State = {field: {} if kind is Kind.MAP else None for field, kind in fields.items()}
    spans = {}
    for field, name, value, inner in given(spec):
        if name:
            state[field][name] = value
        else:
            state[field] = value
        if places.has(*path, *inner):
            spans[field, name] = places.value(*path, *inner)
    return state, spans


def check_command(command: tuple[str, ...] | None, at: Path, places: Places) -> list[Diagnostic]:
    """Report a command, written at `at`, whose program systemd could not find."""
    if not command or command[0].startswith("/"):
        return []
    help = "A command begins with the absolute path of a program, such as `/usr/lib/slmc/slm-server`."
    return [Diagnostic(Code.BAD_VALUE, f"`{command[0]}` is not an absolute path.", places.value(*at), help=help)]
