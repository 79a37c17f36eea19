"""Two states of a workspace → Review: everything that a plan says, from values that are there already."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic, did_you_mean
from compiler.bundle.bundles import levels_for
from compiler.fit.choose import decided
from compiler.fleet.fingerprint import Inputs
from compiler.fleet.graph import Cohort, Fleet, artifact_name
from compiler.lock.before import Before, held, read_index, recorded
from compiler.lock.lock import Lock, baseline
from compiler.plan.coarse import Index, coarse_difference, coarse_index_changes, index_rows
from compiler.plan.difference import configuration, difference, index_changes
from compiler.plan.pairs import Pair, Side, pair_up
from compiler.plan.planner import Tools, plan
from compiler.plan.review import (
    Against,
    ArtifactChange,
    Known,
    Needs,
    Review,
    artifact_changes,
    bundle_changes,
    downloads,
    known_artifacts,
)


@dataclass(frozen=True, slots=True)
class State:
    """A workspace, resolved. `templates` has the digest of each target's folder."""

    fleets: tuple[Fleet, ...] = ()
    templates: Mapping[str, str] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)

    def decided(self) -> State:
        """The state with the recipes that its lock has for every choice."""
        return replace(self, fleets=decided(self.fleets, self.lock.decisions))

    def only(self, names: tuple[str, ...]) -> State:
        """The state with the fleets of these names alone; with all of them when there are none."""
        if not names:
            return self
        bundles = {folder: found for folder, found in self.lock.bundles.items() if folder.split("/")[0] in names}
        fleets = tuple(fleet for fleet in self.fleets if fleet.name in names)
        return replace(self, fleets=fleets, lock=replace(self.lock, bundles=bundles))

    @property
    def artifacts(self) -> set[str]:
        """The names of those that some run needs, or may get by a choice."""
        runs = (run for fleet in self.fleets for cohort in fleet.cohorts for run in cohort.runs)
        return {artifact_name(run.model, recipe) for run in runs for recipe in run.recipe.candidates}


def compare_states(
    before: Before, old: State, new: State, inputs: Inputs, tools: Tools, names: tuple[str, ...]
) -> tuple[Review, list[Diagnostic]]:
    """What a compile of `new` changes in `old`, of the fleets `names` or of all.

    Without a blueprint in `before` there is an index at most: then the plan is coarser.
    """
    since = plan(new.fleets, inputs, baseline(old.lock), tools)
    now = plan(new.fleets, inputs, baseline(new.lock), tools)
    concerned = old.only(names).artifacts | new.only(names).artifacts
    old, new = old.decided(), new.decided()
    earlier = recorded(old.lock)
    known = known_artifacts(since, now, earlier, recorded(new.lock))
    changed = artifact_changes(new.fleets, since, earlier, known)
    index = read_index(before.root) if before.why is not None else {}
    there = index.keys() | {fleet.name for fleet in (*old.fleets, *new.fleets)}
    diagnostics = [_unknown(name, there) for name in names if name not in there]
    if names:
        index = {name: rows for name, rows in index.items() if name in names}
        old, new = old.only(names), new.only(names)
        changed = tuple(change for change in changed if change.name in concerned)
    comparison = _Comparison(before, old, new, earlier, known, index)
    return comparison.review(changed), diagnostics


