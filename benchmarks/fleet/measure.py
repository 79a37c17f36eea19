"""CPU time and memory of whole processes: user + system seconds of a process and all that it started.

Never wall time: the cores of a build machine are shared.
"""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROUNDS = 3
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


def in_turn(cases: Iterable[Case], rounds: int = ROUNDS) -> Figures:
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
    environment = {**os.environ, **case.environment}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            case.command,
            cwd=case.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            start_new_session=True,
        )
        timer = threading.Timer(LIMIT, os.killpg, (process.pid, signal.SIGKILL))
        timer.start()
        _, status, usage = os.wait4(process.pid, 0)
        timer.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        cpu, memory = usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024
        errors.seek(0)
        failed = _why(process.returncode, errors.read()) if process.returncode else ""
    print(f"  {case.name:44}{failed or f'{cpu:8.2f} s {memory / 1e6:6.0f} MB'}", file=sys.stderr, flush=True)
    return Figure(cpu, memory, 1, failed)


def _why(code: int, errors: bytes) -> str:
    """The line of the output that says most."""
    lines = [line.strip() for line in errors.decode(errors="replace").splitlines() if line.strip()]
    told = next((line for line in lines if " error " in line), lines[-1] if lines else "no word")
    return f"ended with {code}: {told[:160]}"


def _together(figures: list[Figure]) -> Figure:
    if figures[-1].failed:
        return figures[-1]
    cpu = statistics.median(figure.cpu for figure in figures)
    return Figure(cpu, max(figure.memory for figure in figures), len(figures))
