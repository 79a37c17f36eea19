"""Outcomes as plain JSON values, for tools."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from compiler.base.diagnostics import Diagnostic, in_order
from compiler.base.span import Span
from compiler.base.spelling import plain
from compiler.report.choices import choices_data
from compiler.report.outcome import Outcome


def verdict(code: int, diagnostics: Iterable[Diagnostic]) -> dict[str, Any]:
    """How a command ended: what every answer for tools has first."""
    return {"exitCode": int(code), "diagnostics": [diagnostic_data(found) for found in in_order(diagnostics)]}


def outcome_data(outcome: Outcome) -> dict[str, Any]:
    """Everything a view could show; keys of what was not reached are absent."""
    data = verdict(outcome.exit, outcome.diagnostics) | {
        "fleets": [
            {
                "name": fleet.name,
                "devices": fleet.devices,
                "cohorts": {cohort.name: len(cohort.devices) for cohort in fleet.cohorts},
                "targets": [target.name for target in fleet.targets],
            }
            for fleet in outcome.fleets
        ],
    }
    if outcome.plan:
        data["actions"] = [
            {"verb": action.verb.value, "artifact": action.name, "reason": action.reason.value}
            for action in outcome.plan.actions
        ]
    if outcome.artifacts:
        data["originals"] = [plain(original) for _, original in sorted(outcome.artifacts.originals.items())]
        data["artifacts"] = [plain(a) | {"size": a.size} for _, a in sorted(outcome.artifacts.artifacts.items())]
    if outcome.decisions and outcome.artifacts:
        known = {artifact.digest: artifact for artifact in outcome.artifacts.artifacts.values()}
        data["choices"] = choices_data(outcome.decisions, known)
    if outcome.estimates:
        data["estimates"] = [
            plain(estimate) | {"memoryNeeded": estimate.memory_needed, "storageNeeded": estimate.storage_needed}
            for estimate in outcome.estimates
        ]
    if outcome.tree:
        data["changes"] = [{"kind": change.kind.value, "path": change.path} for change in outcome.tree.changes]
        data["lockChanged"] = outcome.tree.lock_changed
    return data


def diagnostic_data(diagnostic: Diagnostic) -> dict[str, Any]:
    code = diagnostic.code
    data: dict[str, Any] = {
        "code": code.id,
        "slug": code.slug,
        "severity": code.severity.value,
        "summary": code.summary,
        "message": diagnostic.message,
    }
    if diagnostic.span:
        data["place"] = _place(diagnostic.span)
    elif diagnostic.file:
        data["place"] = {"file": diagnostic.file}
    if diagnostic.help:
        data["help"] = diagnostic.help
    if diagnostic.related:
        data["related"] = [{"place": _place(span), "message": words} for span, words in diagnostic.related]
    return data


def _place(span: Span) -> dict[str, Any]:
    return {"file": span.source.path, "line": span.line, "column": span.column, "length": span.length}
