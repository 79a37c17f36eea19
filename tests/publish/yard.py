"""What the tests of releases start from."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from compiler.bundle.manifest import sums
from compiler.bundle.shards import chain
from compiler.lock import text
from compiler.lock.lock import Lock
from compiler.publish.release import NAMESPACE, Release, parse
from compiler.publish.releasing import Releases, Terms
from tests.tools import tool

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
FIRST = int(NOW.timestamp())
PLAIN = ("shops/counter-pi/systemd", "shops/counter-pi/compose", "vans/box/systemd")
SHARDED = ("stores/cohorts/3/till-1/systemd", "stores/cohorts/a/till-2/systemd")
ALL = sorted(PLAIN + SHARDED)


@dataclass(frozen=True)
class Yard:
    """A workspace with bundles, and a key outside of it."""

    workspace: Path
    key: Path

    def deploy(self, *folders: str, note: str = "") -> None:
        """Write bundles and the lock; `note` is part of each."""
        plain, sharded, ids = dict[str, str](), dict[str, str](), dict[str, str]()
        for folder in folders:
            files = {"unit.service": f"{folder} {note}".encode(), "sub/artifacts.json": b"{}"}
            files["SHA256SUMS"] = sums(files)
            ids[folder] = sha256(files["SHA256SUMS"]).hexdigest()
            write_files(self.workspace / "deploy" / folder, files)
            if folder.startswith("stores/"):
                sharded[f"{folder.removeprefix('stores/cohorts/')}/SHA256SUMS"] = ids[folder]
            else:
                plain[folder] = f"sha256:{ids[folder]}"
        if sharded:
            outer = chain("stores/cohorts", sharded, 1)
            write_files(self.workspace / "deploy", outer)
            plain["stores/cohorts"] = f"sha256:{sha256(outer['stores/cohorts/SHA256SUMS']).hexdigest()}"
        (self.workspace / text.NAME).write_bytes(text.dump(Lock(bundles=plain)))

    def release(self, now: datetime = NOW, **terms: Any) -> dict[str, str]:
        """What it did with each release, but for those that stay as they are."""
        releases = Releases(self.workspace, Terms(now, **({"lifetime": timedelta(days=90)} | terms)))
        lock, _ = text.read(self.workspace / text.NAME)
        steps = releases.plan(lock)
        releases.write(steps, self.key)
        return {step.folder: step.verb.value for step in steps if step.pending}

    def bundle(self, folder: str) -> str:
        return sha256((self.workspace / "deploy" / folder / "SHA256SUMS").read_bytes()).hexdigest()

    def parsed(self, folder: str) -> Release:
        release = parse((self.workspace / "releases" / folder / "release").read_bytes())
        assert release is not None
        return release


def write_files(root: Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)


def verified(yard: Yard, folder: str, release: bytes | None = None, namespace: str = NAMESPACE) -> bool:
    """Whether a device that trusts the key takes the release."""
    signers = yard.workspace.parent / "allowed_signers"
    signers.write_text(f"release {yard.key.with_suffix('.pub').read_text()}")
    at = yard.workspace / "releases" / folder
    command = [tool("ssh-keygen"), "-Y", "verify", "-f", str(signers), "-I", "release", "-n", namespace]
    data = (at / "release").read_bytes() if release is None else release
    done = subprocess.run([*command, "-s", str(at / "release.sig")], input=data, capture_output=True, check=False)
    return done.returncode == 0
