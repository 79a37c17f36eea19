"""The state that a plan compares with: a workspace at a Git revision, or what the last compile left behind."""

from __future__ import annotations

import contextlib
import csv
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from compiler.base import files, git
from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic, Stop, in_order
from compiler.base.workspace import OUTPUT
from compiler.bundle.bundles import cohort_folder
from compiler.bundle.index import DEVICES, SHARDS
from compiler.bundle.manifest import ARTIFACTS, SUMS
from compiler.bundle.shards import shard
from compiler.lock.lock import Lock
from compiler.lock.text import NAME
from compiler.plan.coarse import Index, Row
from compiler.plan.review import Known

HEAD = "HEAD"
_DEEPEST = 5
"""Folders of shards one in the other, of a million cohorts."""
_BLUEPRINT = ".slmc.yaml"
_RESOLVED = (_BLUEPRINT, ".csv", ".jsonl")
"""How the names of files end that a blueprint is resolved from."""


@dataclass(frozen=True, slots=True)
class Before:
    """An earlier workspace: the files below `root` that resolving it needs, and its lock.

    `blueprint` is False where none is to be resolved; `why` then says why not.
    """

    root: Path
    name: str
    commit: str | None = None
    blueprint: bool = False
    why: str | None = None
    notes: tuple[str, ...] = ()
    _workspace: Path = field(default_factory=Path)
    _revision: git.Revision | None = None

    def bring_index(self) -> None:
        """Have the indexes of devices and the lists of artifacts below `root` too."""
        if self._revision is not None:
            found = git.entries(self._workspace, self._revision)
            chosen = [entry for entry in found if _of_index(entry.path) and not git.is_link(entry)]
            git.export(self._workspace, chosen, self.root)

    def bundles(self, lock: Lock) -> frozenset[str]:
        """The bundles that its lock knows, as `FLEET/COHORT/TARGET` also where they lie in folders of shards.

        Of folders of shards the lock has one digest: what lies in them is what the output folder has there.
        """
        plain = frozenset(folder for folder in lock.bundles if folder not in lock.chains)
        return plain | {name for root in lock.chains for name in self._in_shards(root)}

    def _in_shards(self, root: str) -> Iterator[str]:
        top = f"{OUTPUT}/{root}/"
        if self._revision is not None:
            paths = git.below(self._workspace, self._revision, [top])
        else:
            paths = [path.relative_to(self.root).as_posix() for path in (self.root / top).rglob(SUMS)]
        for path in paths:
            parts = path.removeprefix(top).split("/")
            if len(parts) > 3 and parts[-1] == SUMS and shard(parts[-3], len(parts) - 3) == "/".join(parts[:-3]):
                yield f"{root.partition('/')[0]}/{parts[-3]}/{parts[-2]}"


@contextlib.contextmanager
def opened(workspace: Path, against: str | None) -> Iterator[Before]:
    """The state at the revision `against`. Without one it is HEAD where that has this workspace, else the last compile.

    What was exported is gone afterwards. Raises Stop when `against` names nothing.
    """
    try:
        revision = git.locate(workspace, against if against is not None else HEAD)
        found = git.entries(workspace, revision, skipped=(OUTPUT,))
    except Stop as stop:
        if against is not None:
            raise
        yield _last_compile(workspace, stop.diagnostics[0].message)
        return
    blueprint = any(entry.path.endswith(_BLUEPRINT) for entry in found)
    if not blueprint and against is None:
        yield _last_compile(workspace, f"the workspace is not in `{HEAD}` ({revision.short}).")
        return
    with files.scratch(Path(tempfile.gettempdir())) as root:
        git.export(workspace, _wanted(found), root)
        notes = [f"`{revision.name}` has no such workspace: everything is new."] if not blueprint else []
        notes += [f"Submodule `{entry.path}` was not looked into." for entry in found if git.is_submodule(entry)]
        yield Before(root, revision.name, revision.commit, blueprint, None, tuple(notes), workspace, revision)


def _last_compile(workspace: Path, why: str) -> Before:
    return Before(workspace, f"{NAME} and {OUTPUT}/", why=why.replace("The ", "the ", 1))


def _wanted(found: list[git.Entry]) -> list[git.Entry]:
    """What a resolve reads: blueprints, inventories, own targets, the lock, and every link, which may lead to one."""
    return [entry for entry in found if _resolves(entry.path) or git.is_link(entry)]


def _resolves(path: str) -> bool:
    return path == NAME or path.startswith("targets/") or path.lower().endswith(_RESOLVED)


def _of_index(path: str) -> bool:
    parts = path.split("/")
    if parts[0] != OUTPUT or len(parts) < 3:
        return False
    return parts[2] == DEVICES or (parts[2] == SHARDS and path.endswith(".csv")) or parts[-1] == ARTIFACTS


def judged(before: Before, found: list[Diagnostic]) -> tuple[Before, list[Diagnostic]]:
    """The state to compare with after a look at its workspace: one with errors is known by its index alone.

    `found` are the diagnostics of the earlier workspace. They are not the user's to mend now: one warning sums them up.
    """
    errors = [diagnostic for diagnostic in in_order(found) if diagnostic.is_error]
    if not errors:
        return before, []
    first = errors[0]
    where = f" at `{first.span or first.file}`" if first.span or first.file else ""
    count = f"{len(errors)} errors, the first" if len(errors) > 1 else "an error"
    message = f"The workspace at `{before.name}` has {count}{where}: {first.code.id}, {first.message}"
    lock_only = all(error.code is Code.LOCK_UNREADABLE for error in errors)
    if lock_only or not before.blueprint:
        help = "Its lock counts as empty: every artifact and bundle is new."
        return before, [Diagnostic(Code.UNREADABLE_REVISION, message, help=help)]
    before.bring_index()
    help = "The plan compares with its slmc.lock and index of devices, which say less: no single values."
    coarse = replace(before, blueprint=False, why=f"the blueprint at `{before.name}` has errors.")
    return coarse, [Diagnostic(Code.UNREADABLE_REVISION, message, help=help)]


def recorded(lock: Lock) -> Known:
    """What a plan needs to know of the artifacts in a lock."""
    return {name: (entry.artifact.digest, entry.artifact.size) for name, entry in lock.artifacts.items()}


def read_index(root: Path) -> Index:
    """The indexes of devices below `root`, as far as they can be read."""
    found: dict[str, dict[str, Row]] = {}
    for folder in sorted(path for path in (root / OUTPUT).glob("*") if path.is_dir()):
        tables = [folder / DEVICES, *sorted((folder / SHARDS).rglob("*.csv"))]
        rows = {id: row for table in tables for id, row in _table(table)}
        if rows or (folder / DEVICES).exists():
            found[folder.name] = rows
    return found


def _table(path: Path) -> Iterator[tuple[str, Row]]:
    with contextlib.suppress(OSError, csv.Error), path.open(encoding="utf-8", errors="replace", newline="") as file:
        rows = csv.reader(file)
        next(rows, None)
        for row in rows:
            if len(row) >= 3:
                yield row[0], Row(row[1], row[2])


def held(root: Path, fleet: str, cohort: str) -> frozenset[str]:
    """The digests of the artifacts that devices of a cohort have, by the first of its bundles."""
    for levels in range(_DEEPEST):
        for path in sorted((root / OUTPUT / cohort_folder(fleet, cohort, levels)).glob(f"*/{ARTIFACTS}")):
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                listed = json.loads(path.read_text(encoding="utf-8"))["artifacts"]
                return frozenset(str(entry["digest"]) for entry in listed)
    return frozenset()
