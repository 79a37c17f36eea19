"""What `slmc build` did, for people and for tools."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from compiler.artifact.making.faults import pinned
from compiler.report.data import outcome_data, verdict
from compiler.report.outcome import Outcome
from compiler.report.summary import facts_text
from compiler.report.table import table


def build_data(outcome: Outcome) -> dict[str, Any]:
    """As a compile's, and under `builds` for each artifact whether its recipe is reproducible and what each of its
    steps reported; `steps` is absent where the store was filled by an older version."""
    made = outcome.artifacts.artifacts if outcome.artifacts else {}
    actions = outcome.plan.actions if outcome.plan else ()
    builds = {
        action.name: {"reproducible": not pinned(action)} | outcome.reports.get(action.name, {})
        for action in actions
        if action.name in made
    }
    return outcome_data(outcome) | {"builds": builds}


def build_text(outcome: Outcome) -> str:
    """The artifacts' figures, then a line for each step that reported some."""
    lines = [
        f"{name}, step {number} ({told['step']}): {figures}\n"
        for name, report in sorted(outcome.reports.items())
        for number, told in enumerate(report["steps"], 1)
        if (figures := _figures(told["report"]))
    ]
    return "\n".join(part for part in (facts_text(outcome), "".join(lines)) if part)


def verify_data(outcome: Outcome) -> dict[str, Any]:
    verdicts = [
        {"artifact": one.artifact, "state": one.state.name.lower(), "locked": one.locked, "digest": one.digest}
        for one in outcome.verdicts
    ]
    return verdict(outcome.exit, outcome.diagnostics) | {"verdicts": verdicts}


def verify_text(outcome: Outcome) -> str:
    rows = [[one.artifact, one.locked.removeprefix("sha256:")[:12], one.state.value] for one in outcome.verdicts]
    return table(["artifact", "locked", "result"], rows) if rows else ""


def _figures(report: Mapping[str, Any]) -> str:
    """What a report has at its top in single values; tables and lists are for tools."""
    single = {key: value for key, value in report.items() if isinstance(value, str | int | float)}
    return ", ".join(f"{key} {_figure(value)}" for key, value in sorted(single.items()))


def _figure(value: str | float) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
