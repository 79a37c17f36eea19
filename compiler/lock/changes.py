"""How the output folder differs from what a compile gives: the values that the comparison makes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import NamedTuple

from compiler.lock.lock import Committed, Lock


class ChangeKind(Enum):
    CREATE = "create"
    UPDATE = "update"
    REMOVE = "remove"


class Change(NamedTuple):
    """One file, by its path below the output folder."""

    kind: ChangeKind
    path: str


class Seen(NamedTuple):
    """A bundle as it lies in the output folder."""

    fingerprint: str
    digest: str
    """sha256 of its `SHA256SUMS`, in hex digits."""
    signature: str
    """Of its files, as the system sees them; empty for files that are still to be written."""


@dataclass(slots=True)
class Difference:
    """The output folder against what was rendered."""

    changes: list[Change] = field(default_factory=list)
    bundles: dict[str, Seen] = field(default_factory=dict)
    beside: tuple[str, ...] = ()
    """The paths of the files that lie beside bundles."""
    committed: Committed = field(default_factory=Committed)


@dataclass(frozen=True, slots=True)
class Tree:
    """The changes to the output folder, in the order of paths, and the lock that goes with them."""

    output: Path
    changes: tuple[Change, ...]
    lock_path: Path
    lock: bytes = field(default=b"", repr=False)
    lock_changed: bool = False
    journal: tuple[str, ...] = ()
    """What a killed run left to finish."""
    bundles: Mapping[str, Seen] = field(default_factory=dict, repr=False)
    """By folder, every bundle that the compile gives."""
    beside: tuple[str, ...] = field(default=(), repr=False)
    described: Lock = field(default_factory=Lock, repr=False)
    """What `lock` says."""

    @property
    def pending(self) -> bool:
        return bool(self.changes) or self.lock_changed
