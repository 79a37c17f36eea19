"""The bundle that a case is tried with: what the run's own has for slmc's runtime, and nothing of any target."""

from __future__ import annotations

from pathlib import Path

from compiler.artifact.artifact import Artifacts
from compiler.base import files
from compiler.bundle.context import cohort_context
from compiler.bundle.manifest import ARTIFACTS, GOLDEN, SUMS, artifacts_json, golden_json, sums
from compiler.bundle.serving import SERVE, serve_json
from compiler.testing.cases import Case


def write_bundle(case: Case, artifacts: Artifacts, folder: Path) -> None:
    """Write it into a scratch folder. A run that another runtime serves is described for slmc's own."""
    names = cohort_context(case.fleet, case.cohort, artifacts, case.estimate, folder="")
    runs = [run for run in names["runs"] if run.name == case.run.name]
    serve = serve_json(runs, names["fleet"], names["cohort"].device_class)
    written = {ARTIFACTS: artifacts_json(runs), SERVE: serve}
    if (golden := golden_json(runs, artifacts.artifacts)) is not None:
        written[GOLDEN] = golden
    for name, data in {**written, SUMS: sums(written)}.items():
        files.plant(folder / name, data)
