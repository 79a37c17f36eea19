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
from compiler.artifact.evaluation.before import check_texts
from compiler.artifact.evaluation.calibration import check_calibration
from compiler.artifact.making.build import build
from compiler.artifact.making.pace import Pace
from compiler.artifact.measuring.gates import check_gates, impossible_gates, of_runs
from compiler.artifact.steps.versions import step_versions, tool_versions
from compiler.artifact.store.store import Store
from compiler.blueprint.merge import merge
from compiler.bundle.bundles import levels_for
from compiler.bundle.checks import check_targets
from compiler.bundle.render import render
from compiler.delta import attempt
from compiler.fit.check import check
from compiler.fit.choose import choose, has_choice
from compiler.fleet.catalogue import load
from compiler.fleet.fingerprint import fingerprint
from compiler.fleet.packages import watched
from compiler.fleet.resolve import resolve
from compiler.fleet.select import Selection, select
from compiler.fleet.sources import check_sources
from compiler.lock.commit import Destination, commit
from compiler.lock.lock import Lock, Made, artifacts_of, baseline, from_lock, locked_sources, make
from compiler.lock.memory import Memory
from compiler.lock.text import read
from compiler.lock.world import World
from compiler.plan.actions import Plan
from compiler.plan.planner import Tools, plan
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


def validate(workspace: Path, store: Path | None, *, builds: bool = False) -> Outcome:
    """Text → Fleets: everything that can be known without building.

    Without a `store`, where fetched models are, it does without the models' files: a lock has their digests. A caller
    that `builds` next hears of evaluation data then, together with what is wrong with models.
    """
    outcome = Outcome()
    documents = outcome.take(read_all(workspace))
    blueprint = outcome.take(merge(documents))
    catalogue = outcome.take(load())
    outcome.blueprint = blueprint
    outcome.fleets = outcome.take(resolve(workspace, blueprint, catalogue))
    outcome.diagnostics += impossible_gates(outcome.fleets, workspace if store else None)
    outcome.targets = outcome.take(check_targets(workspace, outcome.fleets))
    if store is not None:
        outcome.diagnostics += check_sources(workspace, store, blueprint)
        outcome.diagnostics += check_calibration(workspace, blueprint)
        outcome.diagnostics += check_texts(workspace, blueprint, lines=not builds)
    return outcome


def compile(request: Request, progress: Callable[[str], None]) -> Outcome:
    """Text → bundles on the disk, and the lock that describes them."""
    to, mode = request.destination, request.mode
    tools = Tools(step_versions(), tool_versions())
    memory = Memory(request.workspace, to, request.store, tools.libraries).recall()
    if not request.whole and (short := attempt(request.workspace, to, memory, mode)) is not None:
        return short
    outcome = validate(request.workspace, request.store if mode is Mode.COMPILE else None, builds=True)
    outcome.mode = mode
    last = outcome.take(read(request.last))
    levels = {fleet.name: levels_for(len(fleet.cohorts)) for fleet in outcome.fleets}
    whole = outcome.fleets
    outcome.fleets = whole if outcome.failed() else outcome.take(select(whole, request.selection))
    if outcome.failed() or (made := _make(request, outcome, last, tools, progress)) is None:
        return outcome
    planned, artifacts, tools = made
    missed = check_gates(planned, artifacts)
    outcome.fleets, outcome.decisions = outcome.take(choose(outcome.fleets, artifacts, missed, last.decisions, whole))
    outcome.diagnostics += of_runs(outcome.fleets, missed)
    if has_choice(outcome.fleets):
        return outcome
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
        memory.watch(watched(request.store, outcome.blueprint) if outcome.blueprint else [])
        memory.keep(outcome.tree, {mode.value: facts_text(outcome)} if quiet else {}, world)
    return outcome


def _make(
    request: Request, outcome: Outcome, last: Lock, tools: Tools, progress: Callable[[str], None]
) -> tuple[Plan, Artifacts, Tools] | None:
    """Fleets → the artifacts that they need, built or from the lock alone, and the tools that made them."""
    locked = request.mode is not Mode.COMPILE
    known = locked_sources(last) if locked else {}
    inputs = outcome.take(fingerprint(request.workspace, request.store, outcome.fleets, known))
    if outcome.failed():
        return None
    planned = plan(outcome.fleets, inputs, baseline(last), tools)
    if locked:
        artifacts = outcome.take(from_lock(planned, last))
        tools = replace(tools, libraries=last.tools)
    else:
        store, deployed = Store(request.store), artifacts_of(last)
        artifacts = outcome.take(build(planned, request.workspace, store, progress, deployed, request.pace))
    outcome.plan, outcome.artifacts = planned, artifacts
    return None if outcome.failed() else (planned, artifacts, tools)
