"""What a layout costs in Git: the files and bytes of a diff, and the bytes of the objects that a commit adds."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.fleet import workload, workspace

_SETTINGS = ("gc.auto=0", "maintenance.auto=false", "core.fsync=none", "user.name=benchmark", "user.email=none")


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one change: what a reviewer sees, and what Git keeps of it as loose objects."""

    files: int
    diff: int
    objects: int


def cost(folder: Path, change: Callable[[], object]) -> Cost:
    """Commit all of `folder`, make the change, commit again."""
    if not (folder / ".git").exists():
        _git(folder, "init", "--quiet", "--template=")
    _commit(folder)
    before = _objects(folder)
    change()
    _commit(folder)
    names = _git(folder, "diff", "--name-only", "HEAD~1").splitlines()
    return Cost(len(names), len(_git(folder, "diff", "HEAD~1")), _objects(folder) - before)


def bump_floor(sources: Path) -> None:
    """Another version of the runtime in the sources of the floor."""
    file = sources / "fleet.yaml"
    file.write_text(file.read_text().replace(workload.fleet()["runtime_version"], "2.4.0"))


def edit_floor(sources: Path) -> None:
    """Another number of threads for one device in the sources of the floor."""
    number = workspace.EDITED_DEVICE
    file = sources / "devices.yaml"
    head, name, rest = file.read_text().partition(f"\n{workload.device_name(number)}:\n")
    threads = workload.device(number)["threads"]
    file.write_text(head + name + rest.replace(f"threads: {threads}\n", f"threads: {threads + 1}\n", 1))


def _commit(folder: Path) -> None:
    _git(folder, "add", "--all")
    _git(folder, "commit", "--quiet", "--allow-empty", "--message", "change")


def _git(folder: Path, *words: str) -> bytes:
    settings = [word for setting in _SETTINGS for word in ("-c", setting)]
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    return subprocess.run(
        ["git", *settings, *words], cwd=folder, env=environment, check=True, stdout=subprocess.PIPE
    ).stdout


def _objects(folder: Path) -> int:
    """Bytes of all objects."""
    return sum(path.stat().st_size for path in (folder / ".git" / "objects").rglob("*") if path.is_file())
