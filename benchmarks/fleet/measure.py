"""CPU time and memory of whole processes: user + system seconds of a process and all that it started.

Never wall time: the cores of a build machine are shared.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

LAUNCHER = Path(__file__).parent / "launcher.py"
LONG = 20.0
"""CPU seconds from which on one run has to do."""
LIMIT = 1800
"""Seconds of wall time after which a run is given up."""


Preparation = Callable[[], object] | None


@dataclass(frozen=True, slots=True)
class Case:
    """What is measured: `prepare` is called before each run and not measured."""

    name: str
    command: Sequence[str]
    folder: Path
    prepare: Preparation = None
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Figure:
    """The median of the CPU seconds and the most memory (bytes, of the largest process), or why there is none."""

    cpu: float = 0.0
    memory: int = 0
    runs: int = 0
    failed: str = ""


Figures = dict[str, Figure]


def in_turn(cases: Iterable[Case], rounds: int) -> Figures:
    """Run the cases one after the other, and that `rounds` times. A long one, or one that fails, runs once."""
    waiting = list(cases)
    seen: dict[str, list[Figure]] = {case.name: [] for case in waiting}
    for _ in range(rounds):
        for case in list(waiting):
            figure = run(case)
            seen[case.name].append(figure)
            if figure.failed or figure.cpu >= LONG:
                waiting.remove(case)
    return {name: _together(figures) for name, figures in seen.items()}


def run(case: Case) -> Figure:
    """One run of the case, its output thrown away."""
    if case.prepare:
        case.prepare()
    with tempfile.TemporaryDirectory() as scratch:
        report, errors = Path(scratch, "report"), Path(scratch, "errors")
        _launch(case, report, errors)
        if report.exists():
            found = json.loads(report.read_text())
            failed = _why(f"ended with {found['code']}", errors.read_bytes()) if found["code"] else ""
            figure = Figure(found["cpu"], found["memory"], 1, failed)
        else:
            figure = Figure(failed=_why("did not end", errors.read_bytes()))
    told = figure.failed or f"{figure.cpu:8.2f} s {figure.memory / 1e6:6.0f} MB"
    print(f"  {case.name:44}{told}", file=sys.stderr, flush=True)
    return figure


def _launch(case: Case, report: Path, errors: Path) -> None:
    """Run the case until it ends, or end it and all that it started."""
    environment = {**os.environ, **case.environment}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    with errors.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(LAUNCHER), str(report), *case.command],
            cwd=case.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=file,
            start_new_session=True,
        )
    try:
        process.wait(LIMIT)
    except BaseException as error:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if not isinstance(error, subprocess.TimeoutExpired):
            raise


def _why(what: str, errors: bytes) -> str:
    """What happened, and the line of the output that says most."""
    lines = [line.strip() for line in errors.decode(errors="replace").splitlines() if line.strip()]
    told = next((line for line in lines if " error " in line), lines[-1] if lines else "no word")
    return f"{what}: {told[:160]}"


def _together(figures: list[Figure]) -> Figure:
    if figures[-1].failed:
        return figures[-1]
    cpu = statistics.median(figure.cpu for figure in figures)
    return Figure(cpu, max(figure.memory for figure in figures), len(figures))
