"""What a kill, a read-only folder and a full disk leave behind: the old tree or the new one, never a mixture."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from compiler.cli.main import run
from tests.tools import absent
from tests.tree import generated, tree

_KILLED = """
import os, signal, sys
from compiler.base import files
left = int(sys.argv[1])
def counted(function):
    def call(*arguments, **options):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **options)
    return call
os.replace, os.fsync = counted(os.replace), counted(os.fsync)
files.Path.unlink = counted(files.Path.unlink)
from compiler.cli.main import run
sys.exit(run(["compile", sys.argv[2]]))
"""
"""Ends itself with SIGKILL before the n-th fsync, rename or removal."""


def _halve(workspace: Path) -> None:
    """An edit that creates, updates and removes files."""
    blueprint = workspace / "hello.slmc.yaml"
    text = blueprint.read_text()
    changed = text.replace("targets: [systemd, container, kubernetes]", "targets: [systemd, kubernetes]")
    assert changed != text
    blueprint.write_text(changed.replace("threads: 2", "threads: 3"))


@pytest.mark.slow
def test_kill_at_every_write_is_followed_by_a_clean_compile(hello: Path, tmp_path: Path) -> None:
    assert run(["compile", str(hello)]) == 0
    old = Path(shutil.copytree(hello, tmp_path / "old"))
    _halve(hello)
    assert run(["compile", str(hello)]) == 0
    wanted = generated(hello)
    blueprint = old / "hello.slmc.yaml"
    blueprint.write_text((hello / "hello.slmc.yaml").read_text())
    kills = 0
    for n in range(1, 1000, 2):
        workspace = Path(shutil.copytree(old, tmp_path / "new", dirs_exist_ok=False))
        killed = subprocess.run(
            [sys.executable, "-c", _KILLED, str(n), str(workspace)], capture_output=True, check=False
        )
        finished = killed.returncode != -signal.SIGKILL
        kills += not finished
        assert run(["compile", str(workspace)]) == 0
        assert generated(workspace) == wanted
        assert not [name for name in tree(workspace) if ".slmc-" in name]
        shutil.rmtree(workspace)
        if finished:
            break
    assert kills > 10


@pytest.mark.slow
def test_second_kill_does_not_make_the_first_one_s_files_foreign(hello: Path) -> None:
    assert run(["compile", str(hello)]) == 0
    wanted = generated(hello)
    shutil.rmtree(hello / "deploy")
    (hello / "slmc.lock").unlink()
    for n in (20, 50, 60, 62, 63, 64, 65, 66, 68, 35):
        subprocess.run([sys.executable, "-c", _KILLED, str(n), str(hello)], capture_output=True, check=False)
    assert run(["compile", str(hello)]) == 0
    assert generated(hello) == wanted


def _in_own_mounts(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `script` where it may mount file systems that nobody else sees."""
    unshare = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "--map-root-user"]
    if subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode != 0:
        absent("this machine allows no mount namespaces")
    command = [*unshare, "bash", "-c", script, sys.executable, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_read_only_output(hello: Path) -> None:
    assert run(["compile", str(hello)]) == 0
    _halve(hello)
    before = tree(hello)
    script = 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && "$0" -m compiler.cli compile "$1"'
    done = _in_own_mounts(script, str(hello))
    assert done.returncode == 1
    assert "SLM902 cannot-write" in done.stderr
    assert "Traceback" not in done.stderr
    assert tree(hello) == before


@pytest.mark.parametrize("size", ["8k", "32k", "128k"])
def test_full_disk(hello: Path, size: str) -> None:
    assert run(["compile", str(hello)]) == 0
    (hello / "out").mkdir()
    script = (
        f'mount -t tmpfs -o size={size} tmpfs "$1/out" && "$0" -m compiler.cli compile "$1" --out "$1/out"; '
        'code=$?; find "$1/out" -type f; exit $code'
    )
    done = _in_own_mounts(script, str(hello))
    assert done.returncode == 5
    assert "SLM903 disk-full" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("size", ["1m", "11m", "16m"])
def test_full_disk_of_the_store(hello: Path, size: str) -> None:
    """Before a step begins, while it writes its 9 MiB, and while it writes them a second time."""
    (hello / "store").mkdir()
    script = (
        f'mount -t tmpfs -o size={size} tmpfs "$1/store" && '
        'SLMC_STORE="$1/store" "$0" -m compiler.cli compile "$1"; code=$?; ls -d "$1"/store/.slmc-*; exit $code'
    )
    done = _in_own_mounts(script, str(hello))
    assert done.stdout == ""
    assert done.returncode == 5
    assert "SLM903 disk-full" in done.stderr
    assert generated(hello) == {}
