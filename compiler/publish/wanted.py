"""What a workspace's lock names, with the places in it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from compiler.artifact.artifact import Artifact
from compiler.artifact.store import layout
from compiler.base import digests
from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic, Stop
from compiler.base.span import Source, Span
from compiler.lock.lock import Lock, LockedArtifact
from compiler.lock.text import NAME, read


@dataclass(frozen=True, slots=True)
class Wanted:
    """An artifact of the lock and where that names it."""

    entry: LockedArtifact
    place: Span | None

    @property
    def artifact(self) -> Artifact:
        return self.entry.artifact


def locked(workspace: Path) -> Lock:
    """Raises Stop when there is no lock, or none that can be read."""
    path = workspace / NAME
    if not path.exists():
        raise Stop(
            Diagnostic(
                Code.NOT_COMPILED,
                f"There is no `{NAME}` in `{workspace}`.",
                file=NAME,
                help=f"Run `slmc compile {workspace}` first, and commit what it writes.",
            )
        )
    lock, diagnostics = read(path)
    if diagnostics:
        raise Stop(*diagnostics)
    return lock


def wanted(workspace: Path, lock: Lock) -> list[Wanted]:
    """Every artifact of the lock by name. Raises Stop for one whose digest is not that of its files."""
    source = Source(NAME, (workspace / NAME).read_text(encoding="utf-8"))
    found = [Wanted(entry, _place(source, name)) for name, entry in sorted(lock.artifacts.items())]
    wrong = [one for one in found if digests.of_bytes(manifest_of(one.artifact)) != one.artifact.digest]
    if wrong:
        raise Stop(*(_inconsistent(one) for one in wrong))
    return found


def manifest_of(artifact: Artifact) -> bytes:
    """The store's manifest of the artifact: it follows from what the lock has."""
    return layout.artifact_manifest(artifact.shape, artifact.files)


def _inconsistent(one: Wanted) -> Diagnostic:
    return Diagnostic(
        Code.LOCK_UNREADABLE,
        f"The digest of `{one.artifact.name}` is not that of its files: `{NAME}` was edited, or merged wrongly.",
        one.place,
        help="Restore it from Git, or run `slmc compile`.",
    )


def _place(source: Source, name: str) -> Span | None:
    """The key in `artifacts`, which stands two levels deep in what slmc writes."""
    key = json.dumps(name, ensure_ascii=False)
    lines: Sequence[str] = source.lines
    try:
        first = lines.index('  "artifacts": {')
    except ValueError:
        return None
    for number, line in enumerate(lines[first + 1 :], first + 2):
        if line.startswith(f"    {key}: "):
            return Span(source, number, 5, len(key))
        if line.startswith("  }"):
            break
    return None
