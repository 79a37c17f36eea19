"""What this machine has left: memory for processes, space on a disk."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def available_memory(root: Path = Path("/")) -> int:
    """Bytes that new processes may take: what the kernel calls available, or less where a control group says so.

    `root` is the folder that holds `proc` and `sys`. proc(5) "MemAvailable"; cgroup-v2.txt "memory.max".
    """
    limits = [_memory_of_the_machine(root / "proc" / "meminfo"), *_left_in_groups(root)]
    return min(limit for limit in limits if limit is not None)


def free_disk(folder: Path) -> int:
    """Bytes that this user may still write where `folder` lies."""
    return shutil.disk_usage(folder).free


def _memory_of_the_machine(meminfo: Path) -> int:
    for line in (_text(meminfo) or "").splitlines():
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            return int(value.split()[0]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _left_in_groups(root: Path) -> list[int | None]:
    """Of this process's control group and those around it; version 2 alone."""
    groups = [line[3:] for line in (_text(root / "proc" / "self" / "cgroup") or "").splitlines() if line[:3] == "0::"]
    top = root / "sys" / "fs" / "cgroup"
    folders = [top / group.lstrip("/") for group in groups if ".." not in group]
    return [_left(place) for folder in folders for place in (folder, *folder.parents) if place.is_relative_to(top)]


def _left(group: Path) -> int | None:
    """The group's limit without what is in use; cached pages of files that nobody needs now count as free."""
    limit, used = _text(group / "memory.max"), _text(group / "memory.current")
    if limit is None or used is None or limit.strip() == "max":
        return None
    facts = dict(line.split(maxsplit=1) for line in (_text(group / "memory.stat") or "").splitlines())
    return max(0, int(limit) - int(used) + int(facts.get("inactive_file", 0)))


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
