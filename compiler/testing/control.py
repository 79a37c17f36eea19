"""Where this process may make control groups: version 2 of them, else version 1.

In version 2 a group's children get a controller when `cgroup.subtree_control` names it, which it can only where no
process is in the group itself; so they are looked for from this process's own group upwards (cgroup-v2.rst, "No
Internal Process Constraint"). Version 1 has a tree for each controller.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

MEMORY, CPU = "memory", "cpu"
CONTROLLERS = (MEMORY, CPU)
_UNIFIED = ""


@dataclass(frozen=True, slots=True)
class Parent:
    """A group in which another one can be made, for `controllers`."""

    folder: Path
    version: int
    controllers: tuple[str, ...]


def parents(mounts: str, groups: str) -> list[Parent]:
    """From the texts of /proc/self/mountinfo and /proc/self/cgroup; the memory controller comes first."""
    own = _own(groups)
    trees = _trees(mounts)
    if _UNIFIED in trees and (found := _delegated(*trees[_UNIFIED], own.get(_UNIFIED, "/"))):
        return [found]
    listed = []
    for controller in CONTROLLERS:
        if controller in trees:
            mount, root = trees[controller]
            folder = _below(mount, root, own.get(controller, "/"))
            if os.access(folder, os.W_OK):
                listed.append(Parent(folder, 1, (controller,)))
    return listed


def _own(groups: str) -> Mapping[str, str]:
    """The path of this process's group, by controller; that of version 2 under an empty name."""
    found = {}
    for line in groups.splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            found[controller] = path
    return found


def _trees(mounts: str) -> Mapping[str, tuple[Path, str]]:
    """Mount point and the group mounted there, by controller (proc_pid_mountinfo(5))."""
    found: dict[str, tuple[Path, str]] = {}
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        fields, (kind, _, options) = before.split(" "), after.split(" ")[:3]
        if kind == "cgroup2":
            found.setdefault(_UNIFIED, (Path(fields[4]), fields[3]))
        elif kind == "cgroup":
            for controller in set(options.split(",")) & set(CONTROLLERS):
                found.setdefault(controller, (Path(fields[4]), fields[3]))
    return found


def _below(mount: Path, root: str, path: str) -> Path:
    """The folder of a group; the mount point where a container shows another part of the tree."""
    inside = PurePosixPath(path)
    relative = inside.relative_to(root) if inside.is_relative_to(root) else inside.relative_to("/")
    folder = mount / relative
    return folder if ".." not in relative.parts and folder.is_dir() else mount


def _delegated(mount: Path, root: str, path: str) -> Parent | None:
    """The nearest group of this user's that gives its children both controllers, else memory alone."""
    folder = _below(mount, root, path)
    found = None
    while True:
        try:
            given = (folder / "cgroup.subtree_control").read_text(encoding="ascii").split()
        except OSError:
            given = []
        controllers = tuple(name for name in CONTROLLERS if name in given)
        if MEMORY in controllers and os.access(folder, os.W_OK) and os.access(folder / "cgroup.procs", os.W_OK):
            if CPU in controllers:
                return Parent(folder, 2, controllers)
            found = found or Parent(folder, 2, controllers)
        if folder == mount:
            return found
        folder = folder.parent
