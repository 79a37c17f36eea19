"""Bring the output folder and the lock to their new state, safely.

Every new file waits on the stage already, so a full disk has changed nothing. Then come the journal, the renames,
the removals, the lock, and last the journal goes: after a kill at any point the next run knows which files are
slmc's, and finishes the work.
"""

from __future__ import annotations

from compiler.base import digests, files
from compiler.lock.changes import ChangeKind, Tree
from compiler.lock.ours import JOURNAL
from compiler.lock.stage import Stage


def publish(stage: Stage, tree: Tree) -> None:
    """Apply the tree's changes and write its lock. Raises Stop when the disk refuses."""
    journal = tree.output / JOURNAL
    if not tree.pending and not tree.journal and not journal.exists():
        if files.left_over(tree.output, tree.lock_path.parent):
            stage.hold()
            files.sweep(tree.lock_path.parent)
        return
    stage.hold()
    removed = [change.path for change in tree.changes if change.kind is ChangeKind.REMOVE]
    moves = stage.moves()
    stage.settle()
    files.sweep(tree.lock_path.parent)
    with files.scratch(tree.lock_path.parent) as beside_lock:
        files.write(beside_lock / "lock", tree.lock)
        named = {f"{path}/" if source.is_dir() else path for source, path in moves}
        files.write(journal, digests.pretty(sorted({*named, *removed, *tree.journal})))
        for source, path in moves:
            files.bring(source, tree.output / path)
        for path in removed:
            files.remove(tree.output / path)
        if tree.lock_changed:
            files.move(beside_lock / "lock", tree.lock_path)
    files.remove(journal)
