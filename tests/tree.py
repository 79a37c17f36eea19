"""Folders as values: what a compile left on the disk, compared whole."""

from __future__ import annotations

from pathlib import Path


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below `folder`, by its relative path."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def generated(workspace: Path) -> dict[str, bytes]:
    """What slmc wrote in a workspace: the lock and everything in `deploy/`."""
    return {name: data for name, data in tree(workspace).items() if name == "slmc.lock" or name.startswith("deploy/")}
