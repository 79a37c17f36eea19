"""What a compile would do to artifacts, bundles and devices' downloads, beside the changes that it follows from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from compiler.fleet.graph import Cohort, Fleet
from compiler.plan.actions import Plan, Reason, Verb
from compiler.plan.changes import Difference, Kind

Known = Mapping[str, tuple[str, int]]
"""Digest and size by the names of artifacts."""


@dataclass(frozen=True, slots=True)
class ArtifactChange:
    """An artifact that comes, changes or goes, on how many devices it is needed.

    `size` (bytes) and `digest` are None while it is not built. On no device are the candidates that a choice does not
    take, or has not taken yet.
    """

    kind: Kind
    name: str
    reason: Reason | None
    digest: str | None
    size: int | None
    devices: int


@dataclass(frozen=True, slots=True)
class BundleChange:
    """Bundles of one cohort, each for one of `targets`."""

    kind: Kind
    fleet: str
    cohort: str
    targets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Download:
    """What each of `devices` has to fetch: `size` bytes, and artifacts whose size nobody knows yet."""

    artifacts: tuple[str, ...]
    size: int
    unknown: tuple[str, ...]
    devices: int


@dataclass(frozen=True, slots=True)
class Against:
    """What a plan compares with. `why` says why it is coarser than against a commit that can be read."""

    name: str
    commit: str | None
    why: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Review:
    """A whole plan. `index` has the number of rows that change in each fleet's index of devices."""

    against: Against
    difference: Difference
    artifacts: tuple[ArtifactChange, ...]
    bundles: tuple[BundleChange, ...]
    index: Mapping[str, int]
    downloads: tuple[Download, ...]

    @property
    def pending(self) -> bool:
        """Whether anything would change."""
        return bool(self.difference.changes or self.artifacts or self.bundles or self.index)

    @property
    def total(self) -> int:
        """Bytes to download in all, as far as sizes are known."""
        return sum(download.size * download.devices for download in self.downloads)


Needs = tuple[frozenset[str], Cohort, int]
"""Digests of artifacts that devices have, the cohort that they are in now, and how many they are."""


def known_artifacts(since: Plan, now: Plan, earlier: Known, working: Known) -> Known:
    """What either lock has, and the blueprint still asks for. `since` is planned from the earlier lock, `now` from the
    working one."""
    found: dict[str, tuple[str, int]] = {}
    for plan, recorded in ((since, earlier), (now, working)):
        kept = (action.name for action in plan.actions if action.verb is Verb.KEEP)
        found |= {name: recorded[name] for name in kept if name in recorded}
    return found


def artifact_changes(fleets: Iterable[Fleet], since: Plan, earlier: Known, known: Known) -> tuple[ArtifactChange, ...]:
    """Artifacts that are not what they were, by `since`, the plan from the earlier lock. Removals come first."""
    devices = _devices(fleets)
    changes = [ArtifactChange(Kind.REMOVE, name, None, *_sizes(earlier, name), 0) for name in since.dropped]
    changes += [
        ArtifactChange(
            Kind.CHANGE if action.locked else Kind.ADD,
            action.name,
            action.reason,
            *_sizes(known, action.name),
            devices[action.name],
        )
        for action in since.actions
        if action.verb is Verb.BUILD
    ]
    return tuple(changes)


def _sizes(known: Known, name: str) -> tuple[str | None, int | None]:
    return known.get(name, (None, None))


def downloads(needs: Iterable[Needs], known: Known) -> tuple[Download, ...]:
    """What devices have to fetch, grouped by the artifacts that they lack; the most bytes first.

    An artifact that is still to be built may come out as the one that a device has: it counts as unknown.
    """
    groups: Counter[tuple[str, ...]] = Counter()
    for had, cohort, devices in needs:
        names = sorted({run.artifact for run in cohort.runs})
        lacking = tuple(name for name in names if name not in known or known[name][0] not in had)
        if lacking:
            groups[lacking] += devices
    found = []
    for lacking, devices in groups.items():
        size = sum(known[name][1] for name in lacking if name in known)
        found.append(Download(lacking, size, tuple(name for name in lacking if name not in known), devices))
    return tuple(sorted(found, key=lambda download: (-download.size, -len(download.unknown), download.artifacts)))


def bundle_changes(before: frozenset[str], after: Mapping[str, bool]) -> tuple[BundleChange, ...]:
    """Bundles (`FLEET/COHORT/TARGET`) that go, change or come, by cohort. `after` says of each whether it changes."""
    found: dict[tuple[Kind, str, str], list[str]] = {}
    for folder in sorted(before | after.keys()):
        if folder in after and folder in before and not after[folder]:
            continue
        kind = Kind.REMOVE if folder not in after else Kind.CHANGE if folder in before else Kind.ADD
        fleet, cohort, target = folder.split("/", 2) if folder.count("/") >= 2 else (folder, "", "")
        found.setdefault((kind, fleet, cohort), []).append(target)
    kinds = list(Kind)
    ordered = sorted(found.items(), key=lambda entry: (kinds.index(entry[0][0]), entry[0][1:]))
    return tuple(BundleChange(*key, tuple(targets)) for key, targets in ordered)


def _devices(fleets: Iterable[Fleet]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for cohort in (cohort for fleet in fleets for cohort in fleet.cohorts):
        for name in {run.artifact for run in cohort.runs}:
            counts[name] += len(cohort.devices)
    return counts
