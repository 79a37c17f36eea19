"""Blobs that come from elsewhere, piece by piece, perhaps over several runs."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from compiler.artifact.store.store import Store
from compiler.base import files

_NAME = "blob"


@contextlib.contextmanager
def incoming(store: Store, digest: str) -> Iterator[Path]:
    """Where the blob with this digest is put together; what a killed run left of it is there still.

    The file lies in a scratch folder of the store, held against other runs: one that wants the same blob waits, and
    `prune` sweeps it only when nobody fills it. The folder goes when its file was taken or removed.
    """
    folder = store.root / f"{files.TEMPORARY_PREFIX}{digest.removeprefix('sha256:')}"
    descriptor = _hold(store, folder)
    try:
        yield folder / _NAME
    finally:
        if not (folder / _NAME).exists():
            files.remove_folder(folder)
        os.close(descriptor)


def _hold(store: Store, folder: Path) -> int:
    """The folder's descriptor, locked. Whoever had it before may have removed it: then it is made anew."""
    while True:
        with store.alone(), files.refusals(folder):
            folder.mkdir(exist_ok=True)
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        try:
            if folder.stat().st_ino == os.fstat(descriptor).st_ino:
                return descriptor
        except FileNotFoundError:
            pass
        os.close(descriptor)
