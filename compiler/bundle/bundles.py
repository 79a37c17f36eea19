"""Rendered files, before anything is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bundle:
    """The files of one cohort for one target.

    `folder` is relative to the output folder (`stores-eu/pi-5-8g/systemd`), the names in
    `files` to `folder`, all with `/`. `files` includes the bundle's own `SHA256SUMS`.
    """

    fleet: str
    cohort: str
    target: str
    folder: str
    files: Mapping[str, bytes]
    digest: str
    """sha256 of `SHA256SUMS`, which names every other file."""


@dataclass(frozen=True, slots=True)
class Bundles:
    """Everything below the output folder: the bundles, and the files that stand beside them
    (`stores-eu/devices.csv`: device → cohort; of a large fleet `stores-eu/devices/3/a.csv`)."""

    bundles: tuple[Bundle, ...]
    indexes: Mapping[str, bytes]

    def files(self) -> dict[str, bytes]:
        """Every path below the output folder, with its bytes."""
        found = dict(self.indexes)
        for bundle in self.bundles:
            found.update({f"{bundle.folder}/{name}": data for name, data in bundle.files.items()})
        return found
