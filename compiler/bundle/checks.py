"""What fleets and targets have to agree on before anything is built or rendered."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path

from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic
from compiler.base.span import Span
from compiler.base.units import parse_version
from compiler.blueprint.scalars import VARIABLE
from compiler.bundle.index import DEVICES, SHARDS
from compiler.bundle.targets import Target, find_targets
from compiler.fleet.columns import is_reserved
from compiler.fleet.graph import Cohort, Fleet, Run, TargetUse

_VARIABLE = re.compile(VARIABLE)
_OF_TOKENS = frozenset({"timeToFirstToken", "timePerToken"})
_UNUSABLE = re.compile(r"[\0\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
"""NUL and half surrogate pairs, which no process can be given, and what Kustomize cannot carry even when escaped."""


def check_targets(workspace: Path, fleets: Iterable[Fleet]) -> tuple[dict[str, Target], list[Diagnostic]]:
    """The targets in use, and all that can be said of them before artifacts exist."""
    fleets = tuple(fleets)
    targets, diagnostics = find_targets(workspace, fleets)
    for fleet in fleets:
        diagnostics += _clashes(fleet)
        diagnostics += _beside(fleet, targets)
        needs = [(use, need) for use in fleet.targets if use.name in targets for need in targets[use.name].needs]
        for cohort in fleet.cohorts:
            diagnostics += _versions(cohort, [(use, targets[use.name]) for use in fleet.targets if use.name in targets])
            for run in cohort.runs:
                diagnostics += _environment(cohort, run)
                if run.command:
                    diagnostics += _command(cohort, run)
                diagnostics += _task(cohort, run)
                if run.objectives:
                    diagnostics += _objectives(cohort, run)
                if needs:
                    diagnostics += _needs(cohort, run, needs)
    return targets, list(dict.fromkeys(diagnostics))


def _clashes(fleet: Fleet) -> list[Diagnostic]:
    """A target that is named twice, and a cohort in the place of the index of devices."""
    first: dict[str, Span] = {}
    diagnostics = []
    for use in fleet.targets:
        if use.name in first:
            message = f"Fleet `{fleet.name}` names target `{use.name}` twice."
            related = ((first[use.name], "first named here"),)
            help = "One entry is enough."
            diagnostics.append(Diagnostic(Code.OUTPUT_CLASH, message, use.place, help, related))
        first.setdefault(use.name, use.place)
    for cohort in fleet.cohorts:
        if cohort.name in (DEVICES, SHARDS):
            message = f"Cohort `{cohort.name}` of fleet `{fleet.name}` takes the place of the index `{cohort.name}`."
            help = "Give the device class another name."
            diagnostics.append(Diagnostic(Code.OUTPUT_CLASH, message, cohort.device_class.place or fleet.place, help))
    return diagnostics


def _beside(fleet: Fleet, targets: Mapping[str, Target]) -> Iterator[Diagnostic]:
    """Targets whose bundles refer to those of another one, which the fleet does not name."""
    named = {use.name for use in fleet.targets}
    for use in fleet.targets:
        for other in targets[use.name].beside if use.name in targets else ():
            if other not in named:
                message = (
                    f"Target `{use.name}` refers to bundles of `{other}`, which fleet `{fleet.name}` does not name."
                )
                help = f"Write `targets: [{other}, …]`, or leave `{use.name}` out."
                yield Diagnostic(Code.TARGET_NEEDS, message, use.place, help)


def _versions(cohort: Cohort, uses: Iterable[tuple[TargetUse, Target]]) -> Iterator[Diagnostic]:
    """Programs of the device class that are older than a target can work with."""
    hardware = cohort.device_class
    for use, target in uses:
        for program, oldest in target.versions:
            has = getattr(hardware, program)
            if has is not None and _order(has) < _order(oldest):
                message = f"`{hardware.name}` has {program} {has}, and target `{use.name}` needs {oldest} or later."
                help = f"Say what your devices have: `{program}:` of the class. Or leave the target out."
                related = ((hardware.place, "the device class is declared here"),) if hardware.place else ()
                yield Diagnostic(Code.TARGET_NEEDS, message, use.place, help, related)


def _order(version: int | str) -> tuple[int, ...]:
    return (version,) if isinstance(version, int) else parse_version(version)


def _needs(cohort: Cohort, run: Run, needs: Iterable[tuple[TargetUse, str]]) -> list[Diagnostic]:
    """Where a run lacks the `image` or `command` that a target starts."""
    installed = run.command or (run.runtime.command if run.runtime else None)
    has = {"image": run.image, "command": installed}
    diagnostics = []
    for use, need in needs:
        if not has[need]:
            place = cohort.place_of(run, f"serve.{need}")
            owner = f"Run `{run.name}`" if place == run.place else f"With this, run `{run.name}`"
            message = f"{owner} has no `serve.{need}`, and target `{use.name}` needs one."
            help = f"Set `serve: {{{need}: …}}` on the run, or leave `{use.name}` out of the fleet's targets."
            related = ((use.place, "the target is named here"),)
            diagnostics.append(Diagnostic(Code.TARGET_NEEDS, message, place, help, related))
    return diagnostics


def _task(cohort: Cohort, run: Run) -> list[Diagnostic]:
    """A model that the run's runtime does not serve."""
    if run.runtime is None or not run.runtime.tasks or run.model.task in run.runtime.tasks:
        return []
    message = f"`{run.runtime.name}` serves {', '.join(run.runtime.tasks)}; `{run.model.id}` is for {run.model.task}."
    place = cohort.place_of(run, "serve.runtime")
    return [Diagnostic(Code.BAD_VALUE, message, place, "Name a runtime that serves it.")]


