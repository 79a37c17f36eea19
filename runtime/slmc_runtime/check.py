"""`slmc-serve --check`: the artifact and its golden answers, as one JSON object."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

from slmc_runtime import golden, libraries, memory
from slmc_runtime.bundle import Bundle, check_artifact, check_machine
from slmc_runtime.model import load
from slmc_runtime.refused import Refused


def check(bundle: Bundle) -> dict[str, Any]:
    """Everything that was found; `error` is None when all is right. Times in seconds, memory in bytes."""
    begun = time.monotonic()
    run = bundle.run
    found: dict[str, Any] = {
        "bundle": bundle.id,
        "run": run.name,
        "artifact": {"name": run.artifact, "digest": run.digest},
        "task": run.task,
        "loaded": False,
        "answers": None,
        "versions": libraries.versions(),
        "error": None,
    }
    try:
        check_machine(run)
        check_artifact(bundle, digests=True)
        model = load(run)
        found["loaded"] = True
        verdict = golden.check(model, bundle.golden)
        found["answers"] = _answers(verdict)
        found["error"] = verdict.reason
    except Refused as error:
        found["error"] = str(error)
    found["peakMemory"] = memory.peak()
    found["seconds"] = round(time.monotonic() - begun, 3)
    return found


def refused(bundle: Path, run: str, error: Refused) -> dict[str, Any]:
    """The same where the bundle itself cannot be used."""
    return {"bundle": None, "folder": str(bundle), "run": run, "loaded": False, "answers": None, "error": str(error)}


def text(found: dict[str, Any]) -> str:
    return json.dumps(found, indent=2, ensure_ascii=False, allow_nan=False)


def _answers(verdict: golden.Verdict) -> dict[str, Any]:
    return {
        "passed": verdict.passed,
        "failed": verdict.failed,
        "tolerance": verdict.tolerance,
        "difference": _number(verdict.difference),
        "each": [_number(answer.difference) for answer in verdict.answers],
    }


def _number(value: float) -> float | None:
    """None for what is not a number, which JSON cannot say."""
    return float(f"{value:.4g}") if math.isfinite(value) else None
