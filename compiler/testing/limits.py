"""Memory and processor time of a process, limited by control groups where this process may make some."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from compiler.testing.control import CPU, MEMORY, Parent, parents

_PERIOD = 100_000
"""Microseconds, over which processor time is counted."""
_SWAP = {1: "memory.memsw.limit_in_bytes", 2: "memory.swap.max"}
_ENTER = 'while [ "$1" != -- ]; do echo $$ >"$1" || exit 125; shift; done; shift; exec "$@"'
_TRIES, _PAUSE = 50, 0.02
"""A group can be removed shortly after its last process has ended."""


@dataclass(slots=True)
class Limits:
    """`held` are the controllers that hold; `why`, why the others do not."""

    held: tuple[str, ...] = ()
    why: str | None = None
    _folders: dict[str, tuple[Path, int]] = field(default_factory=dict)

    @property
    def unenforced(self) -> str | None:
        """What does not hold, as a phrase: `memory and processor time: …`."""
        names = {MEMORY: "memory", CPU: "processor time"}
        missing = [told for name, told in names.items() if name not in self.held]
        return f"{' and '.join(missing)}: {self.why}" if missing else None

    def command(self, words: Sequence[str]) -> list[str]:
        """`words` as a command that enters the groups first."""
        doors = dict.fromkeys(str(folder / "cgroup.procs") for folder, _ in self._folders.values())
        return ["/bin/sh", "-c", _ENTER, "sh", *doors, "--", *words] if doors else list(words)

    @property
    def killed(self) -> bool:
        """Whether the kernel killed a process because the memory was at its limit."""
        folder, version = self._folders.get(MEMORY, (None, 0))
        if folder is None:
            return False
        text = _read(folder / ("memory.events" if version == 2 else "memory.oom_control"))
        return any(line.startswith("oom_kill ") and line != "oom_kill 0" for line in text.splitlines())

    @property
    def peak(self) -> int | None:
        """The most bytes that were charged, cached files included."""
        folder, version = self._folders.get(MEMORY, (None, 0))
        text = _read(folder / ("memory.peak" if version == 2 else "memory.max_usage_in_bytes")) if folder else ""
        return int(text) if text.strip().isdigit() else None


@contextlib.contextmanager
def limited(memory: int, cpus: int) -> Iterator[Limits]:
    """Groups that hold a process to `memory` bytes, swap included, and to `cpus` processors; gone afterwards.

    Where this process may make none, nothing holds, and the value says so.
    """
    try:
        listed = parents(*(Path(f"/proc/self/{name}").read_text(encoding="utf-8") for name in ("mountinfo", "cgroup")))
    except OSError:
        listed = []
    with contextlib.ExitStack() as stack:
        limits = Limits(why="this user may make no control group here")
        for parent in listed:
            try:
                _make(parent, memory, cpus, limits, stack)
            except (OSError, subprocess.SubprocessError) as error:
                limits.why = f"the system refuses a control group ({getattr(error, 'strerror', None) or 'no entry'})"
        yield limits


def _make(parent: Parent, memory: int, cpus: int, limits: Limits, stack: contextlib.ExitStack) -> None:
    """Raises OSError, and CalledProcessError where no process may enter."""
    folder = Path(tempfile.mkdtemp(prefix="slmc-test-", dir=parent.folder))
    stack.callback(_remove, folder)
    if MEMORY in parent.controllers:
        _set(folder / ("memory.max" if parent.version == 2 else "memory.limit_in_bytes"), str(memory))
        swap = folder / _SWAP[parent.version]
        if swap.exists():
            _set(swap, "0" if parent.version == 2 else str(memory))
    if CPU in parent.controllers:
        quota = cpus * _PERIOD
        if parent.version == 2:
            _set(folder / "cpu.max", f"{quota} {_PERIOD}")
        else:
            _set(folder / "cpu.cfs_period_us", str(_PERIOD))
            _set(folder / "cpu.cfs_quota_us", str(quota))
    probe = Limits(_folders={MEMORY: (folder, parent.version)})
    subprocess.run(probe.command(["/bin/sh", "-c", ":"]), check=True, capture_output=True)
    for controller in parent.controllers:
        limits._folders[controller] = folder, parent.version
    limits.held += parent.controllers


def _set(path: Path, text: str) -> None:
    """A control file takes a value in one write, and is no file that is kept."""
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.write(descriptor, text.encode("ascii"))
    finally:
        os.close(descriptor)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except OSError:
        return ""


def _remove(folder: Path) -> None:
    for _ in range(_TRIES):
        try:
            folder.rmdir()
        except OSError:
            time.sleep(_PAUSE)
        else:
            return
