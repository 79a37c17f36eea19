"""Folders as values: what a compile left on the disk, compared whole."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below `folder`, by its relative path."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def golden(files: Mapping[str, bytes], folder: Path, update: bool) -> dict[str, bytes]:
    """The expected tree in `folder`, which `update` first makes these files."""
    if update:
        shutil.rmtree(folder, ignore_errors=True)
        for path, data in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
    return tree(folder)


def generated(workspace: Path) -> dict[str, bytes]:
    """What slmc wrote in a workspace: the lock and everything in `deploy/`."""
    return {name: data for name, data in tree(workspace).items() if name == "slmc.lock" or name.startswith("deploy/")}
