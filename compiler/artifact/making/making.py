"""Make the artifacts that the store does not have: their recipes' steps side by side, each in a process of its own."""

from __future__ import annotations

import errno
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path, PurePosixPath
from threading import Lock
from typing import Any

from compiler.artifact.artifact import File, Refusal
from compiler.artifact.configuration import CONFIG
from compiler.artifact.converters import environment
from compiler.artifact.making import resources
from compiler.artifact.making.faults import Fault, no_room, refused
from compiler.artifact.making.models import Models, Source, label_of
from compiler.artifact.making.pace import Pace
from compiler.artifact.making.schedule import Capacity, Cost, Job, Shortage, run_jobs
from compiler.artifact.making.stages import Stage, keys, shared_keys, stages
from compiler.artifact.measuring import machine
from compiler.artifact.process import Failed, Leash, run
from compiler.artifact.steps import versions
from compiler.artifact.steps.table import MAKE_ZEROS
from compiler.artifact.store import cache, intermediates
from compiler.artifact.store.intermediates import Intermediate, Told
from compiler.artifact.store.store import Remark, Store, Stored
from compiler.base import digests, files
from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic
from compiler.plan.actions import Action, Plan


def make_all(
    missing: Sequence[Action], plan: Plan, models: Models, progress: Callable[[str], None], pace: Pace
) -> tuple[dict[str, Stored | Refusal], list[Diagnostic]]:
    """Build the `missing` actions' artifacts into the store of `models`, by name. One that fails does not stop others.

    Whether a Refusal is an error is for the caller to say. Raises Stop when the disk refuses.
    """
    diagnostics: list[Diagnostic] = []
    sources: dict[str, Source] = {}  # by the name of an action: a recipe may start from weights, another from a graph
    for action in missing:
        source, findings = models.source(action)
        diagnostics += findings
        if source is not None:
            sources[action.name] = source
    usable = [action for action in missing if action.name in sources]
    if not usable:
        return {}, diagnostics
    cache.sweep(models.store)  # What a killed build left may be large.
    with models.store.scratch() as scratch:
        making = _Making(models.workspace, models.store, models.home, sources, scratch, progress, pace)
        making.run(usable, shared_keys(plan.actions))
        found = [making.result(action) for action in usable]
    results = {
        action.name: made for action, made in zip(usable, found, strict=True) if not isinstance(made, Diagnostic)
    }
    failed = [made for made in found if isinstance(made, Diagnostic)]
    return results, diagnostics + making.findings + failed


@dataclass(frozen=True, slots=True)
class _Made:
    """What the steps up to a stage made: the graph is in a folder with nothing but what belongs to it."""

    graph: Path
    weight_bytes: int
    told: tuple[Told, ...]


