"""What a compile did, for a person: before → after, what fits, what was written, what to do next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from compiler.base.units import show_bytes
from compiler.bundle.bundles import FOLDER as COHORTS
from compiler.bundle.index import SHARDS
from compiler.fit.check import Estimate
from compiler.fleet.graph import Fleet
from compiler.lock.changes import ChangeKind, Tree
from compiler.report.choices import choices_text
from compiler.report.measured import artifacts_text
from compiler.report.outcome import Mode, Outcome
from compiler.report.table import table

_SHOWN_CHANGES = 20
_SHOWN_COHORTS = 20


def fleets_text(fleets: Sequence[Fleet]) -> str:
    """One line a fleet, and how many of its devices run nothing."""
    rows = [
        [
            fleet.name,
            _count(fleet.devices, "device"),
            _count(len(fleet.cohorts), "cohort"),
            ", ".join(target.name for target in fleet.targets),
        ]
        for fleet in fleets
    ]
    if not rows:
        return "No errors. No fleet is declared.\n"
    idle = [f"{fleet.name}: no run matches {_count(len(fleet.idle), 'device')}.\n" for fleet in fleets if fleet.idle]
    return "No errors.\n\n" + table(["fleet", "devices", "cohorts", "targets"], rows) + "".join(idle)


def summary_text(outcome: Outcome) -> str:
    """The parts that the run reached, with a blank line between them."""
    facts = facts_text(outcome) if outcome.recalled is None else outcome.recalled
    return "\n".join(part for part in (facts, _tree_text(outcome, outcome.tree) if outcome.tree else "") if part)


def facts_text(outcome: Outcome) -> str:
    """What is so whatever is written: the artifacts, and how they fit."""
    parts = []
    if outcome.artifacts and outcome.plan and outcome.artifacts.artifacts:
        parts.append(artifacts_text(outcome.plan, outcome.artifacts))
    if outcome.decisions and outcome.artifacts:
        known = {artifact.digest: artifact for artifact in outcome.artifacts.artifacts.values()}
        parts.append(choices_text(outcome.decisions, known, plots=outcome.mode is not Mode.CHECK))
    if outcome.estimates:
        parts.append(_fit_text(outcome.fleets, outcome.estimates))
    return "\n".join(parts)


def _fit_text(fleets: Iterable[Fleet], estimates: Sequence[Estimate]) -> str:
    """A line a cohort, of many those with the most devices."""
    cohorts = {(fleet.name, cohort.name): cohort for fleet in fleets for cohort in fleet.cohorts}
    sizes = {key: len(cohort.devices) for key, cohort in cohorts.items()}
    shown = list(estimates)
    if len(shown) > _SHOWN_COHORTS:
        largest = sorted(shown, key=lambda e: (-sizes[e.fleet, e.cohort], e.fleet, e.cohort))
        shown = largest[:_SHOWN_COHORTS]
    rows = []
    for estimate in shown:
        cohort = cohorts[estimate.fleet, estimate.cohort]
        rows.append(
            [
                f"{estimate.fleet}/{estimate.cohort}",
                str(len(cohort.devices)),
                ", ".join(f"{run.name}: {run.artifact}" for run in cohort.runs) or "nothing",
                f"{show_bytes(estimate.memory_needed)} of {show_bytes(estimate.memory_available)}",
                f"{show_bytes(estimate.storage_needed)} of {show_bytes(estimate.storage_available)}",
            ]
        )
    text = table(["cohort", "devices", "runs", "memory (estimated)", "storage"], rows, right=(1, 3, 4))
    left = len(estimates) - len(shown)
    return text + (f"and {_count(left, 'smaller cohort')}: `slmc ls cohorts` lists all\n" if left else "")


def _tree_text(outcome: Outcome, tree: Tree) -> str:
    if outcome.failed():
        return "Nothing was written.\n"
    changed = _changes_text(tree)
    if outcome.mode is Mode.CHECK:
        if not tree.pending:
            return "The committed tree is what the blueprint gives.\n"
        return f"{changed}Pending: run `slmc compile` and commit what it writes.\n"
    if not tree.pending:
        return f"Nothing to write: {tree.output} and {tree.lock_path} are up to date.\n"
    return f"{changed}Next: read the diff (`git diff`), then commit {tree.output} and {tree.lock_path}.\n"


def _changes_text(tree: Tree) -> str:
    """How many files of each bundle change how; single paths when there are few."""
    if len(tree.changes) + tree.lock_changed <= _SHOWN_CHANGES:
        lines = [(change.kind.value, f"{tree.output}/{change.path}") for change in tree.changes]
    else:
        counts: Counter[tuple[str, str]] = Counter()
        for kind in ChangeKind:
            holders = [path[: path.rfind("/")] for one, path in tree.changes if one is kind]
            for holder, n in Counter(holders).items():
                counts[kind.value, _folder(holder)] += n
        lines = [(kind, f"{tree.output}/{folder}: {_count(n, 'file')}") for (kind, folder), n in sorted(counts.items())]
    if tree.lock_changed:
        lines.append(("write", str(tree.lock_path)))
    return "".join(f"{kind:7} {path}\n" for kind, path in lines)


def _folder(holder: str) -> str:
    """Of a folder that holds files: `stores-eu/pi-5-8g/systemd` in a bundle, `stores-eu` or `stores-eu/devices` for an
    index; of bundles in shards `stores-eu/cohorts`, for there are many."""
    parts = holder.split("/", 3)
    return "/".join(parts[:2] if len(parts) > 1 and parts[1] in (SHARDS, COHORTS) else parts[:3])


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
