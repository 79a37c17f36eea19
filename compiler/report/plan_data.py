"""A plan as plain JSON values: everything, nothing cut."""

from __future__ import annotations

from typing import Any

from compiler.base.span import Span
from compiler.plan.changes import Change
from compiler.plan.review import Review


def plan_data(review: Review) -> dict[str, Any]:
    """Sizes in bytes; null is a value that is not set, or a size that is not known."""
    against, difference = review.against, review.difference
    return {
        "against": {"name": against.name, "commit": against.commit, "coarse": against.why, "notes": against.notes},
        "pending": review.pending,
        "devices": difference.devices,
        "devicesTouched": difference.touched,
        "changes": [_change(change) for change in difference.changes],
        "artifacts": [
            {
                "kind": change.kind.value,
                "artifact": change.name,
                "reason": change.reason.value if change.reason else None,
                "digest": change.digest,
                "size": change.size,
                "devices": change.devices,
            }
            for change in review.artifacts
        ],
        "bundles": [
            {"kind": bundle.kind.value, "fleet": bundle.fleet, "cohort": bundle.cohort, "targets": bundle.targets}
            for bundle in review.bundles
        ],
        "indexRows": dict(review.index),
        "downloads": {
            "bytes": review.total,
            "unknown": sorted({name for download in review.downloads for name in download.unknown}),
            "groups": [
                {
                    "devices": download.devices,
                    "bytesEach": download.size,
                    "artifacts": download.artifacts,
                    "unknown": download.unknown,
                }
                for download in review.downloads
            ],
        },
    }


def _change(change: Change) -> dict[str, Any]:
    data: dict[str, Any] = {
        "kind": change.kind.value,
        "subject": change.subject.value,
        "name": change.name or None,
        "fleet": change.fleet,
        "devices": change.devices,
        "place": _place(change.place),
        "was": _place(change.was),
    }
    if change.values:
        data["values"] = [
            {"path": value.path, "old": value.old, "new": value.new, "devices": value.devices}
            for value in change.values
        ]
    if change.ids:
        data["ids"] = change.ids
    return data


def _place(place: Span | None) -> dict[str, Any] | None:
    if place is None:
        return None
    return {"file": place.source.path, "line": place.line, "column": place.column, "length": place.length}
