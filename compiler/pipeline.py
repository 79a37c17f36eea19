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
from compiler.bundle.fingerprint import template_digests
from compiler.bundle.render import render
from compiler.fit.check import check
from compiler.fleet.catalogue import load
from compiler.fleet.resolve import resolve
from compiler.fleet.sources import check_sources, fingerprint
from compiler.lock.before import judged, opened
from compiler.lock.changes import compare
from compiler.lock.lock import baseline, from_lock, locked_sources, make
from compiler.lock.publish import publish
from compiler.lock.review import State, compare_states
from compiler.lock.text import NAME, read
from compiler.plan.planner import Tools, plan
from compiler.plan.review import Review
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
    outcome.fleets = outcome.take(resolve(workspace, blueprint, catalogue))
    outcome.targets = outcome.take(check_targets(workspace, outcome.fleets))
    if not locked:
        outcome.diagnostics += check_sources(workspace, blueprint)
    return outcome


def review(workspace: Path, against: str | None, names: tuple[str, ...]) -> tuple[Outcome, Review | None]:
    """Text and the state before → what a compile would change. Nothing is built or written."""
    outcome = validate(workspace, locked=True)
    last = outcome.take(read(workspace / NAME))
    if outcome.failed():
        return outcome, None
    with opened(workspace, against) as before:
        earlier = validate(before.root, locked=True) if before.blueprint else Outcome()
        lock = earlier.take(read(before.root / NAME))
        before = outcome.take(judged(before, earlier.diagnostics))
        known = locked_sources(lock) | locked_sources(last)
        sources = outcome.take(fingerprint(workspace, outcome.fleets, known))
        old = State(earlier.fleets if before.blueprint else (), template_digests(earlier.targets), lock)
        new = State(outcome.fleets, template_digests(outcome.targets), last)
        found = outcome.take(compare_states(before, old, new, sources, Tools(step_versions(), tool_versions()), names))
        return outcome, None if outcome.failed() else found


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
