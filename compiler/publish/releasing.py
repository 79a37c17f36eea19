"""Which release files to write, and writing them: `slmc release`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum
from pathlib import Path

from compiler.base import files
from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic, Stop, did_you_mean
from compiler.lock.disk import Disk
from compiler.lock.lock import Lock
from compiler.lock.text import NAME as LOCK
from compiler.publish import signing
from compiler.publish.deployed import Deployed
from compiler.publish.release import (
    FILE,
    FOLDER,
    NAMESPACE,
    SIGNATURE,
    Release,
    is_release,
    is_signature,
    last_serial,
    parse,
)


class Verb(Enum):
    CREATE = "create"
    CHANGE = "change"
    RENEW = "renew"
    SIGN = "sign"
    """The release is right, and its signature is missing: a killed run left it."""
    KEEP = "keep"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class Step:
    """What happens to the release in `folder` below `releases`; `release` is the one that stands there then."""

    folder: str
    verb: Verb
    release: Release | None

    @property
    def pending(self) -> bool:
        return self.verb is not Verb.KEEP

    def is_expired(self, now: datetime) -> bool:
        """Whether devices would not take what stays as it is."""
        return self.verb in (Verb.KEEP, Verb.SIGN) and self.release is not None and self.release.expires <= now


@dataclass(frozen=True, slots=True)
class Terms:
    """`now` in UTC and whole seconds; `renew`: new expiry for all; `fleets`: None for all of them."""

    now: datetime
    lifetime: timedelta
    renew: bool = False
    fleets: frozenset[str] | None = None


@dataclass(slots=True)
class Releases:
    """The release files of a workspace."""

    workspace: Path
    terms: Terms
    _disk: Disk = field(init=False)

    def __post_init__(self) -> None:
        self._disk = Disk(str(self.workspace / FOLDER))

    def plan(self, lock: Lock) -> list[Step]:
        """What there is to do. Raises Stop with everything that is in the way."""
        deployed = Deployed(self.workspace, lock)
        unknown = sorted((self.terms.fleets or frozenset()) - set(deployed.fleets))
        if unknown:
            raise Stop(*(_unknown(name, deployed.fleets) for name in unknown))
        deployed.look(self.terms.fleets)
        steps: list[Step] = []
        diagnostics = list(deployed.diagnostics)
        for folder, bundle in sorted(deployed.bundles.items()):
            if blocked := self._occupied(folder):
                diagnostics.append(blocked)
            else:
                steps.append(self._step(folder, bundle))
        if diagnostics:
            raise Stop(*diagnostics)
        steps += [Step(folder, Verb.REMOVE, None) for folder in self._stale(set(deployed.bundles))]
        return steps

    def unsound(self, steps: list[Step]) -> list[str]:
        """Folders whose release is to stay, and whose signature is not one of it. Raises Stop."""
        kept = [step.folder for step in steps if step.verb is Verb.KEEP]
        return [
            folder
            for folder in kept
            if not signing.is_signed(
                NAMESPACE, self._disk.read(f"{folder}/{FILE}") or b"", self._disk.read(f"{folder}/{SIGNATURE}") or b""
            )
        ]

    def write(self, steps: list[Step], key: Path) -> None:
        """Sign everything first, then write. Raises Stop; then releases that were not reached are as they were.

        The old signature goes before the release changes, so that a run that is killed in between leaves a release
        without one: devices take none of those, and the next run sees it.
        """
        made = [(step, step.release.dump()) for step in steps if step.release is not None and step.pending]
        signatures = signing.sign(key, NAMESPACE, [data for _, data in made]) if made else []
        root = self.workspace / FOLDER
        for (step, data), signature in zip(made, signatures, strict=True):
            folder = root / step.folder
            if step.verb is not Verb.SIGN:
                if (folder / SIGNATURE).exists():
                    files.remove(folder / SIGNATURE)
                files.write(folder / FILE, data)
            files.write(folder / SIGNATURE, signature)
        for step in steps:
            if step.verb is Verb.REMOVE:
                for name in self._ours(step.folder):
                    files.remove(root / step.folder / name)

    def _step(self, folder: str, bundle: str) -> Step:
        found = self._disk.read(f"{folder}/{FILE}")
        fleet, cohort, target = folder.split("/")[0], *folder.split("/")[-2:]
        terms = self.terms
        fresh = Release(fleet, cohort, target, bundle, int(terms.now.timestamp()), terms.now + terms.lifetime)
        if parse(fresh.dump()) != fresh:  # a line feed in a name would add a line of somebody's own
            raise Stop(Diagnostic(Code.LOCK_UNREADABLE, f"{folder!r} is no folder of a bundle.", file=LOCK))
        if found is None:
            return Step(folder, Verb.CREATE, fresh)
        before, serial = parse(found), last_serial(found)
        if serial is not None:
            fresh = replace(fresh, serial=serial + 1)
        if before is None or replace(fresh, serial=before.serial, expires=before.expires) != before:
            return Step(folder, Verb.CHANGE, fresh)
        if terms.renew:
            return Step(folder, Verb.RENEW, fresh)
        signed = self._disk.read(f"{folder}/{SIGNATURE}") is not None
        return Step(folder, Verb.KEEP if signed else Verb.SIGN, before)

    def _occupied(self, folder: str) -> Diagnostic | None:
        """What is in the way of a release and is not slmc's."""
        for name, mine in ((FILE, is_release), (SIGNATURE, is_signature)):
            path = f"{folder}/{name}"
            way = self._disk.in_the_way(path)
            data = None if way is not None else self._disk.read(path)
            if way is not None or (data is not None and not mine(data)):
                full = str(self.workspace / FOLDER / (path if way is None else way))
                return Diagnostic(
                    Code.OCCUPIED_PATH,
                    f"`{full}` is in the way of a release, and slmc did not write it.",
                    file=full,
                    help="Move it elsewhere. Nothing was written.",
                )
        return None

    def _stale(self, wanted: set[str]) -> Iterator[str]:
        """Folders with release files of slmc's for bundles that there are no more."""
        root = self.workspace / FOLDER
        for folder, inner, names in os.walk(root):
            inner.sort()
            path = Path(folder).relative_to(root).as_posix()
            outside = self.terms.fleets is not None and path.partition("/")[0] not in self.terms.fleets
            if {FILE, SIGNATURE} & set(names) and path not in wanted and not outside and self._ours(path):
                yield path

    def _ours(self, folder: str) -> list[str]:
        kinds = ((FILE, is_release), (SIGNATURE, is_signature))
        return [name for name, mine in kinds if mine(self._disk.read(f"{folder}/{name}") or b"")]


def _unknown(name: str, known: list[str]) -> Diagnostic:
    return Diagnostic(Code.UNKNOWN_REFERENCE, f"No fleet is named `{name}`.", help=did_you_mean(name, known))
