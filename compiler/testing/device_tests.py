"""What `slmc test` does: the lock's artifacts, by class of devices, each tried within its limits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from compiler.artifact.store.store import Store
from compiler.base.diagnostics import Diagnostic
from compiler.fit.choose import decided
from compiler.fleet.select import Selection, select
from compiler.pipeline import validate
from compiler.publish.wanted import locked
from compiler.questions import recall
from compiler.testing.cases import cases, named
from compiler.testing.machine import machine_for
from compiler.testing.result import Result
from compiler.testing.trial import Trial


@dataclass(frozen=True, slots=True)
class Request:
    """What to try. `run` is the name of the runs that are meant, None: all; `root` a file system for arm64."""

    workspace: Path
    store: Path
    selection: Selection = field(default_factory=Selection)
    run: str | None = None
    root: Path | None = None


def run_tests(request: Request, begin: Callable[[str], None]) -> tuple[list[Result], list[Diagnostic]]:
    """Text and lock → results, in the order of classes. Raises Stop without a lock or without the runtime."""
    outcome = validate(request.workspace, None)
    lock = locked(request.workspace)
    if outcome.failed():
        return [], outcome.diagnostics
    fleets = outcome.take(select(decided(outcome.fleets, lock.decisions), request.selection))
    if request.run is not None and not outcome.failed():
        outcome.diagnostics += named(fleets, request.run)
    outcome.fleets = fleets
    if not outcome.failed():
        recall(outcome, request.workspace, request.store, lock, fleets)
    if outcome.failed():
        return [], outcome.diagnostics
    assert outcome.artifacts is not None
    trial = Trial(request.workspace, Store(request.store), outcome.artifacts)
    # All of them before anything starts: a runtime that is not installed is said at once.
    pairs = [(case, machine_for(case, request.root)) for case in cases(outcome, request.run)]
    results = [trial.run(case, machine, begin) for case, machine in pairs]
    return results, [*outcome.diagnostics, *(found for result in results if (found := result.finding))]
