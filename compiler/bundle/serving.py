"""`serve.json`, the part of a bundle that slmc's own runtime reads."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from compiler.base import digests
from compiler.bundle.commands import HOST

if TYPE_CHECKING:
    from compiler.bundle.context import ClassFacts, FleetFacts, RunFacts

SERVE = "serve.json"


def readers(runs: Iterable[RunFacts]) -> list[RunFacts]:
    """Those runs whose runtime reads it."""
    return [run for run in runs if run.runtime is not None and run.runtime.configuration == SERVE]


def serve_json(runs: Iterable[RunFacts], fleet: FleetFacts, device_class: ClassFacts) -> bytes:
    """The configuration of these runs."""
    return digests.pretty({"runs": {run.name: _entry(run, fleet, device_class) for run in runs}})


def _entry(run: RunFacts, fleet: FleetFacts, device_class: ClassFacts) -> dict[str, Any]:
    return {
        "artifact": {"digest": run.artifact.digest, "folder": run.artifact.folder, "name": run.artifact.name},
        "contextLength": run.context_length,
        "device": {"arch": device_class.arch, "memory": device_class.memory},
        "host": HOST,
        "limits": {("timeoutSeconds" if name == "timeout" else name): value for name, value in run.limits.items()},
        "model": run.model.id,
        "objectives": dict(run.objectives),
        "port": run.port,
        "task": run.model.task,
        "telemetry": list(fleet.privacy.telemetry),
        "threads": run.threads,
    }
