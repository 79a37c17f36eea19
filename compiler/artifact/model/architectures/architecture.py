"""The contract of an architecture: what a module of this package says about a checkpoint, and makes of it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from compiler.artifact.configuration import Unusable
from compiler.artifact.model.checkpoint import Checkpoint


class Architecture(Protocol):
    """A module of this package."""

    TASKS: frozenset[str]
    """What a blueprint's `task` may be."""

    def problems(self, checkpoint: Checkpoint, task: str) -> Iterable[Unusable]:
        """All that forbids the export, found without reading weights."""

    def export(self, checkpoint: Checkpoint, task: str, path: Path) -> None:
        """Write the graph, and its weights beside it. Raises Unusable for what only the weights tell."""
