"""Bundles before anything is written: where each lies, what shapes it, and its files when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from compiler.base.diagnostics import Diagnostic
from compiler.bundle.shards import digits, shard

FOLDER = "cohorts"
"""Where a fleet of many cohorts has them, in folders of shards."""
FLAT = 32
"""Cohorts that lie side by side in the fleet's folder; of more than that, `PER_SHARD` in a folder of shards."""
PER_SHARD = 64


@dataclass(slots=True, unsafe_hash=True)
class Bundle:
    """The files of one cohort for one target. Nobody changes it.

    `folder` is relative to the output folder (`stores-eu/pi-5-8g/systemd`). The names in `files` are relative
    to `folder`, with `/`, and include its own `SHA256SUMS`. Rendering happens when `files` is read: a bundle
    whose `fingerprint` and committed files are known need not be.
    """

    fleet: str
    cohort: str
    target: str
    folder: str
    fingerprint: str
    """Equal when everything that rendering reads is."""
    render: Callable[[], dict[str, bytes]] = field(compare=False, repr=False)

    @property
    def files(self) -> dict[str, bytes]:
        return self.render()


@dataclass(frozen=True, slots=True)
class Bundles:
    """Everything below the output folder: the bundles, and the files that stand beside them
    (`stores-eu/devices.csv`: device → cohort; of a large fleet `stores-eu/devices/3/a.csv`).

    `bundles` can be gone through many times. What rendering finds wrong comes into `diagnostics` on the way.
    """

    bundles: Iterable[Bundle]
    indexes: Mapping[str, bytes]
    levels: Mapping[str, int] = field(default_factory=dict)
    """By fleet, the levels of folders of shards in which its cohorts lie; 0 when they lie side by side."""
    diagnostics: list[Diagnostic] = field(default_factory=list, compare=False)

    def files(self) -> dict[str, bytes]:
        """Every rendered path below the output folder, with its bytes."""
        found = dict(self.indexes)
        for bundle in self.bundles:
            found.update({f"{bundle.folder}/{name}": data for name, data in bundle.files.items()})
        return found


def levels_for(cohorts: int) -> int:
    """The levels of folders in which that many cohorts lie."""
    return max(1, digits(cohorts, PER_SHARD)) if cohorts > FLAT else 0


def cohort_folder(fleet: str, cohort: str, levels: int) -> str:
    """`stores-eu/pi-5-8g`, or `stores-eu/cohorts/3/a/pi-5-8g` among many."""
    return f"{fleet}/{FOLDER}/{shard(cohort, levels)}/{cohort}" if levels else f"{fleet}/{cohort}"
