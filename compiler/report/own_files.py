"""Whose facts stand in which line of the files of a bundle that slmc writes itself."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from compiler.bundle.trace import Fact
from compiler.fleet.graph import Cohort
from compiler.report.shown_value import ShownValues


def artifact_facts(text: str, scene: ShownValues) -> Iterator[tuple[Fact, ...]]:
    """The facts of each line of `artifacts.json`: its entries stand in the order of their names."""
    users = users_of(scene.cohort)
    entries = iter(sorted(users))
    run, file, runs = "", "", False
    files: Iterator[str] = iter(())
    for line in text.splitlines():
        depth = len(line) - len(line.lstrip())
        if line == "    {":
            name = next(entries)
            run = users[name]
            files = iter([file.name for file in scene.artifacts.artifacts[name].files])
        key = line.split('"')[1] if '"' in line else ""
        if depth == 6:
            runs = key == "runs"
        if line == "        {":
            file = next(files)
        if depth == 6 and key in ("digest", "folder", "name", "size"):
            yield (("runs", run, "artifact", key),)
        elif depth == 8 and runs:
            yield (("runs", json.loads(line.strip().rstrip(",")), "name"),)
        elif depth == 10:
            yield (("runs", run, "artifact", "files", file, key),)
        else:
            yield ()


def golden_facts(text: str, scene: ShownValues) -> Iterator[tuple[Fact, ...]]:
    """The same of `golden.json`, which has entries for artifacts with golden answers alone."""
    users = users_of(scene.cohort)
    entries = iter(sorted(name for name in users if scene.artifacts.artifacts[name].golden is not None))
    run, runs = "", False
    for line in text.splitlines():
        depth = len(line) - len(line.lstrip())
        if line == "    {":
            run = users[next(entries)]
        key = line.split('"')[1] if '"' in line else ""
        if depth == 6:
            runs = key == "runs"
        if depth == 6 and key in ("digest", "name"):
            yield (("runs", run, "artifact", key),)
        elif depth == 8 and runs:
            yield (("runs", json.loads(line.strip().rstrip(",")), "name"),)
        else:
            yield ()


_SERVE: Mapping[str, Fact] = {
    "contextLength": ("context_length",), "model": ("model",), "port": ("port",), "task": ("model", "task"),
    "threads": ("threads",),
}  # fmt: skip


def serve_facts(text: str) -> Iterator[tuple[Fact, ...]]:
    """The same of `serve.json`: an entry for each run whose runtime reads it, and in it a mapping for each group."""
    run, group = "", ""
    for line in text.splitlines():
        depth = len(line) - len(line.lstrip())
        key = line.split('"')[1] if '"' in line else ""
        if depth == 4 and key:
            run = key
        if depth == 6 and key:
            group = key
        at = ("runs", run)
        if depth == 4 and key:
            yield ((*at, "name"), (*at, "runtime"))
        elif depth == 6 and group in _SERVE:
            yield ((*at, *_SERVE[group]),)
        elif (depth == 6 and group == "telemetry" and key) or (depth == 8 and group == "telemetry"):
            yield (("fleet", "privacy", "telemetry"),)
        elif depth == 8 and group == "artifact":
            yield ((*at, "artifact", key),)
        elif depth == 8 and group == "device":
            yield (("cohort", "device_class", key),)
        elif depth == 8 and group in ("limits", "objectives"):
            yield ((*at, group, "timeout" if key == "timeoutSeconds" else key),)
        else:
            yield ()


def users_of(cohort: Cohort) -> dict[str, str]:
    """Of each artifact, the first run that loads it."""
    return {run.artifact: run.name for run in reversed(cohort.runs)}
