"""Pushes, pulls and releases as text and as JSON values."""

from __future__ import annotations

from typing import Any

from compiler.base.units import show_bytes
from compiler.publish.transfer import Transfer, Transferred
from compiler.report.table import table


def transfer_text(transfer: Transfer, column: str) -> str:
    """A row for each artifact; `column` names what was moved: `sent`, `to send`, `fetched`."""
    if not transfer.artifacts:
        return ""
    rows = [
        [one.name, _short(one.digest), str(len(one.files)), show_bytes(one.size), _moved(one)]
        for one in transfer.artifacts
    ]
    return table(["artifact", "digest", "files", "size", column], rows, right=(2, 3, 4))


def transfer_data(transfer: Transfer) -> list[dict[str, Any]]:
    return [
        {
            "name": one.name,
            "digest": one.digest,
            "tag": one.tag,
            **({"manifest": one.manifest} if one.manifest else {}),
            "changed": one.changed,
            "size": one.size,
            "moved": one.moved,
            "files": [
                {"name": file.file.name, "digest": file.file.digest, "size": file.file.size, "moved": file.moved}
                for file in one.files
            ],
        }
        for one in transfer.artifacts
    ]


def _moved(one: Transferred) -> str:
    if one.moved:
        return show_bytes(one.moved)
    return "its name" if one.changed else "nothing"


def _short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:12]