def _objectives(cohort: Cohort, run: Run) -> list[Diagnostic]:
    """Objectives that slmc's own server keeps to itself, or has nothing to measure by."""
    if run.runtime is None or run.runtime.configuration is None:
        return []
    diagnostics = []
    for name, _ in run.objectives:
        related: tuple[tuple[Span, str], ...] = ()
        kind = "errors" if name == "errorRate" else "latency"
        if name in _OF_TOKENS and run.model.task != "text-generation":
            problem, help = f"a model for {run.model.task} generates no tokens", "Use `latencyP95`, or remove it."
        elif kind not in cohort.privacy.telemetry:
            problem = f"`privacy.telemetry` has no `{kind}`, so the server does not report it"
            help = f"Add `{kind}` to `privacy.telemetry`, or remove the objective."
            setting = cohort.provenance.get("privacy.telemetry")
            related = ((setting.place, "the telemetry is set here"),) if setting and setting.place else ()
        else:
            continue
        message = f"Run `{run.name}` is held to `{name}`, and {problem}."
        place = cohort.place_of(run, f"objectives.{name}")
        diagnostics.append(Diagnostic(Code.UNWATCHED_OBJECTIVE, message, place, help, related))
    return diagnostics


def _environment(cohort: Cohort, run: Run) -> list[Diagnostic]:
    """Variables that no process can be given, or that slmc itself sets."""
    diagnostics = []
    for name, value in run.environment:
        if fault := _fault(name, value):
            problem, help = fault
            place = cohort.place_of(run, f"environment.{name}")
            diagnostics.append(Diagnostic(Code.BAD_VALUE, f"`{name}` {problem}.", place, help))
    return diagnostics


@lru_cache(4096)
def _fault(name: str, value: str) -> tuple[str, str] | None:
    """What is wrong with a variable, and the help, if anything. Most cohorts have the same ones."""
    if not _VARIABLE.fullmatch(name):
        help = "Use letters, digits and `_`, beginning with a letter or `_`."
        return "is not a name that an environment variable can have", help
    if is_reserved(name):
        return "is set by slmc itself", "Rename or remove it."
    if _UNUSABLE.search(value):
        problem = f"has a value with the character {_character(value)}, which not every target can carry"
        return problem, "Remove the character."
    return None


def _command(cohort: Cohort, run: Run) -> list[Diagnostic]:
    """Words that no target can carry."""
    words = [word for word in run.command or () if _UNUSABLE.search(word)]
    if not words:
        return []
    problem = f"has the character {_character(words[0])}, which not every target can carry"
    message = f"The command of run `{run.name}` {problem}."
    return [Diagnostic(Code.BAD_VALUE, message, cohort.place_of(run, "serve.command"), "Remove the character.")]


def _character(text: str) -> str:
    """The first character of `text` that cannot be used, as Unicode numbers it: `U+007F`."""
    found = _UNUSABLE.search(text)
    return f"U+{ord(found[0]):04X}" if found else ""
