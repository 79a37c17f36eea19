"""What `slmc plan` and `slmc where` ask: the stages as far as an answer needs them. Nothing is built or written."""

from __future__ import annotations

from pathlib import Path

from compiler.artifact.steps.versions import step_versions, tool_versions
from compiler.bundle.template_digests import template_digests
from compiler.fit.check import check
from compiler.fit.choose import undecided
from compiler.fleet.fingerprint import fingerprint
from compiler.fleet.graph import Fleet
from compiler.lock.before import judged, opened
from compiler.lock.lock import Lock, baseline, from_lock, locked_sources
from compiler.lock.review import State, compare_states
from compiler.lock.text import NAME, read
from compiler.pipeline import validate
from compiler.plan.planner import Tools, plan
from compiler.plan.review import Review
from compiler.report.outcome import Outcome


def recall(outcome: Outcome, workspace: Path, store: Path, last: Lock, fleets: tuple[Fleet, ...]) -> None:
    """What `fleets` of a validated workspace need, as the lock has it: for questions, which build nothing.

    Whether it fits its devices is not judged, and choices were made as `last` has them.
    """
    outcome.diagnostics += undecided(fleets)
    inputs = outcome.take(fingerprint(workspace, store, fleets, locked_sources(last)))
    if outcome.failed():
        return
    outcome.plan = plan(fleets, inputs, baseline(last), Tools(step_versions(), tool_versions()))
    outcome.artifacts = outcome.take(from_lock(outcome.plan, last))
    if not outcome.failed():
        outcome.estimates, _ = check(fleets, outcome.artifacts)


def review(workspace: Path, store: Path, against: str | None, names: tuple[str, ...]) -> tuple[Outcome, Review | None]:
    """Text and the state before → what a compile would change."""
    outcome = validate(workspace, None)
    last = outcome.take(read(workspace / NAME))
    if outcome.failed():
        return outcome, None
    with opened(workspace, against) as before:
        earlier = validate(before.root, None) if before.blueprint else Outcome()
        lock = earlier.take(read(before.root / NAME))
        before = outcome.take(judged(before, earlier.diagnostics))
        known = locked_sources(lock) | locked_sources(last)
        inputs = outcome.take(fingerprint(workspace, store, outcome.fleets, known))
        old = State(earlier.fleets if before.blueprint else (), template_digests(earlier.targets), lock)
        new = State(outcome.fleets, template_digests(outcome.targets), last)
        found = outcome.take(compare_states(before, old, new, inputs, Tools(step_versions(), tool_versions()), names))
        return outcome, None if outcome.failed() else found
