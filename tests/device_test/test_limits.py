"""Control groups: where one can be made, and that what they hold is held."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from compiler.testing import limits
from compiler.testing.control import Parent, parents
from compiler.testing.limits import limited

MIB = 2**20
_EATER = "import sys; x = bytearray(int(sys.argv[1])); print(len(x))"


def ran(limits: limits.Limits, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(limits.command(words), capture_output=True, text=True, check=False)


def test_memory_and_processor_time_are_held(holding: None) -> None:
    with limited(64 * MIB, 3) as held:
        assert (held.unenforced, held.killed) == (None, False)
        inside = ran(held, "cat", "/proc/self/cgroup").stdout
        folders = [folder for folder, _ in held._folders.values()]
        assert all(f"/{folder.name}\n" in inside for folder in folders)
        assert ran(held, "python3", "-c", _EATER, str(4 * MIB)).stdout == f"{4 * MIB}\n"
        assert not held.killed
        assert ran(held, "python3", "-c", _EATER, str(100 * MIB)).returncode == -9
        assert held.killed
        assert held.peak is not None
        assert 60 * MIB < held.peak <= 64 * MIB
        quotas = [
            text.split()[0]
            for folder in folders
            for name in ("cpu.max", "cpu.cfs_quota_us")
            if (folder / name).exists()
            for text in [(folder / name).read_text()]
        ]
        assert quotas == ["300000"]
    assert not [folder for folder in folders if folder.exists()]


def test_a_command_with_odd_words_stays_as_it_is(holding: None) -> None:
    words = ("printf", "%s|", "a b", "--", "$HOME", "'")
    with limited(64 * MIB, 1) as held:
        assert ran(held, *words).stdout == "a b|--|$HOME|'|"
    assert ran(limits.Limits(), *words).stdout == "a b|--|$HOME|'|"


def tree(folder: Path, given: dict[str, str]) -> Path:
    """Groups of version 2: what each gives to its children, by path."""
    for path, controllers in given.items():
        (folder / path).mkdir(parents=True, exist_ok=True)
        (folder / path / "cgroup.subtree_control").write_text(f"{controllers}\n")
        (folder / path / "cgroup.procs").write_text("")
    return folder


def mount(folder: Path, root: str = "/") -> str:
    return (
        "21 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n"
        f"30 21 0:26 {root} {folder} rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
    )


def test_the_nearest_group_that_gives_controllers(tmp_path: Path) -> None:
    session = "user.slice/user-1000.slice/user@1000.service/app.slice"
    folder = tree(
        tmp_path, {"": "cpu memory pids", "user.slice": "memory", session: "cpu memory", f"{session}/shell.scope": ""}
    )
    found = parents(mount(folder), f"0::/{session}/shell.scope\n")
    assert found == [Parent(folder / session, 2, ("memory", "cpu"))]


def test_a_group_that_gives_memory_alone(tmp_path: Path) -> None:
    folder = tree(tmp_path, {"": "", "job": "memory pids", "job/step": ""})
    assert parents(mount(folder), "0::/job/step\n") == [Parent(folder / "job", 2, ("memory",))]


def test_a_group_further_up_that_gives_both(tmp_path: Path) -> None:
    folder = tree(tmp_path, {"": "cpu memory", "user.slice": "memory pids", "user.slice/shell.scope": ""})
    assert parents(mount(folder), "0::/user.slice/shell.scope\n") == [Parent(folder, 2, ("memory", "cpu"))]


def test_no_group_gives_controllers(tmp_path: Path) -> None:
    folder = tree(tmp_path, {"": "", "job": "cpu"})
    assert parents(mount(folder), "0::/job\n") == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_group_of_somebody_else(tmp_path: Path) -> None:
    folder = tree(tmp_path, {"": "cpu memory"})
    folder.chmod(0o555)
    assert parents(mount(folder), "0::/\n") == []


def test_what_a_container_sees_of_version_2(tmp_path: Path) -> None:
    """It mounts its own part of the tree, and may name groups that it does not see."""
    folder = tree(tmp_path, {"": "cpu memory", "inner": ""})
    expected = [Parent(folder, 2, ("memory", "cpu"))]
    assert parents(mount(folder, "/docker/17"), "0::/docker/17/inner\n") == expected
    assert parents(mount(folder), "0::/docker/17\n") == expected
    assert parents(mount(folder), "0::/../../elsewhere\n") == expected


def test_version_1_has_a_tree_for_each_controller(tmp_path: Path) -> None:
    (tmp_path / "memory" / "job" / "7").mkdir(parents=True)
    (tmp_path / "cpu,cpuacct").mkdir()
    mounts = (
        f"31 21 0:27 / {tmp_path}/unified rw - cgroup2 cgroup2 rw\n"
        f"32 21 0:28 / {tmp_path}/memory rw - cgroup cgroup rw,memory\n"
        f"33 21 0:29 / {tmp_path}/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    )
    assert parents(mounts, "4:memory:/job/7\n1:cpu,cpuacct:/\n0::/\n") == [
        Parent(tmp_path / "memory" / "job" / "7", 1, ("memory",)),
        Parent(tmp_path / "cpu,cpuacct", 1, ("cpu",)),
    ]


def test_what_is_written_to_version_2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files, by name, as cgroup-v2.rst has them."""
    group = tree(tmp_path, {"group": ""}) / "group"
    for name in ("memory.max", "memory.swap.max", "cpu.max", "memory.peak"):
        (group / name).write_text("")
    (group / "memory.events").write_text("low 0\nhigh 0\nmax 9\noom 1\noom_kill 1\n")
    (group / "memory.peak").write_text("1048576\n")
    monkeypatch.setattr(tempfile, "mkdtemp", lambda prefix, dir: str(group))
    monkeypatch.setattr(limits, "parents", lambda mounts, groups: [Parent(tmp_path, 2, ("memory", "cpu"))])
    monkeypatch.setattr(limits, "_TRIES", 1)
    with limited(50 * MIB, 2) as held:
        assert {name: (group / name).read_text() for name in ("memory.max", "memory.swap.max", "cpu.max")} == {
            "memory.max": "52428800",
            "memory.swap.max": "0",
            "cpu.max": "200000 100000",
        }
        assert (held.killed, held.peak, held.unenforced) == (True, MIB, None)
        assert held.command(["x"])[4:] == [str(group / "cgroup.procs"), "--", "x"]


@pytest.mark.parametrize(
    ("controllers", "expected"),
    [
        (("memory",), "processor time: this user may make no control group here"),
        ((), "memory and processor time: this user may make no control group here"),
    ],
)
def test_what_does_not_hold_is_said(
    controllers: Sequence[str], expected: str, monkeypatch: pytest.MonkeyPatch, holding: None
) -> None:
    known = parents(*(Path(f"/proc/self/{name}").read_text() for name in ("mountinfo", "cgroup")))
    some = [
        Parent(one.folder, one.version, tuple(controllers)) for one in known if set(controllers) & set(one.controllers)
    ]
    monkeypatch.setattr(limits, "parents", lambda mounts, groups: some)
    with limited(2**30, 1) as held:
        assert held.unenforced == expected


def test_a_group_that_cannot_be_made_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "parents", lambda mounts, groups: [Parent(tmp_path / "gone", 1, ("memory",))])
    with limited(2**30, 1) as held:
        assert held.unenforced == (
            "memory and processor time: the system refuses a control group (No such file or directory)"
        )
