"""One bundle in an output folder, and what a compile would change there."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic
from compiler.bundle.bundles import Bundle, Bundles
from compiler.lock.changes import Change, Tree
from compiler.lock.commit import Destination, commit
from compiler.lock.lock import Committed, Lock

FOLDER = "shops/pi/systemd"


def bundles(files: Mapping[str, str]) -> Bundles:
    data = {name: text.encode() for name, text in files.items()}
    sums = "".join(f"{hashlib.sha256(data[name]).hexdigest()}  {name}\n" for name in sorted(data))
    everything = data | {"SHA256SUMS": sums.encode()}
    bundle = Bundle("shops", "pi", "systemd", FOLDER, "", lambda: everything)
    return Bundles([bundle], {"shops/devices.csv": b"id\n"}, {"shops": 0})


def locked(committed: Committed) -> Lock:
    return Lock(bundles=committed.bundles, indexes=committed.indexes)


def committed(
    output: Path, files: Mapping[str, str], last: Lock, *, dry: bool = False
) -> tuple[Tree, Lock, list[Diagnostic]]:
    locks = []

    def make(committed: Committed) -> Lock:
        locks.append(locked(committed))
        return locks[0]

    to = Destination(output, output.parent / "slmc.lock", dry=dry)
    result, diagnostics = commit(to, bundles(files), last, {}, make)
    return result, locks[0], diagnostics


def write(output: Path, files: Mapping[str, str]) -> Lock:
    """Publish one bundle as a compile does; gives the lock that knows it."""
    _, lock, diagnostics = committed(output, files, Lock())
    assert diagnostics == []
    return lock


def changes(
    output: Path, files: Mapping[str, str], last: Lock
) -> tuple[tuple[Change, ...], list[tuple[Code, str | None]]]:
    result, _, diagnostics = committed(output, files, last, dry=True)
    return result.changes, [(finding.code, finding.file) for finding in diagnostics]
