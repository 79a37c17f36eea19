"""Whether the artifacts that a lock names come out the same when they are built anew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from compiler.artifact.artifact import Refusal
from compiler.artifact.making.faults import not_reproduced, pinned, refusals
from compiler.artifact.making.pace import Pace
from compiler.artifact.store.store import Store, Stored
from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic
from compiler.plan.actions import Action, Plan, Verb


class State(Enum):
    REPRODUCED = "reproduced"
    DIFFERS = "differs"
    PINNED = "not reproducible by its method: pinned by digest"
    """It was not built: other bytes would say nothing."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """On one artifact: the lock's digest, and the one that came out now."""

    artifact: str
    state: State
    locked: str
    digest: str | None


def verify(
    plan: Plan, workspace: Path, store: Store, progress: Callable[[str], None], pace: Pace
) -> tuple[tuple[Verdict, ...], list[Diagnostic]]:
    """Build every artifact of the plan from nothing, in an empty store inside `store`, and compare digests.

    What the lock does not have for these inputs and tools is an error: there is nothing to compare with.
    """
    from compiler.artifact.making.making import make_all
    from compiler.artifact.making.models import Models

    diagnostics = [_unknown(action) for action in plan.actions if action.verb is not Verb.KEEP]
    kept = [action for action in plan.actions if action.verb is Verb.KEEP]
    known = [(action, action.locked.digest) for action in kept if action.locked and action.locked.digest]
    rebuilt = [action for action, _ in known if not pinned(action)]
    with store.scratch() as scratch:
        models = Models(workspace, Store(scratch / "store"), progress, store.root)
        made, findings = make_all(rebuilt, plan, models, progress, pace)
    verdicts = []
    for action, locked in known:
        if pinned(action):
            verdicts.append(Verdict(action.name, State.PINNED, locked, None))
        elif isinstance(one := made.get(action.name), Stored):
            digest = one.digest
            state = State.REPRODUCED if digest == locked else State.DIFFERS
            verdicts.append(Verdict(action.name, state, locked, digest))
            if digest != locked:
                diagnostics.append(not_reproduced(action, digest, locked))
    refused = {name: one for name, one in made.items() if isinstance(one, Refusal)}
    return tuple(verdicts), [*diagnostics, *findings, *models.findings, *refusals(plan, refused)]


def _unknown(action: Action) -> Diagnostic:
    return Diagnostic(
        Code.LOCK_OUTDATED,
        f"Artifact `{action.name}` cannot be verified: {action.reason.value}.",
        action.recipe.place,
        help="Run `slmc compile` first, or verify with the versions that made the lock.",
    )
