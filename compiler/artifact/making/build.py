"""Plan → Artifacts: each one found in the store or made, then measured.

On a warm store this reads and compares digests; nothing heavy is imported. What only building needs is imported
when it begins: `validate` imports this module too.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from compiler.artifact.artifact import NOTHING, Artifact, Artifacts, Original, Refusal, Speed
from compiler.artifact.converters.formats import converted
from compiler.artifact.evaluation import texts
from compiler.artifact.making.pace import Pace
from compiler.artifact.measuring.gates import held
from compiler.artifact.process import Failed
from compiler.artifact.store import cache
from compiler.artifact.store.store import Store, Stored
from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic
from compiler.base.span import Span
from compiler.plan.actions import Action, Plan, Verb

if TYPE_CHECKING:
    from compiler.artifact.making.models import Models
    from compiler.artifact.measuring.measure import Bench, Measured, Wanted


def build(
    plan: Plan,
    workspace: Path,
    store: Store,
    progress: Callable[[str], None],
    last: Artifacts = NOTHING,
    pace: Pace | None = None,
) -> tuple[Artifacts, list[Diagnostic]]:
    """Every artifact of the plan. One that fails does not stop the others.

    `progress` gets a short line for each thing that takes time. `last` is what the lock has: what is deployed. Raises
    Stop when the store cannot be written.
    """
    from compiler.artifact.making.faults import refusals
    from compiler.artifact.making.models import Models

    building = _Building(workspace, store, progress, Models(workspace, store, progress), last)
    building.diagnostics += store.mend()
    missing = [action for action in plan.actions if not building.find(action)]
    if missing:
        building.make(missing, plan, pace or Pace())
    for action in plan.actions:
        building.check(action)
    for id in sorted({action.model.id for action in plan.actions}):
        building.measure(
            [action for action in plan.actions if action.model.id == id and action.name in building.stored]
        )
    said = [*building.diagnostics, *building.models.findings, *refusals(plan, building.refused)]
    return Artifacts(building.artifacts, building.originals, building.refused), said


@dataclass(slots=True)
class _Building:
    workspace: Path
    store: Store
    progress: Callable[[str], None]
    models: Models
    last: Artifacts
    stored: dict[str, Stored] = field(default_factory=dict)
    built: set[str] = field(default_factory=set)
    refused: dict[str, Refusal] = field(default_factory=dict)
    artifacts: dict[str, Artifact] = field(default_factory=dict)
    originals: dict[str, Original] = field(default_factory=dict)
    diagnostics: list[Diagnostic] = field(default_factory=list)

    def find(self, action: Action) -> bool:
        """Whether the store has the artifact, which is in `stored` then, or the lock says why there is none."""
        known = self.last.refused.get(action.name)
        if known is not None and known.key == action.key:
            self.refused[action.name] = known
            return True
        stored, findings = self.store.find(action.key)
        self.diagnostics += findings
        if stored is not None:
            self.stored[action.name] = stored
        return stored is not None

    def make(self, missing: list[Action], plan: Plan, pace: Pace) -> None:
        """Fill `stored` for what the store does not have, or say why not."""
        from compiler.artifact.making.making import make_all

        made, findings = make_all(missing, plan, self.models, self.progress, pace)
        self.stored |= {name: one for name, one in made.items() if isinstance(one, Stored)}
        self.refused |= {name: one for name, one in made.items() if isinstance(one, Refusal)}
        self.diagnostics += findings
        first = {action.key: action.name for action in reversed(missing) if action.name in self.stored}
        self.built |= set(first.values())

    def check(self, action: Action) -> None:
        """Repeat what the steps had to say; leave out what is not what the lock names."""
        from compiler.artifact.making.faults import not_reproduced, remark

        stored = self.stored.get(action.name)
        if stored is None:
            return
        self.diagnostics += [remark(action, said) for said in stored.remarks]
        if action.verb is Verb.KEEP and action.locked and stored.digest != action.locked.digest:
            self.diagnostics.append(not_reproduced(action, stored.digest, action.locked.digest))
            del self.stored[action.name]

    def measure(self, actions: list[Action]) -> None:
        """Quality and speed of the artifacts of one model, and of the model itself."""
        from compiler.artifact.measuring.measure import Bench

        if not actions:
            return
        source, findings = self.models.original(actions[0])
        self.diagnostics += findings
        if source is None:
            return
        with contextlib.ExitStack() as stack:
            bench = Bench(
                actions[0].model,
                source.folder,
                self.workspace,
                self.store,
                self._folders(stack),
                self.progress,
                source.made,
            )
            measured = self._qualities(bench, actions)
            if not measured:
                return
            # What did not run there would be told a second time.
            speeds = self._speeds(bench, actions, {name for name, one in measured.items() if one.failed})
            for action in actions:
                self._finish(action, measured[action.name], speeds.get(self.stored[action.name].digest))
            model, size = actions[0].model.id, source.size()
            figures = next((one.original for one in measured.values() if one.original), {})
            self.originals[model] = Original(model, size, source.shape, figures, speeds[None])

    def _folders(self, stack: contextlib.ExitStack) -> Callable[[str, Stored], Path]:
        """Lays an artifact out in a scratch folder, which is made when the first one is asked for."""

        @functools.cache
        def scratch() -> Path:
            cache.sweep(self.store)  # What a killed run left.
            return stack.enter_context(self.store.scratch())

        def folder(name: str, stored: Stored) -> Path:
            path: Path = scratch() / name
            if not path.exists():
                self.store.lay_out(stored, path)
            return path

        return folder

    def _qualities(self, bench: Bench, actions: list[Action]) -> dict[str, Measured]:
        """By artifact name; empty when the model cannot be evaluated."""
        from compiler.artifact.measuring.measure import Measured

        model = actions[0].model
        wanted, kept = self._wanted(actions)
        try:
            measured, findings = bench.qualities(wanted)
        except Failed as error:
            self.diagnostics.append(_evaluation_failed(model.id, model.place, str(error)))
            return {}
        self.diagnostics += findings
        original = self.last.originals[model.id].figures if model.id in self.last.originals else {}
        measured |= {name: Measured(one.quality, original, one.golden) for name, one in kept.items()}
        if not measured:
            self.diagnostics.append(texts.too_little(model))
        for action in actions:
            if action.name in measured and (why := measured[action.name].failed):
                self.diagnostics.append(_evaluation_failed(action.name, action.recipe.place, why))
        return measured

    def _wanted(self, actions: list[Action]) -> tuple[list[Wanted], dict[str, Artifact]]:
        """What has to be measured, and what the lock has of artifacts whose baseline is out of reach, by name."""
        from compiler.artifact.measuring.beside import beside
        from compiler.artifact.measuring.measure import Wanted

        wanted: list[Wanted] = []
        kept: dict[str, Artifact] = {}
        for action in actions:
            stored = self.stored[action.name]
            compared, findings = beside(action, stored, self.last, self.store)
            self.diagnostics += findings
            if compared.kept is not None:
                kept[action.name] = compared.kept
            else:
                wanted.append(Wanted(action, stored, compared))
        return wanted, kept

    def _speeds(self, bench: Bench, actions: list[Action], failed: set[str]) -> dict[str | None, Speed | None]:
        """By digest of the artifact; of the model under None. All as the store has them, or all measured anew:
        figures that are compared come from one run. What another runtime runs is not measured, nor what `failed`."""
        ours = {action.name: self.stored[action.name] for action in actions}
        subjects: dict[str | None, Action] = {
            ours[action.name].digest: action
            for action in actions
            if action.name not in failed and converted(file.name for file in ours[action.name].files) is None
        }
        subjects[None] = actions[0]
        known: dict[str | None, Speed | None] = {}
        for digest, action in subjects.items():
            known[digest], findings = bench.known_speed(action, digest)
            self.diagnostics += findings
        if all(known.values()):
            return known
        return {digest: self._measured_speed(bench, action, digest) for digest, action in subjects.items()}

    def _measured_speed(self, bench: Bench, action: Action, digest: str | None) -> Speed | None:
        try:
            return bench.measure_speed(action, self.stored[action.name] if digest else None)
        except Failed as error:
            name, place = (action.name, action.recipe.place) if digest else (action.model.id, action.model.place)
            self.diagnostics.append(_evaluation_failed(name, place, str(error)))
            return None

    def _finish(self, action: Action, measured: Measured, speed: Speed | None) -> None:
        if measured.quality is None:
            return
        stored = self.stored[action.name]
        artifact = Artifact(
            name=action.name,
            model=action.model.id,
            recipe=action.recipe.name,
            key=action.key,
            digest=stored.digest,
            files=stored.files,
            shape=stored.shape,
            quality=measured.quality,
            golden=measured.golden,
            speed=speed,
            built=action.name in self.built,
        )
        self.artifacts[action.name] = replace(artifact, held_gates=held(action.recipe.gates, artifact))


def _evaluation_failed(name: str, place: Span, why: str) -> Diagnostic:
    return Diagnostic(
        Code.EVALUATION_FAILED,
        f"`{name}` cannot be evaluated: {why.removesuffix('.')}.",
        place,
        help="Nothing was written. What does not run here would not run on a device.",
    )