@dataclass(slots=True)
class _Making:
    workspace: Path
    store: Store
    home: Path
    """The root of the user's store, where the environments of converters are."""
    sources: Mapping[str, Source]
    scratch: Path
    progress: Callable[[str], None]
    pace: Pace
    findings: list[Diagnostic] = field(default_factory=list)
    _made: dict[str, _Made] = field(default_factory=dict)
    _stored: dict[str, Stored] = field(default_factory=dict)
    _faults: dict[str, Fault] = field(default_factory=dict)
    _short: Mapping[str, Shortage] = field(default_factory=dict)
    _readers: Counter[str] = field(default_factory=Counter)
    """By key, how many stages still have to read what the stage made."""
    _lock: Lock = field(default_factory=Lock)
    _leash: Leash = field(default_factory=Leash)

    def run(self, missing: Sequence[Action], shared: frozenset[str]) -> None:
        """All the stages that the `missing` artifacts need; what came of them is kept for `result`."""
        wanted = stages(missing, shared, self._held)
        self._readers.update(stage.before for stage in wanted if stage.before)
        inner = {stage.key for stage in wanted}
        jobs = [
            Job(
                stage.key,
                stage.before if stage.before in inner else None,
                partial(self._cost, stage),
                partial(self._work, stage, self.scratch / f"stage-{number}"),
            )
            for number, stage in enumerate(wanted)
        ]
        by_key = {stage.key: stage for stage in wanted}
        capacity = Capacity(
            self.pace.jobs or machine.processors(),
            resources.available_memory(),
            partial(resources.free_disk, self.store.root),
        )
        self._short = run_jobs(jobs, capacity, lambda job: self.progress(_line(by_key[job.name])), self._leash.cut)

    def result(self, action: Action) -> Stored | Refusal | Diagnostic:
        """The artifact, or why there is none."""
        for number, key in enumerate(keys(action)):
            if key in self._faults and self._faults[key].code == Code.STEP_INAPPLICABLE.name:
                fault = self._faults[key]
                return Refusal(action.key, number, fault.reason, fault.parameter)
            if key in self._faults:
                return refused(action, number, self._faults[key])
            if key in self._short:
                return no_room(action, self._short[key], self.store.root)
        return self._stored[action.key]

    def _held(self, key: str) -> bool:
        """Whether the store has what earlier builds shared; it is laid out then."""
        if key not in self._made:
            found, damage = intermediates.find(self.store, key)
            self.findings += damage
            if found is None:
                return False
            graph = found.lay_out(self.store, self.scratch / f"held-{len(self._made)}")
            self._made[key] = _Made(graph, found.weight_bytes, found.told)
        return True

    def _cost(self, stage: Stage) -> Cost:
        source, model = self._made.get(stage.before or ""), self.sources[stage.action.name]
        folder = source.graph.parent if source else model.folder
        names = model.weights if source is None else [path.name for path in folder.iterdir()]
        size = sum((folder / name).stat().st_size for name in names)
        everything = versions.uses_all_processors(stage.step_name)
        processors = self.pace.jobs or machine.processors() if everything else 1
        return Cost(versions.memory(stage.step_name, size), size, processors)

    def _work(self, stage: Stage, folder: Path) -> bool:
        """Run the stage's step and keep what comes of it. Raises Stop when the disk refuses."""
        try:
            told = self._step(stage, folder)
            if isinstance(told, Fault):
                self._faults[stage.key] = told
                return False
            target, before = folder / "made", self._made.get(stage.before or "")
            all_told = (*(before.told if before else ()), Told.of(stage.step_name, told))
            made = _Made(target / told["graph"], told["weight_bytes"], all_told)
            self._made[stage.key] = made
            self._keep(stage, made, folder)
            return True
        finally:
            self.pace.watch(_line(stage), 1.0)
            self._leave(stage)

    def _step(self, stage: Stage, folder: Path) -> Any:
        """What `apply_step` gives, or a Fault, also when its process died."""
        target, work = folder / "made", folder / "work"
        target.mkdir(parents=True)
        work.mkdir()
        line = _line(stage)

        def tell(event: Any) -> None:
            if isinstance(event, int | float):
                self.pace.watch(line, min(1.0, max(0.0, float(event))))

        try:
            made = run("step", self._request(stage, target, work), tell, log=folder / "log", leash=self._leash)
        except Failed as error:
            made = Fault(Code.STEP_FAILED.name, str(error), error.log)
        else:
            if "refused" in made:
                made = Fault(made["refused"], made["reason"], parameter=made.get("parameter", ""))
        if isinstance(made, Fault):
            self._refuse_full_disk(stage.action, made)
        files.remove_folder(work)
        return made

    def _request(self, stage: Stage, target: Path, work: Path) -> dict[str, Any]:
        """What `apply_step` gets."""
        model = self.sources[stage.action.name]
        first, folder = model.start(stage.action.recipe)
        source = self._made[stage.before].graph if stage.before else first
        return {
            "name": stage.step_name,
            "parameters": dict(stage.step.parameters),
            "source": str(source),
            "target": str(target),
            "bench": {
                "model": str(folder),
                "scratch": str(work),
                "threads": machine.processors(),
                "files": {file.key: str(self.workspace / file.path) for file in stage.step.files},
                "before": stage.number,
                "converters": str(self.home / environment.FOLDER),
                "zeros": any(name in MAKE_ZEROS for name in stage.earlier),
            },
        }

    def _keep(self, stage: Stage, made: _Made, folder: Path) -> None:
        """Into the store: what it made for other recipes, and the artifact. Others go on reading it meanwhile."""
        if stage.shared:
            self._share(stage, made, _linked(made.graph.parent, folder / "shared"))
        if stage.ends:
            kept = _linked(made.graph.parent, folder / "kept") if self._readers[stage.key] else made.graph.parent
            self._stored[stage.key] = self._store(stage.ends[0], made, kept)

    def _share(self, stage: Stage, made: _Made, folder: Path) -> None:
        listed = tuple(
            File(name, (folder / name).stat().st_size, digests.of_file(folder / name)) for name in _below(folder)
        )
        name = f"{stage.action.model.id} after {', '.join(told.step for told in made.told)}"
        label = replace(label_of(stage.action), key=stage.key, name=name)
        intermediates.put(
            self.store, label, Intermediate(listed, made.graph.name, made.weight_bytes, made.told), folder
        )

    def _store(self, action: Action, made: _Made, folder: Path) -> Stored:
        source = self.sources[action.name]
        changed = {name: size for told in made.told for name, size in told.shape.items()}
        shape = replace(source.shape, **changed, weight_bytes=made.weight_bytes)
        carried = {file.name: source.folder / file.name for file in source.carried()}
        at = PurePosixPath(source.graph).parent
        # A configuration that a step wrote takes the place of the model's, wherever in the folder the graph lies.
        own = {name if name == CONFIG else (at / name).as_posix(): folder / name for name in _below(folder)}
        remarks = tuple(remark for number, told in enumerate(made.told) for remark in _remarks(number, told))
        report = {"steps": [{"step": t.step, "changed": t.changed, "report": t.report} for t in made.told]}
        return self.store.put(label_of(action), shape, carried | own, remarks, report)

    def _leave(self, stage: Stage) -> None:
        """Free the space of what no stage has to read any more."""
        with self._lock:
            if stage.before:
                self._readers[stage.before] -= 1
            unread = [key for key in (stage.before, stage.key) if key in self._made and not self._readers[key]]
        for key in unread:
            files.remove_folder(self._made[key].graph.parent)

    def _refuse_full_disk(self, action: Action, fault: Fault) -> None:
        """Raise Stop when a step failed for want of space, or may have: libraries do not say."""
        full = fault.code == Code.DISK_FULL.name
        if full or resources.free_disk(self.store.root) < action.source.size:
            with files.refusals(self.store.root):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _line(stage: Stage) -> str:
    count = len(stage.action.recipe.steps)
    return f"{stage.action.name}: {stage.step_name.replace('/', ' ')} ({stage.number + 1}/{count})"


def _below(folder: Path) -> list[str]:
    """The names of the files in a folder, with `/`."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def _linked(folder: Path, second: Path) -> Path:
    """The same files under other paths, for the store to move."""
    for name in _below(folder):
        files.link(folder / name, second / name)
    return second


def _remarks(number: int, told: Told) -> list[Remark]:
    said = [Remark(number, code, message) for code, message in told.remarks]
    return said if told.changed else [*said, Remark(number, Code.STEP_IDLE.name, "")]
