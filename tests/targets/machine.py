"""A machine to install bundles on: systemd, booted in a container whose /usr is this machine's own, or a device's."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.tools import absent, need_root, put, tool

_CGROUPS = Path("/sys/fs/cgroup")
_PATIENCE = 30
"""Seconds until a machine that does not answer counts as broken."""

FAR = "192.0.2.2"
"""Where a web server listens on port 8000, on the other end of the machine's only cable."""


@dataclass(frozen=True, slots=True)
class Machine:
    """`root` is the root file system, `leader` the process that is PID 1 in there."""

    root: Path
    leader: int

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command on the machine."""
        return _output(tool("nsenter"), f"--target={self.leader}", "--all", "--root", "--wd", *command)

    def install(self, files: Mapping[str, bytes]) -> None:
        """Put the files of a systemd bundle where they say that they go, with nothing left of earlier bundles."""
        units = self.root / "etc/systemd/system"
        for old in units.glob("*slmc*"):
            self.run("systemctl", "stop", old.name)
            self.run("systemctl", "reset-failed", old.name)
            old.unlink()
        self.run("nft", "flush", "ruleset")
        places = {"egress.nft": "etc/slmc", "sysusers.conf": "etc/sysusers.d", "tmpfiles.conf": "etc/tmpfiles.d"}
        for name, data in files.items():
            if name.endswith(".service"):
                put({name: data}, units)
            elif name in places:
                put({f"{places[name]}/{'slmc.conf' if name.endswith('.conf') else name}": data}, self.root)
        for command in (("systemd-sysusers",), ("systemd-tmpfiles", "--create"), ("systemctl", "daemon-reload")):
            done = self.run(*command)
            assert done.returncode == 0, done.stderr

    def ask(self, port: int) -> str:
        """What a server on the machine's loopback answers."""
        script = f"import urllib.request as r; print(r.urlopen('http://127.0.0.1:{port}', timeout=5).read().decode())"
        for _ in range(50):
            done = _output(tool("nsenter"), f"--target={self.leader}", "--net", sys.executable, "-c", script)
            if done.returncode == 0:
                return done.stdout
            time.sleep(0.1)
        raise AssertionError(done.stderr + self.run("journalctl", "--no-pager", "--output=cat", "--lines=50").stdout)


@contextmanager
def booted(folder: Path, shown: Mapping[str, Path]) -> Iterator[Machine]:
    """A machine with its root in `folder` and this machine's programs, connected to FAR and to nothing else.

    `shown` are folders of this machine that it has too, to read, by their path there.
    """
    need_root()
    with _running(_root(folder), folder, {"/usr": Path("/usr"), **shown}) as machine:
        yield machine


@contextmanager
def booted_device(base: Path, folder: Path) -> Iterator[Machine]:
    """A machine whose root begins as the file system in `base`, which stays as it is."""
    need_root()
    root = folder / "root"
    for name in ("root", "changes", "work"):
        (folder / name).mkdir()
    layers = f"lowerdir={base},upperdir={folder / 'changes'},workdir={folder / 'work'}"
    done = _output(tool("mount"), "-t", "overlay", "overlay", "-o", layers, str(root))
    if done.returncode != 0:
        absent(f"an overlay cannot be mounted: {done.stderr.strip()}")
    try:
        (root / "etc/machine-id").write_text("")
        with _running(root, folder, {}) as machine:
            yield machine
    finally:
        _output(tool("umount"), "--lazy", str(root))


_numbers = itertools.count()


@contextmanager
def _running(root: Path, folder: Path, shown: Mapping[str, Path]) -> Iterator[Machine]:
    name = f"slmc-test-{os.getpid()}-{next(_numbers)}"
    groups = _cgroups(name)
    # A cgroup of its own, cgroup v2 and bpf: without them systemd does not enforce IPAddressDeny= and says nothing.
    script = 'for group; do echo $$ > "$group/cgroup.procs"; done; exec "$NSPAWN" --directory="$ROOT" '
    script += '--machine="$NAME" '
    script += "$SHOWN --keep-unit --register=no --console=read-only --capability=all --private-network "
    script += "--system-call-filter='bpf @keyring perf_event_open @module' --boot"
    environment = {"PATH": os.environ["PATH"], "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"} | {
        "NSPAWN": tool("systemd-nspawn"), "ROOT": str(root), "NAME": name,
        "SHOWN": " ".join(f"--bind-ro={path}:{there}" for there, path in shown.items()),
    }  # fmt: skip
    with (folder / "console").open("wb") as console:
        nspawn = subprocess.Popen(
            ["bash", "-c", script, "bash", *map(str, groups)],
            env=environment, stdin=subprocess.DEVNULL, stdout=console, stderr=console, start_new_session=True,
        )  # fmt: skip
        machine = None
        try:
            machine = Machine(root, _leader(groups[0], nspawn, folder / "console"))
            with _cable(machine):
                yield machine
            os.kill(machine.leader, signal.SIGRTMIN + 4)  # power off
            nspawn.wait(_PATIENCE)
        finally:
            if machine is not None and nspawn.poll() is None:
                os.kill(machine.leader, signal.SIGKILL)
            nspawn.kill()
            nspawn.wait()
            for group in groups:
                _remove(group)