@dataclass(frozen=True, slots=True)
class _Comparison:
    """Two states of the fleets that a plan is about. `index` is that of the earlier one where there is no blueprint."""

    before: Before
    old: State
    new: State
    earlier: Known
    known: Known
    index: Index

    def review(self, artifacts: tuple[ArtifactChange, ...]) -> Review:
        before, old, new, earlier = self.before, self.old, self.new, self.earlier
        same = {name for name, entry in self.known.items() if earlier.get(name) == entry}
        if before.why is None:
            pairs = pair_up(old.fleets, new.fleets)
            renewed = earlier.keys() - same
            found, needs = difference(old.fleets, new.fleets, pairs, renewed), _needs(pairs, earlier)
            rows = index_changes(pairs)
        else:
            found, needs = coarse_difference(self.index, new.fleets), _coarse_needs(before, self.index, new)
            rows = coarse_index_changes(self.index, new.fleets)
        return Review(
            Against(before.name, before.commit, before.why, self._notes()),
            found,
            artifacts,
            bundle_changes(before.bundles(old.lock), dict(self._bundles(same))),
            rows,
            downloads(needs, self.known),
        )

    def _notes(self) -> tuple[str, ...]:
        before = self.before
        notes = *before.notes, *self._moved()
        if self.old.lock.tools or not (before.blueprint or before.why):
            return notes
        there = "There is" if before.commit is None else f"`{before.name}` has"
        return *notes, f"{there} no `slmc.lock`: all artifacts and bundles are new."

    def _moved(self) -> Iterator[str]:
        """Fleets whose bundles all get other folders, since they became many or few."""
        cohorts = {name: len({row.cohort for row in rows.values()}) for name, rows in self.index.items()}
        cohorts |= {fleet.name: len(fleet.cohorts) for fleet in self.old.fleets}
        for fleet in self.new.fleets:
            was, now = levels_for(cohorts.get(fleet.name, 0)), levels_for(len(fleet.cohorts))
            if was != now and fleet.name in cohorts:
                where = "into folders of shards" if now else "out of the folders of shards"
                yield f"All bundles of `{fleet.name}` move {where}: it has {len(fleet.cohorts)} cohorts now."

    def _bundles(self, same: set[str]) -> Iterator[tuple[str, bool]]:
        """Every bundle's folder, and whether the bundle is another than that of this folder before, as far as is known.

        `same` names the artifacts that are what they were.
        """
        old, new, coarse = self.old, self.new, self.before.why is not None
        sides = {(fleet.name, cohort.name): Side(fleet, cohort) for fleet in old.fleets for cohort in fleet.cohorts}
        uses = {(fleet.name, use) for fleet in old.fleets for use in fleet.targets}
        stale = {name for name, digest in new.templates.items() if old.templates.get(name, digest) != digest}
        for fleet in new.fleets:
            for cohort in fleet.cohorts:
                side = sides.get((fleet.name, cohort.name))
                changed = not all(run.artifact in same for run in cohort.runs)
                if not coarse and not changed:
                    changed = side is None or configuration(side) != configuration(Side(fleet, cohort))
                for use in fleet.targets:
                    other = use.name in stale or (not coarse and (fleet.name, use) not in uses)
                    yield f"{fleet.name}/{cohort.name}/{use.name}", changed or other


def _unknown(name: str, known: set[str]) -> Diagnostic:
    help = did_you_mean(name, known)
    return Diagnostic(Code.UNKNOWN_REFERENCE, f"No fleet is named `{name}`, neither now nor before.", help=help)


def _needs(pairs: Iterable[Pair], earlier: Known) -> Iterator[Needs]:
    """Groups of devices with the artifacts that they have by the earlier lock."""
    for pair in pairs:
        if pair.new is not None and pair.new.cohort is not None:
            cohort = pair.old.cohort if pair.old else None
            yield _digests(cohort, earlier), pair.new.cohort, pair.devices


def _digests(cohort: Cohort | None, recorded: Known) -> frozenset[str]:
    names = {run.artifact for run in cohort.runs} if cohort else set()
    return frozenset(recorded[name][0] for name in names if name in recorded)


def _coarse_needs(before: Before, index: Index, new: State) -> Iterator[Needs]:
    """The same, by the bundles of the cohorts that the devices were in."""
    groups: Counter[tuple[str, str | None, int]] = Counter()
    cohorts: list[Cohort] = [cohort for fleet in new.fleets for cohort in fleet.cohorts]
    numbers = {id(cohort): number for number, cohort in enumerate(cohorts)}
    for fleet in new.fleets:
        rows = index.get(fleet.name, {})
        for device, _, cohort in index_rows(fleet):
            was = rows.get(device)
            groups[fleet.name, was.cohort if was else None, numbers[id(cohort)]] += 1
    for (name, earlier, number), devices in groups.items():
        yield held(before.root, name, earlier) if earlier else frozenset(), cohorts[number], devices
