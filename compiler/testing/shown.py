"""Results as text and as JSON values."""

from __future__ import annotations

from typing import Any

from compiler.base.units import show_bytes
from compiler.report.table import table
from compiler.testing.result import Result, Status

_COLUMNS = ("class", "run", "artifact", "how", "memory", "golden answers", "seconds", "result")


def results_text(results: list[Result]) -> str:
    """A row for each, then why something was not tried or not held."""
    if not results:
        return ""
    text = table(_COLUMNS, [_row(result) for result in results], right=(4, 5, 6))
    for result in results:
        name = f"{result.case.device_class.name}, {result.case.artifact.name}"
        if result.status is Status.SKIPPED:
            text += f"skipped {name}: {result.reason}.\n"
        elif result.unenforced:
            text += f"limits not enforced, {name}: {result.unenforced}.\n"
    return text


def results_data(results: list[Result]) -> list[dict[str, Any]]:
    return [
        {
            "class": result.case.device_class.name,
            "architecture": result.case.device_class.arch,
            "fleet": result.case.fleet.name,
            "cohort": result.case.cohort.name,
            "run": result.case.run.name,
            "artifact": result.case.artifact.name,
            "digest": result.case.artifact.digest,
            "how": result.how,
            "status": result.status.value,
            "memory": {"limit": result.case.memory_limit, "peak": result.peak},
            "cpus": result.case.cpus,
            "limitsNotEnforced": result.unenforced,
            "answers": result.answers and {"passed": result.answers.passed, "failed": result.answers.failed},
            "seconds": result.seconds,
            "reason": result.reason or (result.finding.message if result.finding else None),
            "code": result.fault.code.id if result.fault else None,
        }
        for result in results
    ]


def counts_text(results: list[Result]) -> str:
    """`2 passed, 1 skipped`; empty when nothing was tried."""
    counts = [(sum(result.status is status for result in results), status.value) for status in Status]
    return ", ".join(f"{count} {word}" for count, word in counts if count)


def memory_text(result: Result) -> str:
    """The peak and the limit; `-` where nothing ran."""
    return f"{show_bytes(result.peak)} of {show_bytes(result.case.memory_limit)}" if result.peak else "-"


def answers_text(result: Result) -> str:
    if result.answers is None:
        return "-"
    total = result.answers.passed + result.answers.failed
    return f"{result.answers.passed} of {total}" if total else "none"


def _row(result: Result) -> list[str]:
    case = result.case
    seconds = f"{result.seconds:.1f}" if result.how else "-"
    names = [case.device_class.name, case.run.name, case.artifact.name, result.how or "-"]
    return [*names, memory_text(result), answers_text(result), seconds, result.status.value]
