"""Which part of a workspace a compile is for. It changes nothing outside of it."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scope:
    """`fleets`: None for all of them. `whole`: all cohorts of those fleets, so that what is stale there goes.

    With `gone`, these folders go and all else stays.
    """

    fleets: frozenset[str] | None = None
    whole: bool = True
    gone: frozenset[str] | None = None

    @property
    def everything(self) -> bool:
        return self.fleets is None and self.whole and self.gone is None

    @property
    def indexes(self) -> bool:
        """Whether the indexes of devices belong to it."""
        return self.whole

    def may_remove(self, path: str) -> bool:
        """Whether a file or folder below the output folder goes when the compile does not give it."""
        if self.gone is not None:
            return path in self.gone or holder_of(path, self.gone) is not None
        return self.whole and (self.fleets is None or path.partition("/")[0] in self.fleets)


def holder_of(path: str, folders: Container[str]) -> str | None:
    """The folder among `folders` that a file or folder lies in; the innermost of several."""
    folder = path
    while folder := folder.rpartition("/")[0]:
        if folder in folders:
            return folder
    return None
