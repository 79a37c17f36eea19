"""Values that a blueprint leaves to slmc, worked out: for `slmc where` of a path inside a blueprint."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from compiler.fleet.graph import Run
from compiler.fleet.where import Answer
from compiler.report.generated import scene_of
from compiler.report.grounds import Ground, LockText
from compiler.report.outcome import Outcome
from compiler.report.shown_value import ShownValue, ShownValues

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
    for fleet in outcome.fleets:
        for cohort in fleet.cohorts:
            wanted = [
                (path, run, key)
                for run in cohort.runs
                for key in _FACTS
                if (path := f"fleets.{fleet.name}.runs.{run.name}.{key}") in asked
            ]
            if wanted and (not device or any(member.id == device for member in cohort.devices)):
                scene = scene_of(outcome, fleet, cohort, lock, None, device)
                for path, run, key in wanted:
                    yield from _of(scene, path, run, key)


def _of(scene: ShownValues, path: str, run: Run, key: str) -> Iterator[ShownValue]:
    """The value of a run's `key`, where the devices have no line that sets it."""
    if key == "serve.port" or run.artifact in scene.lock.lock.artifacts:
        origins = scene.of(("runs", run.name, _FACTS[key]))
    else:
        ground = Ground(f"`slmc compile` works it out: slmc.lock has no artifact `{run.artifact}` yet")
        origins = [replace(origin, grounds=(ground,)) for origin in scene.set_by("", f"runs.{run.name}.{key}")]
    for origin in origins:
        if origin.path == path and origin.setting.place is None:
            yield replace(origin, fact="")
