"""Values that a blueprint leaves to slmc, worked out: for `slmc where` of a path inside a blueprint."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from compiler.fleet.graph import Cohort, Fleet, Run
from compiler.fleet.where import Answer
from compiler.report.generated import scene_of
from compiler.report.grounds import Ground, LockText
from compiler.report.outcome import Outcome
from compiler.report.shown_value import ShownValue

_FACTS = {"memoryLimit": "memory_limit", "contextLength": "context_length", "serve.port": "port"}


def computed(answer: Answer, outcome: Outcome, lock: LockText) -> list[ShownValue]:
    """What slmc takes where the answer has no line, and from what; of an artifact that is not in the lock, that."""
    asked = {finding.path for finding in answer.findings if finding.setting.place is None}
    found: dict[str, ShownValue] = {}
    for origin in _origins(asked, answer.device, outcome, lock):
        key = repr((origin.path, origin.setting, origin.grounds))
        old = found.get(key)
        found[key] = replace(origin, devices=origin.devices + (old.devices if old else 0))
    return list(found.values())


def _origins(asked: set[str], device: str | None, outcome: Outcome, lock: LockText) -> Iterator[ShownValue]:
    for fleet, cohort, run in _runs(outcome):
        for key, name in _FACTS.items():
            path = f"fleets.{fleet.name}.runs.{run.name}.{key}"
            if path not in asked or (device and not any(member.id == device for member in cohort.devices)):
                continue
            scene = scene_of(outcome, fleet, cohort, lock, None, device)
            if name == "port" or run.artifact in lock.lock.artifacts:
                origins = scene.of(("runs", run.name, name))
            else:
                ground = Ground(f"`slmc compile` works it out: slmc.lock has no artifact `{run.artifact}` yet")
                origins = [replace(origin, grounds=(ground,)) for origin in scene.set_by("", f"runs.{run.name}.{key}")]
            yield from (
                replace(origin, fact="") for origin in origins if origin.path == path and origin.setting.place is None
            )


def _runs(outcome: Outcome) -> Iterator[tuple[Fleet, Cohort, Run]]:
    for fleet in outcome.fleets:
        for cohort in fleet.cohorts:
            for run in cohort.runs:
                yield fleet, cohort, run
