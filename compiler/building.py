"""What `slmc build` does: the stages as far as artifacts, which go to the store; nothing is written beside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from compiler.artifact.making.build import build as build_artifacts
from compiler.artifact.making.pace import Pace
from compiler.artifact.making.verify import verify as verify_artifacts
from compiler.artifact.steps.versions import step_versions, tool_versions
from compiler.artifact.store.layout import REPORT
from compiler.artifact.store.store import Store
from compiler.fleet.fingerprint import fingerprint
from compiler.lock.lock import Lock, artifacts_of, baseline
from compiler.lock.text import NAME, read
from compiler.pipeline import validate
from compiler.plan.actions import Plan
from compiler.plan.planner import Tools, plan
from compiler.plan.shards import Shard
from compiler.report.outcome import Outcome


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """What to build without writing anything but the store."""

    workspace: Path
    store: Path
    shard: Shard = field(default_factory=lambda: Shard(1, 1))
    pace: Pace = field(default_factory=Pace)


def build(request: BuildRequest, progress: Callable[[str], None]) -> Outcome:
    """Text → the artifacts of a part of the plan, built and measured in the store, with what their steps reported."""
    outcome, planned, last = _part(request)
    if planned is not None:
        store, deployed = Store(request.store), artifacts_of(last)
        built = build_artifacts(planned, request.workspace, store, progress, deployed, request.pace)
        outcome.artifacts = outcome.take(built)
        for action in planned.actions if outcome.artifacts.artifacts else ():
            if report := outcome.take(store.record(REPORT, action.key)):
                outcome.reports[action.name] = report
    return outcome


def verify(request: BuildRequest, progress: Callable[[str], None]) -> Outcome:
    """Text → whether the artifacts of a part of the plan come out as the lock has them. Nothing is kept."""
    outcome, planned, _ = _part(request)
    if planned is not None:
        outcome.verdicts = outcome.take(
            verify_artifacts(planned, request.workspace, Store(request.store), progress, request.pace)
        )
    return outcome


def _part(request: BuildRequest) -> tuple[Outcome, Plan | None, Lock]:
    """The plan's part that a build is about, None where something is wrong; and the last lock."""
    outcome = validate(request.workspace, request.store, builds=True)
    last = outcome.take(read(request.workspace / NAME))
    if outcome.failed():
        return outcome, None, last
    inputs = outcome.take(fingerprint(request.workspace, request.store, outcome.fleets, {}))
    if outcome.failed():
        return outcome, None, last
    tools = Tools(step_versions(), tool_versions())
    outcome.plan = request.shard.of(plan(outcome.fleets, inputs, baseline(last), tools))
    return outcome, outcome.plan, last
