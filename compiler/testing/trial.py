"""One case after the other: the artifact laid out, slmc's runtime started on it, and what came of that."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from compiler.artifact.artifact import Artifacts
from compiler.artifact.store.store import Store
from compiler.base.codes import Code
from compiler.base.units import show_bytes
from compiler.testing.bundle import write_bundle
from compiler.testing.cases import Case
from compiler.testing.limits import Limits, limited
from compiler.testing.machine import Machine, Skip
from compiler.testing.result import Answers, Fault, Result, Status

_PATIENCE = 3600.0
"""Seconds for one case; qemu takes ten to thirty times what a processor takes."""
_WIDEST = 300
"""Of what the runtime said: characters that go into a finding."""
_RAISE = "Raise the run's `memoryLimit`, lower its `contextLength`, or choose a recipe with smaller weights."
_REFUSED = "A device would say the same. `slmc.lock` has the versions that the artifact was built and measured with."
_DIFFERS = "A device would refuse this artifact. Compare the versions of the runtime with those of `slmc.lock`."


@dataclass(frozen=True, slots=True)
class Trial:
    """What all cases share."""

    workspace: Path
    store: Store
    artifacts: Artifacts

    def run(self, case: Case, machine: Machine | Skip, begin: Callable[[str], None]) -> Result:
        """`begin` is told what starts. Raises Stop when the disk refuses."""
        if isinstance(machine, Skip):
            return Result(case, Status.SKIPPED, reason=machine.reason)
        stored, _ = self.store.with_digest(case.artifact.digest)
        if stored is None:
            help = f"`slmc compile {self.workspace}` makes it; `slmc pull` fetches it from where it was pushed to."
            fault = Fault(Code.NOT_IN_STORE, f"the store does not have {case.artifact.digest[:19]}….", help)
            return Result(case, Status.FAILED, fault=fault)
        begin(f"{case.device_class.name}: {case.artifact.name} ({machine.how})")
        with self.store.scratch() as scratch:
            self.store.lay_out(stored, scratch / "artifact")
            write_bundle(case, self.artifacts, scratch / "bundle")
            return _tried(case, machine, scratch)


def _tried(case: Case, machine: Machine, scratch: Path) -> Result:
    words = [*machine.command, "-m", "slmc_runtime", "--bundle", str(scratch / "bundle"), "--run", case.run.name]
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("SLMC_", "PYTHON"))},
        "ORT_DISABLE_TELEMETRY": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUTF8": "1",
        "SLMC_MODEL": str(scratch / "artifact"),
        **machine.environment,
    }
    begun = time.monotonic()
    with limited(case.memory_limit + machine.allowance, case.cpus) as limits:
        code, said, log = _finished(limits.command([*words, "--check"]), environment, scratch)
        found = _verdict(said)
        peak = _peak(found, limits)
        result = Result(case, Status.PASSED, machine.how, peak, unenforced=_unenforced(case, machine, limits, peak))
        result = replace(result, seconds=round(time.monotonic() - begun, 3), answers=_answers(found))
        fault = _killed(case, machine, limits) if limits.killed else _fault(found, _ending(code, log))
        return replace(result, status=Status.FAILED, fault=fault) if fault else result


def _finished(words: list[str], environment: Mapping[str, str], scratch: Path) -> tuple[int | None, str, str]:
    """The exit code, None when it took too long, and what it said. It is ended with all that it started."""
    process = subprocess.Popen(
        words,
        env=dict(environment),
        cwd=scratch,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    )
    try:
        said, log = process.communicate(timeout=_PATIENCE)
    except subprocess.TimeoutExpired:
        return None, "", ""
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return process.returncode, said, log


def _unenforced(case: Case, machine: Machine, limits: Limits, peak: int | None) -> str | None:
    """An emulator that stays below the run's own limit, itself included, proves that the limit does."""
    if limits.unenforced or not machine.allowance or (peak is not None and peak <= case.memory_limit):
        return limits.unenforced
    return f"memory: what the emulator takes counts as well, so {show_bytes(machine.allowance)} more were allowed"


def _killed(case: Case, machine: Machine, limits: Limits) -> Fault:
    limit = case.memory_limit
    beside = f", with {show_bytes(machine.allowance)} more for the emulator" if machine.allowance else ""
    told = f"killed at {show_bytes(limits.peak or limit)} of {show_bytes(limit)}{beside}."
    return Fault(Code.KILLED_FOR_MEMORY, told, _RAISE)


def _fault(found: Mapping[str, Any], ending: str) -> Fault | None:
    if not found:
        return Fault(Code.NOT_LOADED, f"slmc's runtime {ending}.", _REFUSED)
    error = found["error"]
    if error is None:
        return None
    told = f"{str(error)[:_WIDEST].rstrip('.')}."
    if found["loaded"] and found["answers"]:
        return Fault(Code.ANSWERS_DIFFER, told, _DIFFERS)
    return Fault(Code.NOT_LOADED, told, _REFUSED)


def _verdict(said: str) -> Mapping[str, Any]:
    """What `--check` printed; empty when it was ended before."""
    try:
        found = json.loads(said)
    except ValueError:
        return {}
    return found if isinstance(found, dict) and {"error", "loaded", "answers"} <= found.keys() else {}


def _answers(found: Mapping[str, Any]) -> Answers | None:
    told = found.get("answers")
    return Answers(told["passed"], told["failed"]) if told else None


def _peak(found: Mapping[str, Any], limits: Limits) -> int | None:
    """Of the process where it could say; else of its group, which counts cached files too."""
    return found.get("peakMemory") or limits.peak


def _ending(code: int | None, log: str) -> str:
    if code is None:
        return f"did not finish within {_PATIENCE / 60:.0f} minutes"
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    last = f": {lines[-1][:_WIDEST]}".rstrip(".") if lines else ""
    if code < 0:
        return f"was ended by signal {-code}{last}"
    return f"ended with exit code {code} and no result{last}"
