"""How far a push or a pull came."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from compiler.artifact.artifact import File
from compiler.base.diagnostics import Diagnostic

Advance = Callable[[str, float], None]
"""Told what is under way, and which share of it is done."""


@dataclass(frozen=True, slots=True)
class Moved:
    """A file of an artifact; `moved` when this run sent or fetched it, or would have."""

    file: File
    moved: bool


@dataclass(frozen=True, slots=True)
class Transferred:
    """An artifact that is where it should be. `manifest`: the digest of what `tag` names there."""

    name: str
    digest: str
    files: tuple[Moved, ...]
    tag: str
    manifest: str = ""
    changed: bool = False
    """Whether anything of it was moved."""

    @property
    def size(self) -> int:
        return sum(one.file.size for one in self.files)

    @property
    def moved(self) -> int:
        """Bytes; a file that artifacts share counts once."""
        return sum(one.file.size for one in self.files if one.moved)


@dataclass(slots=True)
class Transfer:
    artifacts: list[Transferred] = field(default_factory=list)
    diagnostics: list[Diagnostic] = field(default_factory=list)
