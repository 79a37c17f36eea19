"""What is tried: each artifact once for each class of devices that runs it, as the tightest of its cohorts has it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from compiler.artifact.artifact import Artifact
from compiler.artifact.configuration import CONFIG, DEFAULT_GRAPH
from compiler.artifact.converters.formats import converted
from compiler.artifact.evaluation.metrics import TEXT_GENERATION
from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic, did_you_mean
from compiler.bundle.serving import SERVE
from compiler.fit.check import Estimate, estimate_run
from compiler.fleet.graph import Cohort, DeviceClass, Fleet, Run
from compiler.report.outcome import Outcome

_GRAPHS = (DEFAULT_GRAPH, PurePosixPath(DEFAULT_GRAPH).with_suffix(".ort").name)


@dataclass(frozen=True, slots=True)
class Case:
    """One run of one cohort, which stands for all of the class that run the same artifact."""

    fleet: Fleet
    cohort: Cohort
    run: Run
    artifact: Artifact
    estimate: Estimate

    @property
    def device_class(self) -> DeviceClass:
        return self.cohort.device_class

    @property
    def memory_limit(self) -> int:
        """Bytes, as the targets write it: the blueprint's, else twice the estimate."""
        return self.run.memory_limit or estimate_run(self.run, self.artifact).default_limit

    @property
    def cpus(self) -> int:
        """How many processors it may fill: as many as it has threads, and no more than the class has cores."""
        return min(self.run.threads, self.device_class.cores or self.run.threads)

    @property
    def generates(self) -> bool:
        return self.run.model.task == TEXT_GENERATION

    @property
    def unfit(self) -> str | None:
        """Why slmc's own runtime cannot try what another one serves on the devices; None when it can."""
        runtime = self.run.runtime
        if runtime is not None and runtime.configuration == SERVE:
            return None
        served = f"`{runtime.name}` serves it" if runtime else "a command or an image of its own serves it"
        names = {file.name for file in self.artifact.files}
        if foreign := converted(names):
            return f"{served}, and slmc's runtime does not load `{foreign}`"
        wanted = (CONFIG,) if self.generates else _GRAPHS
        if names.isdisjoint(wanted):
            return f"{served}, and for slmc's runtime it lacks `{wanted[0]}`"
        return None

    @property
    def tightness(self) -> tuple[int, int, str, str, str]:
        return self.memory_limit, self.cpus, self.fleet.name, self.cohort.name, self.run.name


def cases(outcome: Outcome, name: str | None) -> list[Case]:
    """By class and artifact, in the order of their names; of the runs called `name`, if that is given."""
    assert outcome.artifacts is not None
    estimates: Mapping[tuple[str, str], Estimate] = {(one.fleet, one.cohort): one for one in outcome.estimates}
    found: dict[tuple[str, str], Case] = {}
    for fleet in outcome.fleets:
        for cohort in fleet.cohorts:
            for run in cohort.runs:
                if name not in (None, run.name):
                    continue
                artifact = outcome.artifacts.artifacts[run.artifact]
                case = Case(fleet, cohort, run, artifact, estimates[fleet.name, cohort.name])
                key = cohort.device_class.name, artifact.name
                if key not in found or case.tightness < found[key].tightness:
                    found[key] = case
    return [found[key] for key in sorted(found)]


def named(fleets: Iterable[Fleet], name: str) -> list[Diagnostic]:
    """What is wrong with the name of a run, if anything."""
    known = {run.name for fleet in fleets for cohort in fleet.cohorts for run in cohort.runs}
    if name in known:
        return []
    return [Diagnostic(Code.UNKNOWN_REFERENCE, f"No run is named `{name}`.", help=did_you_mean(name, known))]
