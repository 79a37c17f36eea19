"""Pushes, pulls and releases as text and as JSON values."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from compiler.base.units import show_bytes
from compiler.publish.release import FOLDER
from compiler.publish.releasing import Step
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


def release_text(steps: list[Step], unsound: list[str], now: datetime, workspace: Path) -> str:
    """A line for each release that was not left alone, then what somebody should look at."""
    lines = [f"{step.verb.value:8}{workspace / FOLDER / step.folder}{_terms(step)}" for step in steps if step.pending]
    lines += [f"bad     {workspace / FOLDER / folder}: the signature is not one of this release" for folder in unsound]
    expired = [step for step in steps if step.is_expired(now)]
    kept = sum(not step.pending for step in steps) - len(unsound) - len(expired)
    lines += [f"expired {workspace / FOLDER / step.folder}: --renew renews it" for step in expired]
    lines += [f"{kept} {'release is' if kept == 1 else 'releases are'} current"] if kept > 0 else []
    return "".join(f"{line}\n" for line in lines)


def release_data(steps: list[Step], unsound: list[str], now: datetime) -> dict[str, Any]:
    return {
        "releases": [
            {
                "path": f"{FOLDER}/{step.folder}",
                "verb": step.verb.value,
                **(
                    {
                        "bundle": step.release.bundle,
                        "serial": step.release.serial,
                        "expires": step.release.expires.isoformat().replace("+00:00", "Z"),
                        "expired": step.is_expired(now),
                        "signatureBad": step.folder in unsound,
                    }
                    if step.release
                    else {}
                ),
            }
            for step in steps
        ]
    }


def _terms(step: Step) -> str:
    return f": serial {step.release.serial}, expires {step.release.expires:%Y-%m-%d}" if step.release else ""


def _moved(one: Transferred) -> str:
    if one.moved:
        return show_bytes(one.moved)
    return "its name" if one.changed else "nothing"


def _short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:12]
