"""A choice of recipes → one recipe for each device class: the best of those that pass their gates and fit.

What was chosen is kept by the lock with its reason, and stays chosen as long as the candidates are the same artifacts
and the same ones are dropped: a figure of the build machine, which another machine would not give, decides once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from compiler.artifact.artifact import Artifact, Artifacts, Speed
from compiler.artifact.making.faults import inapplicable
from compiler.artifact.measuring.gates import Miss
from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic
from compiler.base.units import show_bytes
from compiler.fit.check import STORAGE_HEADROOM, estimate_run
from compiler.fleet.graph import Cohort, Fleet, Recipe, Run, artifact_name

MACHINE = ("latency", "energy")
"""What is minimized by figures of the build machine, which the lock does not have."""


Key = tuple[str, ...]
"""Fleet, run, device class, model, what is minimized, and the recipes to choose from."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One recipe of a choice. `digest` is its artifact's; empty when it has none."""

    recipe: str
    digest: str
    dropped: str = ""
    """Why it was not eligible; empty when it was."""
    machine: bool = False
    """Whether it was dropped for its speed or memory on the build machine alone."""

    def same(self, other: Candidate) -> bool:
        """Whether both are one artifact, dropped or not on any machine. Words and machines decide nothing."""
        return (self.recipe, self.digest, self._unsuitable) == (other.recipe, other.digest, other._unsuitable)

    @property
    def _unsuitable(self) -> bool:
        return bool(self.dropped) and not self.machine


@dataclass(frozen=True, slots=True)
class Decision:
    """Which recipe the devices of one class get for a run. Bytes, milliseconds or joules in `figures` are by recipe,
    of what is minimized; those of the build machine are not kept by the lock."""

    fleet: str
    run: str
    device_class: str
    model: str
    minimize: str
    recipe: str
    candidates: tuple[Candidate, ...]
    figures: Mapping[str, float] = field(default_factory=dict, compare=False)

    @property
    def key(self) -> Key:
        recipes = (candidate.recipe for candidate in self.candidates)
        return self.fleet, self.run, self.device_class, self.model, self.minimize, *recipes


@dataclass(frozen=True, slots=True)
class _Case:
    """The runs that one decision is for: the same choice, run and model on the cohorts of a device class."""

    key: Key
    choice: Recipe
    members: Sequence[tuple[Cohort, Run]]

    @property
    def run(self) -> Run:
        return self.members[0][1]

    @property
    def hardware(self) -> str:
        return self.members[0][0].device_class.name


def choose(
    fleets: Sequence[Fleet],
    artifacts: Artifacts,
    missed: Mapping[str, list[Miss]],
    last: Iterable[Decision],
    whole: Sequence[Fleet] | None = None,
) -> tuple[tuple[tuple[Fleet, ...], tuple[Decision, ...]], list[Diagnostic]]:
    """The fleets with every choice made, and the decisions.

    `missed` has, by artifact name, the gates that it does not pass. `last` are the decisions of the lock. `whole` is
    what `fleets` were selected from: all devices of a class have a say in what the selected ones get.
    """
    wanted = {case.key for case in _cases(fleets)}
    known = {decision.key: decision for decision in last}
    decisions: list[Decision] = []
    diagnostics: list[Diagnostic] = []
    for case in _cases(fleets if whole is None else whole):
        if case.key not in wanted:
            continue
        candidates = tuple(_candidate(case, recipe, artifacts, missed) for recipe in case.choice.candidates)
        decision = _decide(case, candidates, artifacts, known)
        if decision is None:
            diagnostics.append(_nothing_left(case, candidates))
        else:
            decisions.append(decision)
    return (decided(fleets, decisions), tuple(decisions)), diagnostics


def decided(fleets: Iterable[Fleet], decisions: Iterable[Decision]) -> tuple[Fleet, ...]:
    """The fleets with the recipes that were decided; a choice without a decision stays one."""
    picks = {decision.key: decision.recipe for decision in decisions}
    return tuple(_with_picks(fleet, picks) for fleet in fleets) if picks else tuple(fleets)


def undecided(fleets: Iterable[Fleet]) -> list[Diagnostic]:
    """The choices of these fleets that the lock has no decision for."""
    return [
        Diagnostic(
            Code.LOCK_OUTDATED,
            f"Which recipe `{case.run.name}` gets on `{case.hardware}` is not decided: chosen among "
            f"{', '.join(f'`{one.name}`' for one in case.choice.choice)}.",
            case.choice.place,
            help="`slmc compile` decides it.",
        )
        for case in _cases(fleets)
    ]


def has_choice(fleets: Iterable[Fleet]) -> bool:
    return any(run.recipe.choice for fleet in fleets for cohort in fleet.cohorts for run in cohort.runs)


def _with_picks(fleet: Fleet, picks: Mapping[Key, str]) -> Fleet:
    cohorts = []
    for cohort in fleet.cohorts:
        runs = [_picked(run, picks.get(_key(fleet.name, cohort, run), "")) for run in cohort.runs]
        cohorts.append(replace(cohort, runs=tuple(runs)) if runs != list(cohort.runs) else cohort)
    return replace(fleet, cohorts=tuple(cohorts))


