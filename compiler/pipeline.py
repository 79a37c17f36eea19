"""START HERE. The whole compiler, one call per stage.

    text ─► syntax ─► blueprint ─► fleet ─► plan ─► artifact ─► fit ─► bundle ─► lock

Every stage is a function from values to `(value, diagnostics)`. A stage that reports errors
is the last one that runs: its errors come out together, and nothing has been written.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from compiler.artifact.artifact import Artifacts
from compiler.artifact.build import build as build_artifacts
from compiler.artifact.gates import check_gates, of_runs, reasons
from compiler.artifact.layout import REPORT
from compiler.artifact.pace import Pace
from compiler.artifact.steps.versions import step_versions, tool_versions
from compiler.artifact.store import Store
from compiler.artifact.verify import verify as verify_artifacts
from compiler.blueprint.merge import merge
from compiler.bundle.bundles import levels_for
from compiler.bundle.checks import check_targets
from compiler.bundle.render import render
from compiler.delta import attempt
from compiler.fit.check import check
from compiler.fit.choose import choose
from compiler.fleet.catalogue import load
from compiler.fleet.fingerprint import fingerprint
from compiler.fleet.resolve import resolve
from compiler.fleet.select import Selection, select
from compiler.fleet.sources import check_sources
from compiler.lock.commit import Destination, commit
from compiler.lock.lock import Lock, Made, baseline, from_lock, locked_sources, make
from compiler.lock.memory import Memory
from compiler.lock.text import NAME, read
from compiler.lock.world import World
from compiler.plan.actions import Plan
from compiler.plan.planner import Tools, plan
from compiler.plan.shards import Shard
from compiler.report.outcome import Mode, Outcome
from compiler.report.summary import facts_text
from compiler.syntax.read import read_all


@dataclass(frozen=True, slots=True)
class Request:
    """What to compile. `last` is the lock to start from: the destination's own, or the workspace's when the output
    goes elsewhere for the first time. With `whole` every value of the outcome is wanted, even if nothing changed.
    """

    workspace: Path
    destination: Destination
    last: Path
    store: Path
    mode: Mode = Mode.COMPILE
    selection: Selection = field(default_factory=Selection)
    whole: bool = False
    pace: Pace = field(default_factory=Pace)


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """What to build without writing anything but the store."""

    workspace: Path
    store: Path
    shard: Shard = field(default_factory=lambda: Shard(1, 1))
    pace: Pace = field(default_factory=Pace)


def validate(workspace: Path, *, locked: bool = False) -> Outcome:
    """Text → Fleets: everything that can be known without building.

    A `locked` run does without the models' files: the lock has their digests.
    """
    outcome = Outcome()
    documents = outcome.take(read_all(workspace))
    blueprint = outcome.take(merge(documents))
    catalogue = outcome.take(load())
    outcome.blueprint = blueprint
    outcome.fleets = outcome.take(resolve(workspace, blueprint, catalogue))
    outcome.targets = outcome.take(check_targets(workspace, outcome.fleets))
    if not locked:
        outcome.diagnostics += check_sources(workspace, blueprint)
    return outcome


def compile(request: Request, progress: Callable[[str], None]) -> Outcome:
    """Text → bundles on the disk, and the lock that describes them."""
    to, mode = request.destination, request.mode
    tools = Tools(step_versions(), tool_versions())
    memory = Memory(request.workspace, to, request.store, tools.libraries).recall()
    if not request.whole and (short := attempt(request.workspace, to, memory, mode)) is not None:
        return short
    outcome = validate(request.workspace, locked=mode is not Mode.COMPILE)
    outcome.mode = mode
    last = outcome.take(read(request.last))
    levels = {fleet.name: levels_for(len(fleet.cohorts)) for fleet in outcome.fleets}
    outcome.fleets = outcome.fleets if outcome.failed() else outcome.take(select(outcome.fleets, request.selection))
    if outcome.failed() or (made := _make(request, outcome, last, tools, progress)) is None:
        return outcome
    planned, artifacts, tools = made
    failed = check_gates(planned, artifacts)
    outcome.fleets, outcome.decisions = outcome.take(choose(outcome.fleets, artifacts, reasons(failed), last.decisions))
    outcome.diagnostics += of_runs(outcome.fleets, failed)
    outcome.estimates = outcome.take(check(outcome.fleets, artifacts))
    if outcome.failed():
        return outcome
    outcome.bundles = render(outcome.targets, outcome.fleets, artifacts, outcome.estimates, levels)
    made_of = Made(planned, artifacts, tools, outcome.decisions)
    lock = partial(make, made_of, kept=None if to.scope.everything else last)
    outcome.tree = outcome.take(commit(to, outcome.bundles, last, memory.bundles, lock))
    if not outcome.failed():
        quiet = not outcome.diagnostics
        world = World.of(outcome.fleets) if quiet else None
        memory.keep(outcome.tree, {mode.value: facts_text(outcome)} if quiet else {}, world)
    return outcome


def build(request: BuildRequest, progress: Callable[[str], None]) -> Outcome:
    """Text → the artifacts of a part of the plan, built and measured in the store, with what their steps reported."""
    outcome, planned = _part(request)
    if planned is not None:
        store = Store(request.store)
        outcome.artifacts = outcome.take(build_artifacts(planned, request.workspace, store, progress, request.pace))
        for action in planned.actions if outcome.artifacts.artifacts else ():
            if report := outcome.take(store.record(REPORT, action.key)):
                outcome.reports[action.name] = report
    return outcome


def verify(request: BuildRequest, progress: Callable[[str], None]) -> Outcome:
    """Text → whether the artifacts of a part of the plan come out as the lock has them. Nothing is kept."""
    outcome, planned = _part(request)
    if planned is not None:
        outcome.verdicts = outcome.take(
            verify_artifacts(planned, request.workspace, Store(request.store), progress, request.pace)
        )
    return outcome


def _part(request: BuildRequest) -> tuple[Outcome, Plan | None]:
    """The plan's part that a build is about; None where something is wrong."""
    outcome = validate(request.workspace)
    last = outcome.take(read(request.workspace / NAME))
    if outcome.failed():
        return outcome, None
    inputs = outcome.take(fingerprint(request.workspace, outcome.fleets, {}))
    if outcome.failed():
        return outcome, None
    tools = Tools(step_versions(), tool_versions())
    outcome.plan = request.shard.of(plan(outcome.fleets, inputs, baseline(last), tools))
    return outcome, outcome.plan


def _make(
    request: Request, outcome: Outcome, last: Lock, tools: Tools, progress: Callable[[str], None]
) -> tuple[Plan, Artifacts, Tools] | None:
    """Fleets → the artifacts that they need, built or from the lock alone, and the tools that made them."""
    locked = request.mode is not Mode.COMPILE
    inputs = outcome.take(fingerprint(request.workspace, outcome.fleets, locked_sources(last) if locked else {}))
    if outcome.failed():
        return None
    planned = plan(outcome.fleets, inputs, baseline(last), tools)
    if locked:
        artifacts = outcome.take(from_lock(planned, last))
        tools = replace(tools, libraries=last.tools)
    else:
        artifacts = outcome.take(
            build_artifacts(planned, request.workspace, Store(request.store), progress, request.pace)
        )
    outcome.plan, outcome.artifacts = planned, artifacts
    return None if outcome.failed() else (planned, artifacts, tools)
