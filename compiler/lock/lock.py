"""The lock: every digest, build fact and tool version that the committed bundles stand on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from compiler.artifact.artifact import Artifact, Artifacts, Original, Refusal
from compiler.artifact.making.faults import refusals
from compiler.base import digests
from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic
from compiler.bundle.manifest import SUMS
from compiler.fit.choose import Decision
from compiler.fleet.sources import ModelSource
from compiler.plan.actions import Action, Baseline, Locked, Plan, Reason
from compiler.plan.planner import Tools


@dataclass(frozen=True, slots=True)
class LockedArtifact:
    """An artifact with the digests of what it was made from and measured on, and the task that it was made for: empty
    where an older slmc wrote the lock."""

    artifact: Artifact
    source: str
    task: str
    steps: str
    evaluation: str


@dataclass(frozen=True, slots=True)
class LockedRefusal:
    """Why there is no artifact, with the digests of what it would be made from and measured on."""

    refusal: Refusal
    source: str
    task: str
    steps: str
    evaluation: str


@dataclass(frozen=True, slots=True)
class Committed:
    """Digests of what a compile writes: of bundles by folder, of indexes by path below the output folder.

    The bundle's digest is that of its `SHA256SUMS`. Of a tree of shards there is only the one at its root.
    """

    bundles: Mapping[str, str] = field(default_factory=dict)
    indexes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Lock:
    """Artifacts and refusals by name, originals by model id, and the digests of Committed."""

    tools: Mapping[str, str] = field(default_factory=dict)
    artifacts: Mapping[str, LockedArtifact] = field(default_factory=dict)
    originals: Mapping[str, Original] = field(default_factory=dict)
    bundles: Mapping[str, str] = field(default_factory=dict)
    indexes: Mapping[str, str] = field(default_factory=dict)
    decisions: tuple[Decision, ...] = ()
    refused: Mapping[str, LockedRefusal] = field(default_factory=dict)

    @property
    def chains(self) -> list[str]:
        """The folders of shards among `bundles`: `stores-eu/cohorts`, whose sums name bundles further down."""
        return [folder for folder in self.bundles if folder.count("/") == 1]

    @property
    def index_chains(self) -> list[str]:
        """The folders of shards that indexes lie in: `stores-eu/devices`."""
        return [path.removesuffix(f"/{SUMS}") for path in self.indexes if path.endswith(f"/{SUMS}")]


def baseline(lock: Lock) -> Baseline:
    """What the planner needs to know of the last compile."""
    return Baseline(
        {
            name: Locked(
                entry.artifact.key, entry.source, entry.task, entry.steps, entry.evaluation, entry.artifact.digest
            )
            for name, entry in lock.artifacts.items()
        }
        | {
            name: Locked(entry.refusal.key, entry.source, entry.task, entry.steps, entry.evaluation, "")
            for name, entry in lock.refused.items()
        }
    )


def locked_sources(lock: Lock) -> dict[str, ModelSource]:
    """By model id, the digests that the lock has of models whose files may be absent."""
    return {
        entry.artifact.model: ModelSource(entry.artifact.model, (), entry.source, entry.evaluation)
        for entry in lock.artifacts.values()
    }


@dataclass(frozen=True, slots=True)
class Made:
    """What a compile found out before it wrote anything."""

    plan: Plan
    artifacts: Artifacts
    tools: Tools
    decisions: tuple[Decision, ...] = ()


def make(of: Made, committed: Committed, kept: Lock | None = None) -> Lock:
    """The lock of a finished compile. What depends on the machine is left behind here.

    A compile of a part of the workspace keeps what the last lock, `kept`, says of the rest.
    """
    plan, artifacts = of.plan, of.artifacts
    used = {action.model.id for action in plan.actions}
    rest = kept or Lock()
    made = {
        action.name: LockedArtifact(replace(artifact, speed=None, built=False), *_inputs(action))
        for action in plan.actions
        if (artifact := artifacts.artifacts.get(action.name))
    }
    refused = {
        action.name: LockedRefusal(artifacts.refused[action.name], *_inputs(action))
        for action in plan.actions
        if action.name not in made
    }
    originals = {id: replace(o, speed=None) for id, o in artifacts.originals.items() if id in used}
    return Lock(
        dict(of.tools.libraries),
        {**{name: entry for name, entry in rest.artifacts.items() if name not in refused}, **made},
        {**rest.originals, **originals},
        committed.bundles,
        committed.indexes,
        _decisions(of.decisions, rest),
        {**{name: entry for name, entry in rest.refused.items() if name not in made}, **refused},
    )


def _inputs(action: Action) -> tuple[str, str, str, str]:
    """The digest of the source, the task, and the digests of steps and evaluation data."""
    steps = digests.of_value(list(action.inputs.steps))
    return action.source.digest, action.model.task, steps, action.source.evaluation


def _decisions(new: tuple[Decision, ...], rest: Lock) -> tuple[Decision, ...]:
    """Without figures, some of which are of the machine; those of the rest of a workspace stay."""
    found = {decision.key: decision for decision in (*rest.decisions, *new)}
    return tuple(replace(found[key], figures={}) for key in sorted(found))


def artifacts_of(lock: Lock) -> Artifacts:
    """What is deployed, as the lock describes it."""
    refused = {name: entry.refusal for name, entry in lock.refused.items()}
    return Artifacts({name: entry.artifact for name, entry in lock.artifacts.items()}, lock.originals, refused)


def from_lock(plan: Plan, lock: Lock) -> tuple[Artifacts, list[Diagnostic]]:
    """The artifacts as the lock describes them, for a compile that builds nothing.

    Other versions of the tools are no obstacle: the locked artifact is the one that was
    measured. Any other difference between blueprint and lock is an error.
    """
    diagnostics = [
        Diagnostic(
            Code.LOCK_OUTDATED,
            f"Artifact `{action.name}` has to be built: {action.reason.value}.",
            action.recipe.place,
            help="Run `slmc compile` where the store is, and commit `slmc.lock` with the bundles.",
        )
        for action in plan.actions
        if action.reason not in (Reason.UNCHANGED, Reason.TOOLS)
    ]
    artifacts = artifacts_of(lock)
    return artifacts, diagnostics or refusals(plan, artifacts.refused)
