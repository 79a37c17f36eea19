"""Bundles → the output folder and the lock: compare, and publish what differs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from compiler.base.diagnostics import Diagnostic, has_errors
from compiler.bundle.bundles import Bundles
from compiler.lock.changes import Seen, Tree
from compiler.lock.compare import compare
from compiler.lock.disk import read_bytes
from compiler.lock.lock import Committed, Lock
from compiler.lock.ours import Ours
from compiler.lock.publish import publish
from compiler.lock.scope import Scope
from compiler.lock.stage import Stage
from compiler.lock.text import dump


@dataclass(frozen=True, slots=True)
class Destination:
    """Where bundles go: `output` takes them, `lock` describes them. A `dry` one only says what would change."""

    output: Path
    lock: Path
    dry: bool = False
    scope: Scope = field(default_factory=Scope)


def commit(
    to: Destination, bundles: Bundles, last: Lock, known: Mapping[str, Seen], make: Callable[[Committed], Lock]
) -> tuple[Tree, list[Diagnostic]]:
    """Bring the destination to the state that `bundles` give, unless something is in the way.

    `known` are bundles that need no look when nothing about them has changed. Raises Stop when the disk refuses.
    """
    ours = Ours(to.output, last)
    with Stage(to.output, dry=to.dry) as stage:
        found, diagnostics = compare(stage, bundles, ours, known, to.scope)
        lock = make(found.committed)
        data = dump(lock)
        changed = read_bytes(to.lock) != data
        left = tuple(sorted(ours.journal))
        tree = Tree(to.output, tuple(found.changes), to.lock, data, changed, left, found.bundles, found.beside, lock)
        if not to.dry and not has_errors(diagnostics):
            publish(stage, tree)
    return tree, diagnostics