def _output(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)


def _root(folder: Path) -> Path:
    """A root file system that has all its programs from the /usr of this machine."""
    root = folder / "root"
    for name in ("usr", "etc/systemd/system", "var/lib", "proc", "sys", "dev", "run", "tmp", "root", "opt"):
        (root / name).mkdir(parents=True)
    for name in ("bin", "sbin", "lib", "lib64"):
        if not Path("/", name).is_symlink():
            absent("programs are not all in /usr")
        (root / name).symlink_to(f"usr/{name}")
    for name in ("passwd", "group", "nsswitch.conf", "os-release"):
        shutil.copyfile(Path("/etc", name), root / "etc" / name)
    (root / "etc/machine-id").touch()
    return root


def _cgroups(name: str) -> list[Path]:
    """New cgroups for the machine: in cgroup v2, and in systemd's own hierarchy where there is one beside it."""
    found = [_CGROUPS / "unified", _CGROUPS / "systemd"] if (_CGROUPS / "unified").is_dir() else [_CGROUPS]
    groups = [folder / name for folder in found if (folder / "cgroup.procs").exists()]
    try:
        for group in groups:
            group.mkdir()
    except OSError as error:
        absent(f"{error.filename} cannot be made: {error.strerror}")
    return groups or absent("there is no cgroup v2")


def _leader(group: Path, nspawn: subprocess.Popen[bytes], console: Path) -> int:
    """PID 1 of the machine, once it has booted."""
    deadline = time.monotonic() + _PATIENCE
    state = "not there"
    while time.monotonic() < deadline and nspawn.poll() is None:
        found = group / "payload/init.scope/cgroup.procs"
        if found.exists() and (pids := found.read_text().split()):
            state = Machine(group, int(pids[0])).run("systemctl", "is-system-running").stdout.strip()
            if state in ("running", "degraded"):
                return int(pids[0])
        time.sleep(0.1)
    raise AssertionError(f"The machine is {state}.\n{console.read_text(errors='replace')}")


@contextmanager
def _cable(machine: Machine) -> Iterator[None]:
    """A link from the machine (192.0.2.1) to a network namespace with a web server at FAR."""
    far = subprocess.Popen([tool("unshare"), "--net", "sleep", "infinity"])
    near_side, far_side = (f"nsenter --target={pid} --net " for pid in (machine.leader, far.pid))
    server = None
    try:
        while Path(f"/proc/{far.pid}/ns/net").readlink() == Path("/proc/self/ns/net").readlink():
            time.sleep(0.01)
        for command in (
            f"{near_side} {tool('ip')} link add cable type veth peer name far netns {far.pid}",
            f"{near_side} {tool('ip')} address add 192.0.2.1/24 dev cable",
            f"{near_side} {tool('ip')} link set cable up",
            f"{far_side} {tool('ip')} address add {FAR}/24 dev far",
            f"{far_side} {tool('ip')} link set far up",
        ):
            done = _output(*command.split())
            assert done.returncode == 0, done.stderr
        serve = [*far_side.split(), sys.executable, "-m", "http.server", "--bind", FAR, "8000"]
        server = subprocess.Popen(serve, cwd=machine.root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        yield
    finally:
        for process in (server, far):
            if process is not None:
                process.kill()
                process.wait()


def _remove(group: Path) -> None:
    """After a machine that did not power off, its processes are on their way out for a moment."""
    deadline = time.monotonic() + _PATIENCE
    for folder, _, _ in os.walk(group, topdown=False):
        while True:
            try:
                Path(folder).rmdir()
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
