"""START HERE. The whole compiler, one call per stage.

    text ─► syntax ─► blueprint ─► fleet ─► plan ─► artifact ─► fit ─► bundle ─► lock

Every stage is a function from values to `(value, diagnostics)`. A stage that reports errors
is the last one that runs: its errors come out together, and nothing has been written.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from compiler.artifact.build import build
from compiler.artifact.gates import check_gates
from compiler.artifact.steps.versions import step_versions, tool_versions
from compiler.artifact.store import Store
from compiler.blueprint.merge import merge
from compiler.bundle.checks import check_targets
from compiler.bundle.render import render
from compiler.fit.check import check
from compiler.fleet.catalogue import load
from compiler.fleet.graph import Fleet
from compiler.fleet.resolve import resolve
from compiler.fleet.sources import check_sources, fingerprint
from compiler.lock.changes import compare
from compiler.lock.lock import Lock, baseline, from_lock, locked_sources, make
from compiler.lock.publish import publish
from compiler.lock.text import read
from compiler.plan.planner import Tools, plan
from compiler.report.outcome import Mode, Outcome
from compiler.syntax.read import read_all


@dataclass(frozen=True, slots=True)
class Request:
    """What to compile and where to: `output` takes the bundles, `lock` is the lock beside it.

    `last` is the lock to start from: the same file, or the workspace's own when the output
    goes elsewhere for the first time.
    """

    workspace: Path
    output: Path
    lock: Path
    last: Path
    store: Path
    mode: Mode = Mode.COMPILE


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


def recall(outcome: Outcome, workspace: Path, last: Lock, fleets: tuple[Fleet, ...]) -> None:
    """What `fleets` of a validated workspace need, as the lock has it: for questions, which build nothing.

    Whether it fits its devices is not judged.
    """
    sources = outcome.take(fingerprint(workspace, fleets, locked_sources(last)))
    if outcome.failed():
        return
    outcome.plan = plan(fleets, sources, baseline(last), Tools(step_versions(), tool_versions()))
    outcome.artifacts = outcome.take(from_lock(outcome.plan, last))
    if not outcome.failed():
        outcome.estimates, _ = check(fleets, outcome.artifacts)


def compile(request: Request, progress: Callable[[str], None]) -> Outcome:
    """Text → bundles on the disk, and the lock that describes them."""
    locked = request.mode is not Mode.COMPILE
    outcome = validate(request.workspace, locked=locked)
    outcome.mode = request.mode
    last = outcome.take(read(request.last))
    if outcome.failed():
        return outcome
    known = locked_sources(last) if locked else {}
    sources = outcome.take(fingerprint(request.workspace, outcome.fleets, known))
    tools = Tools(step_versions(), tool_versions())
    if outcome.failed():
        return outcome
    outcome.plan = plan(outcome.fleets, sources, baseline(last), tools)
    if locked:
        outcome.artifacts = outcome.take(from_lock(outcome.plan, last))
        tools = replace(tools, libraries=last.tools)
    else:
        outcome.artifacts = outcome.take(build(outcome.plan, request.workspace, Store(request.store), progress))
    if outcome.failed():
        return outcome
    outcome.diagnostics += check_gates(outcome.plan, outcome.artifacts)
    outcome.estimates = outcome.take(check(outcome.fleets, outcome.artifacts))
    outcome.bundles = outcome.take(render(outcome.targets, outcome.fleets, outcome.artifacts, outcome.estimates))
    if not outcome.failed():
        lock = make(outcome.plan, outcome.artifacts, outcome.bundles, tools)
        outcome.tree = tree = outcome.take(compare(request.output, outcome.bundles, last, request.lock, lock))
        if not outcome.failed() and request.mode is not Mode.CHECK:
            publish(tree)
    return outcome
