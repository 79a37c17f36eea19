"""What a run found out: the value that every view shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, TypeVar

from compiler.artifact.artifact import Artifacts
from compiler.artifact.making.verify import Verdict
from compiler.base.codes import Code, Exit
from compiler.base.diagnostics import Diagnostic, exit_code, has_errors
from compiler.blueprint.blueprint import Blueprint
from compiler.bundle.bundles import Bundles
from compiler.bundle.targets import Target
from compiler.fit.check import Estimate
from compiler.fit.choose import Decision
from compiler.fleet.graph import Fleet
from compiler.lock.changes import Tree
from compiler.plan.actions import Plan

T = TypeVar("T")


class Mode(Enum):
    COMPILE = "compile"
    LOCKED = "locked"
    """Build nothing: take every artifact from the lock."""
    CHECK = "check"
    """Write nothing: say whether the committed tree is what the blueprint gives."""


@dataclass(slots=True)
class Outcome:
    """Filled stage by stage; what a stage did not reach stays at its empty value."""

    mode: Mode = Mode.COMPILE
    diagnostics: list[Diagnostic] = field(default_factory=list)
    blueprint: Blueprint | None = None
    fleets: tuple[Fleet, ...] = ()
    targets: Mapping[str, Target] = field(default_factory=dict)
    plan: Plan | None = None
    artifacts: Artifacts | None = None
    reports: dict[str, Any] = field(default_factory=dict)
    """What the steps of an artifact had to tell, by its name."""
    verdicts: tuple[Verdict, ...] = ()
    decisions: tuple[Decision, ...] = ()
    estimates: tuple[Estimate, ...] = ()
    bundles: Bundles | None = None
    tree: Tree | None = None
    recalled: str | None = None
    """What the last run said of artifacts and fit, when nothing has changed since and no stage had to run."""

    def take(self, result: tuple[T, list[Diagnostic]]) -> T:
        """Keep a stage's diagnostics, hand on its value."""
        value, diagnostics = result
        self.diagnostics += diagnostics
        return value

    def failed(self) -> bool:
        return has_errors(self.diagnostics)

    @property
    def pending(self) -> bool:
        """Whether a compile would change what is committed."""
        outdated = any(d.code is Code.LOCK_OUTDATED for d in self.diagnostics)
        return outdated or (self.tree is not None and self.tree.pending)

    @property
    def exit(self) -> Exit:
        errors = [d for d in self.diagnostics if d.code is not Code.LOCK_OUTDATED or self.mode is not Mode.CHECK]
        worst = exit_code(errors)
        if worst is Exit.FINE and self.mode is Mode.CHECK and self.pending:
            return Exit.CHANGES_PENDING
        return worst