def _picked(run: Run, name: str) -> Run:
    recipe = next((recipe for recipe in run.recipe.choice if recipe.name == name), run.recipe)
    return run if recipe is run.recipe else replace(run, recipe=recipe)


def _key(fleet: str, cohort: Cohort, run: Run) -> Key:
    recipes = (recipe.name for recipe in run.recipe.choice)
    return fleet, run.name, cohort.device_class.name, run.model.id, run.recipe.minimize, *recipes


def _cases(fleets: Iterable[Fleet]) -> list[_Case]:
    found: dict[Key, tuple[Recipe, list[tuple[Cohort, Run]]]] = {}
    for fleet in fleets:
        for cohort in fleet.cohorts:
            for run in cohort.runs:
                if run.recipe.choice:
                    _, members = found.setdefault(_key(fleet.name, cohort, run), (run.recipe, []))
                    members.append((cohort, run))
    return [_Case(key, *found[key]) for key in sorted(found)]


def _candidate(case: _Case, recipe: Recipe, artifacts: Artifacts, missed: Mapping[str, list[Miss]]) -> Candidate:
    name = artifact_name(case.run.model, recipe)
    artifact = artifacts.artifacts.get(name)
    if artifact is None:
        return Candidate(recipe.name, "", inapplicable(recipe, artifacts.refused[name]))
    misses = missed.get(name, ())
    why = "; ".join(miss.why for miss in misses if not miss.of_machine) or _unfit(case, artifact)
    here = "; ".join(miss.why for miss in misses if miss.of_machine)
    return Candidate(recipe.name, artifact.digest, why or here, machine=bool(here) and not why)


def _unfit(case: _Case, artifact: Artifact) -> str:
    """Why the artifact alone is too much for some device of the class; empty when it is not."""
    for cohort, run in case.members:
        hardware, needs = cohort.device_class, estimate_run(run, artifact)
        memory = hardware.memory - hardware.reserved_memory
        storage = hardware.storage - hardware.reserved_storage - STORAGE_HEADROOM
        if needs.memory > memory:
            return f"it needs {show_bytes(needs.memory)} of memory (estimated), and {show_bytes(memory)} are there"
        if needs.storage > storage:
            return f"it needs {show_bytes(needs.storage)} of storage, and {show_bytes(storage)} are there"
    return ""


def _decide(
    case: _Case,
    candidates: tuple[Candidate, ...],
    artifacts: Artifacts,
    known: Mapping[Key, Decision],
) -> Decision | None:
    """None when no candidate is eligible, or when nothing here says which is the best."""
    minimize = case.choice.minimize
    eligible = [candidate for candidate in candidates if not candidate.dropped]
    figures = {}
    for candidate in candidates:
        artifact = artifacts.artifacts.get(_artifact_of(case, candidate.recipe))
        if artifact and (figure := _figure(case, minimize, artifact)) is not None:
            figures[candidate.recipe] = figure
    last = known.get(case.key)
    if last and any(last.recipe == one.recipe for one in eligible):
        pairs = list(zip(last.candidates, candidates, strict=True))
        if all(was.same(now) for was, now in pairs):
            # What the machine of the lock found stays, or each machine would write another lock.
            kept = tuple(was if was.machine or now.machine else now for was, now in pairs)
            return replace(last, candidates=kept, figures=figures)
    if not eligible or not all(one.recipe in figures for one in eligible):
        return None
    best = min(eligible, key=lambda one: figures[one.recipe])
    fleet, run, hardware, model = case.key[:4]
    return Decision(fleet, run, hardware, model, minimize, best.recipe, candidates, figures)


def _artifact_of(case: _Case, recipe: str) -> str:
    return artifact_name(case.run.model, next(one for one in case.choice.candidates if one.name == recipe))


def _figure(case: _Case, minimize: str, artifact: Artifact) -> float | None:
    """Bytes, milliseconds for a token or a text, joules for the same; None when it is not known here."""
    if minimize == "size":
        return artifact.size
    if minimize == "memory":
        return max(estimate_run(run, artifact).memory for _, run in case.members)
    latency = _latency(artifact.speed)
    if latency is None:
        return None
    if minimize == "latency":
        return latency
    watts = case.members[0][0].device_class.power_watts
    return None if watts is None else latency * watts / 1000


def _latency(speed: Speed | None) -> float | None:
    """Milliseconds for a token that is generated; of a model that generates none, for a text."""
    if speed is None:
        return None
    return 1000 / speed.tokens_per_second if speed.tokens_per_second else speed.latency


def _nothing_left(case: _Case, candidates: Iterable[Candidate]) -> Diagnostic:
    run = case.run
    powerless = case.choice.minimize == "energy" and case.members[0][0].device_class.power_watts is None
    unknown = "the class has no `powerWatts`" if powerless else "nothing here says how it ranks"
    reasons = "; ".join(f"`{one.recipe}`: {one.dropped or unknown}" for one in candidates)
    return Diagnostic(
        Code.NO_CANDIDATE,
        f"No recipe of the choice for `{run.name}` suits `{case.hardware}`. {reasons}.",
        case.choice.place,
        help="Add a recipe, relax a gate, or run it on another class. What is minimized by speed is decided by "
        "`slmc compile` on a machine that builds.",
    )
