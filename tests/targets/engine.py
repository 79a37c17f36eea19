"""Podman of Debian 13 in a root of its own, with a network of its own, beside whatever this machine has."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import REPOSITORY
from tests.tools import absent, need_root, tool

ROOT = REPOSITORY / ".ci" / "roots" / "trixie"
FAR = "192.0.2.2"
"""An address of the device in no network of its containers, where a web server listens on port 8000."""

_PATIENCE = 30
_OWN = ("etc/containers/networks", "var/lib/slmc", "var/tmp", "tmp", "run")
_LIMITS = ("nofile=1024:1024", "nproc=4096:4096")
"""Podman asks for more than a machine in a container may give, unless it is told what to ask for."""
_SETTINGS = {
    "containers.conf": f"[containers]\ndefault_ulimits = {list(_LIMITS)}\n"
    '[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n',
    "storage.conf": '[storage]\ndriver = "vfs"\ngraphroot = "/var/lib/containers/s"\nrunroot = "/run/containers"\n',
}
_SCRIPT = """
set -e
mount --make-rprivate /
# crun takes this machine's mixture of cgroup 1 and 2 for version 2, which has no memory controller here.
if mountpoint -q /sys/fs/cgroup/unified; then umount /sys/fs/cgroup/unified; fi
mount --bind "$ROOT" "$ROOT"
mount -t proc proc "$ROOT/proc"
mount --rbind /sys "$ROOT/sys"
mount --rbind /dev "$ROOT/dev"
for name in $OWN; do mkdir -p "$ROOT/$name" "$FOLDER/$name"; mount --bind "$FOLDER/$name" "$ROOT/$name"; done
# Images are copied whole from layer to layer, and are gone with this mount.
mkdir -p "$ROOT/var/lib/containers"
mount -t tmpfs -o size=4g tmpfs "$ROOT/var/lib/containers"
ip link set lo up
ip address add "$FAR/32" dev lo
cd "$ROOT"
mkdir -p run/old
pivot_root . run/old
cd /
umount -l /run/old
touch /run/ready
exec python3 -m http.server --directory /run --bind "$FAR" 8000
"""


@dataclass(frozen=True, slots=True)
class Engine:
    """`folder` has what the engine writes: `folder/tmp` is its /tmp. `leader` is the first process in there."""

    folder: Path
    leader: int

    def run(self, *command: str, given: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command in the root; what is in the file `given` is its input."""
        enter = (tool("nsenter"), f"--target={self.leader}", "--mount", "--net", "--pid", "--root")
        # Not --wd: that folder would be looked up outside.
        words = (*enter, "sh", "-c", 'cd / && exec "$@"', "sh", *command)
        with (given or Path(os.devnull)).open("rb") as source:
            return subprocess.run(words, stdin=source, capture_output=True, text=True, check=False, env=_environment())

    def podman(self, *arguments: str, given: Path | None = None) -> str:
        """What podman writes; it has to succeed."""
        done = self.run("podman", *arguments, given=given)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def start(self, words: Sequence[str]) -> None:
        """Run the command of a unit that Quadlet made, without what only a systemd that has booted can give."""
        left_out = ("--cgroups=split", "--sdnotify=container", "--cidfile=%t/%N.cid")
        kept = [{"30s": "disable"}.get(word, word) for word in words if word not in left_out]
        assert len(kept) == len(words) - len(left_out)
        at = kept.index("run") + 1
        # A unit with limits of its own has none of the settings' limits.
        self.podman(*kept[1:at], *(f"--ulimit={limit}" for limit in _LIMITS), *kept[at:])

    def answer(self, url: str) -> str:
        """What a server gives for a request from the device, once it gives it with status 200."""
        for _ in range(_PATIENCE * 2):
            done = self.run("curl", "--silent", "--show-error", "--fail", "--max-time", "5", url)
            if done.returncode == 0:
                return done.stdout
            time.sleep(0.5)
        raise AssertionError(done.stderr + self.run("podman", "logs", "--latest").stderr)


@contextmanager
def engine(folder: Path) -> Iterator[Engine]:
    """An engine that keeps everything in `folder`. All of its processes end with it."""
    need_root()
    if not (ROOT / "usr/bin/podman").exists():
        absent(f"{ROOT.relative_to(REPOSITORY)} is no root of Debian 13 with podman")
    names = {"ROOT": str(ROOT), "FOLDER": str(folder), "FAR": FAR, "OWN": " ".join(_OWN)}
    for name, text in _SETTINGS.items():
        (folder / "tmp").mkdir(exist_ok=True)
        (folder / "tmp" / name).write_text(text)
    unshare = (tool("unshare"), "--mount", "--net", "--pid", "--fork", "--kill-child")
    log = (folder / "log").open("wb")
    holder = subprocess.Popen(
        [*unshare, "bash", "-c", _SCRIPT], env=os.environ | names, stdout=log, stderr=log, stdin=subprocess.DEVNULL
    )
    try:
        yield Engine(folder, _leader(holder, folder))
    finally:
        holder.kill()
        holder.wait()
        log.close()


def _leader(holder: subprocess.Popen[bytes], folder: Path) -> int:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline and holder.poll() is None:
        if (folder / "run/ready").exists():
            return int(Path(f"/proc/{holder.pid}/task/{holder.pid}/children").read_text().split()[0])
        time.sleep(0.05)
    raise AssertionError((folder / "log").read_text())


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name in ("LANG", "TZ")}
    return kept | {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "CONTAINERS_CONF": "/tmp/containers.conf",
        "CONTAINERS_STORAGE_CONF": "/tmp/storage.conf",
        "PODMAN_IGNORE_CGROUPSV1_WARNING": "1",
    }
