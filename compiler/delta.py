"""The short ways of a compile. When nothing changed, nothing has to be done; when nothing but rows of inventories
changed, only their devices go through the stages.

The latter is for large fleets, of which the last compile remembers a World. What cannot be told from the rows alone (a
warning that may come or go, an artifact that nobody needs any more, an index that is laid out anew) is left to the
whole compile: `attempt` then gives None, and has touched nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from compiler.artifact.artifact import Artifacts
from compiler.blueprint.merge import merge
from compiler.bundle.bundles import Bundle, Bundles, cohort_folder, levels_for
from compiler.bundle.checks import check_targets
from compiler.bundle.index import edited_index, holds
from compiler.bundle.render import render
from compiler.bundle.targets import Target
from compiler.fit.check import check
from compiler.fit.choose import has_choice
from compiler.fleet.catalogue import load
from compiler.fleet.graph import Fleet
from compiler.fleet.resolve import resolve
from compiler.lock.changes import Tree
from compiler.lock.commit import Destination, commit
from compiler.lock.disk import read_bytes
from compiler.lock.lock import Committed, Lock
from compiler.lock.memory import Memory
from compiler.lock.scope import Scope
from compiler.lock.text import read
from compiler.lock.world import World, artifacts_of, cohorts_of, devices_of, ways_of
from compiler.report.outcome import Mode, Outcome
from compiler.syntax.read import read_all

MOST = 2000
"""Rows. With more of them, the whole compile is not much slower."""

Fleets = tuple[Fleet, ...]


def attempt(workspace: Path, to: Destination, memory: Memory, mode: Mode) -> Outcome | None:
    """Compile what changed since the last time, if that is nothing or can be told from rows of inventories alone."""
    if (said := memory.said(mode.value)) is not None:
        return Outcome(mode, tree=Tree(to.output, (), to.lock), recalled=said)
    known = memory.world()
    if known is None or not known[1] <= known[0].inventories.keys():
        return None
    world, changed = known
    if not changed:
        return Outcome(mode, tree=Tree(to.output, (), to.lock), recalled="") if memory.intact() else None
    edits = [_Edit.of(path, world.inventories[path], workspace) for path in sorted(changed)]
    last, unreadable = read(to.lock)
    if unreadable or None in edits or sum(edit.rows for edit in edits if edit) > MOST:
        return None
    resolved = _resolved(workspace, [edit for edit in edits if edit])
    if resolved is None:
        return None
    step = _Step(to, world, last, *resolved)
    part = step.part()
    if part is None or not memory.intact() or not step.drafted(part, memory):
        return None
    for edit in edits:
        if edit:
            world.inventories[edit.path] = edit.text
    return step.commit(part, memory, mode)


@dataclass(frozen=True, slots=True)
class _Edit:
    """What changed in one inventory: the rows that are gone, and those that came."""

    path: str
    text: str
    before: str
    """Its header with the rows that are gone; empty when none is."""
    after: str
    rows: int

    @classmethod
    def of(cls, path: str, last: str, workspace: Path) -> _Edit | None:
        """None where a row may be more than a line, or its header changed."""
        try:
            text = (workspace / path).read_bytes().decode()
        except (OSError, UnicodeDecodeError):
            return None
        old, new = last.split("\n"), text.split("\n")
        gone, come = set(old).difference(new), set(new).difference(old)
        twice = len(new) - len(set(new)) != len(old) - len(set(old))
        table = not path.lower().endswith(".jsonl")
        if twice or (table and (old[0] != new[0] or '"' in "".join((*gone, *come)))):
            return None
        head = [old[0]] if table else []
        return cls(path, text, _rows(head, gone), _rows(head, come), len(gone) + len(come))


def _rows(head: list[str], rows: set[str]) -> str:
    return "\n".join([*head, *sorted(rows)]) + "\n" if rows else ""


def _resolved(workspace: Path, edits: Iterable[_Edit]) -> tuple[Fleets, Fleets, dict[str, Target]] | None:
    """The devices of the rows that are gone, of those that came, and the targets; None where anything is wrong."""
    documents, found = read_all(workspace)
    blueprint, wrong = merge(documents)
    catalogue, broken = load()
    # Whether a `remove` removes anything depends on the other devices.
    rules = (rule for spec in blueprint.fleets.values() for overlay in spec.overlays for rule in overlay.rules.values())
    if found or wrong or broken or "remove" in rules:
        return None
    listed = list(edits)
    before, faults = resolve(workspace, blueprint, catalogue, {e.path: e.before for e in listed if e.before})
    after, more = resolve(workspace, blueprint, catalogue, {e.path: e.after for e in listed if e.after})
    targets, problems = check_targets(workspace, after)
    return None if faults or more or problems or has_choice((*before, *after)) else (before, after, targets)


@dataclass(slots=True)
class _Part:
    """What a step gives: the world after it, the files and folders that it is about."""

    world: World
    levels: dict[str, int]
    indexes: dict[str, bytes]
    gone: frozenset[str]
    artifacts: Artifacts
    bundles: list[Bundle] = field(default_factory=list)


@dataclass(slots=True)
class _Step:
    """From the devices of some rows to those of others."""

    to: Destination
    world: World
    last: Lock
    before: Fleets
    after: Fleets
    targets: Mapping[str, Target]

    def part(self) -> _Part | None:
        """The change that the step makes, as far as it can be told."""
        ways = Counter(self.world.ways)
        ways.subtract(ways_of(self.before))
        ways.update(ways_of(self.after))
        if min(ways.values()) <= 0 or not ways.keys() <= self.world.ways.keys() or self._idle() or self._doubled():
            return None
        cohorts, come, gone = self._cohorts()
        artifacts = Counter(self.world.artifacts)
        artifacts.update(artifacts_of(self.after, come))
        artifacts.subtract(artifacts_of(self.before, gone))
        if min(artifacts.values()) <= 0 or not artifacts.keys() <= self.world.artifacts.keys():
            return None
        levels = {fleet: levels_for(len(names)) for fleet, names in cohorts.items()}
        indexes = self._indexes(cohorts)
        if indexes is None or levels != {fleet: levels_for(len(names)) for fleet, names in self.world.cohorts.items()}:
            return None
        folders = frozenset(cohort_folder(f, name, levels[f]) for f, names in gone.items() for name in names)
        world = World(self.world.inventories, dict(ways), cohorts, dict(artifacts))
        locked = {name: entry.artifact for name, entry in self.last.artifacts.items()}
        return _Part(world, levels, indexes, folders, Artifacts(locked, self.last.originals))

    def drafted(self, part: _Part, memory: Memory) -> bool:
        """Add the bundles that are new; whether those that are not are as they have to be, and all fits."""
        estimates, wrong = check(self.after, part.artifacts)
        drafts = render(self.targets, self.after, part.artifacts, estimates, part.levels)
        seen = memory.bundles
        for bundle in drafts.bundles:
            if bundle.folder not in seen:
                part.bundles.append(bundle)
            elif seen[bundle.folder].fingerprint != bundle.fingerprint:
                return False
        return not wrong

    def commit(self, part: _Part, memory: Memory, mode: Mode) -> Outcome:
        """Write it, or say what would be written, and remember the world as it is then."""
        outcome = Outcome(mode, recalled="")
        to = replace(self.to, scope=Scope(gone=part.gone))
        bundles = Bundles(part.bundles, part.indexes, part.levels)
        tree = outcome.take(commit(to, bundles, self.last, {}, self._lock))
        outcome.tree = tree
        if not outcome.failed():
            rest = {path: seen for path, seen in memory.bundles.items() if not to.scope.may_remove(path)}
            beside = tuple(dict.fromkeys((*memory.beside, *tree.beside)))
            memory.keep(replace(tree, bundles=rest | dict(tree.bundles), beside=beside), {}, part.world)
        return outcome

    def _lock(self, committed: Committed) -> Lock:
        return replace(self.last, bundles=committed.bundles, indexes=committed.indexes)

    def _idle(self) -> bool:
        return any(fleet.idle for fleet in (*self.before, *self.after))

    def _doubled(self) -> bool:
        """Whether a device that comes is in some fleet already."""
        known = {device.id for device in devices_of(self.before)}
        come = {device.id for device in devices_of(self.after)} - known
        counts = {fleet: sum(names.values()) for fleet, names in self.world.cohorts.items()}
        return any(holds(fleet, count, id, self._read) for id in come for fleet, count in counts.items())

    def _cohorts(self) -> tuple[dict[str, dict[str, int]], dict[str, set[str]], dict[str, set[str]]]:
        """All cohorts after the step, those that come and those that go, by fleet."""
        after, minus, plus = {}, cohorts_of(self.before), cohorts_of(self.after)
        come, gone = {}, {}
        for fleet, names in self.world.cohorts.items():
            counts = Counter(names)
            counts.subtract(minus[fleet])
            counts.update(plus[fleet])
            after[fleet] = {name: count for name, count in counts.items() if count > 0}
            come[fleet] = after[fleet].keys() - names.keys()
            gone[fleet] = names.keys() - after[fleet].keys()
        return after, come, gone

    def _indexes(self, cohorts: Mapping[str, Mapping[str, int]]) -> dict[str, bytes] | None:
        found: dict[str, bytes] = {}
        for before, after in zip(self.before, self.after, strict=True):
            gone = {device.id for device in devices_of([before])}
            if gone or after.cohorts:
                count = sum(self.world.cohorts[after.name].values()), sum(cohorts[after.name].values())
                files = edited_index(after, gone, count, self._read)
                if files is None:
                    return None
                found |= files
        return found

    def _read(self, path: str) -> bytes | None:
        return read_bytes(f"{self.to.output}/{path}")
