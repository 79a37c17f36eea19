"""Bring the output folder and the lock to their new state, safely.

First every new file is written beside the tree, so that a full disk changes nothing. Then come
the journal, the renames, the removals, the lock, and last the journal goes: after a kill at any
point the next run knows which files are slmc's, and finishes the work.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from compiler.base import files
from compiler.lock.changes import JOURNAL, ChangeKind, Tree


def publish(tree: Tree) -> None:
    """Apply the tree's changes and write its lock. Raises Stop when the disk refuses."""
    journal = tree.output / JOURNAL
    if not tree.pending and not journal.exists():
        return
    with _alone(tree.output):
        files.sweep(tree.output, deep=journal.exists())
        files.sweep(tree.lock_path.parent)
        with files.scratch(tree.output) as beside, files.scratch(tree.lock_path.parent) as beside_lock:
            staged = _stage(tree, beside)
            files.write(beside_lock / "lock", tree.lock)
            files.write(journal, tree.journal)
            _apply(tree, staged)
            if tree.lock_changed:
                files.move(beside_lock / "lock", tree.lock_path)
        files.remove(journal)


def _stage(tree: Tree, folder: Path) -> dict[str, Path]:
    """Write every new file into `folder`; gives where, by its path in the tree."""
    wanted = [change.path for change in tree.changes if change.kind is not ChangeKind.REMOVE]
    staged = {path: folder / str(number) for number, path in enumerate(wanted)}
    for path, file in staged.items():
        files.write(file, tree.files[path])
    return staged


def _apply(tree: Tree, staged: Mapping[str, Path]) -> None:
    for path, file in staged.items():
        files.move(file, tree.output / path)
    for change in tree.changes:
        if change.kind is ChangeKind.REMOVE:
            files.remove(tree.output / change.path)


@contextlib.contextmanager
def _alone(output: Path) -> Iterator[None]:
    """Hold the output folder, so that two compiles of one workspace write one after the other."""
    with files.refusals(output):
        output.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(output, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
