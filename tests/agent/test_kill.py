"""kill -9 at every step: the next sync comes to what an undisturbed one comes to, from the state alone."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from tests.agent.conftest import Scene
from tests.agent.device import Device

STEPS = ("chmod", "cp", "curl", "git", "ln", "mkdir", "mv", "rm", "sleep", "sync", "systemctl")
"""Commands that change something or wait: before each call of one of them the agent's process group is killed once."""

_SHIM = """#!/bin/sh
read -r count <"$STEP_COUNT" || count=0
count=$((count + 1))
echo "$count" >"$STEP_COUNT"
[ "$count" != "$KILL_AT" ] || kill -9 0
exec {real} "$@"
"""

Killed = Callable[..., tuple[Device, int]]


@pytest.fixture
def killed(scene: Scene, tmp_path: Path) -> Killed:
    """Syncs a copy of the device once for each number, and kills the sync before that step; 0 kills nothing.

    Gives the copy, and how many steps the last of them had.
    """
    shims = tmp_path / "shims"
    shims.mkdir()
    for name in STEPS:
        real = str(tmp_path / "stubs" / name) if name == "systemctl" else shutil.which(name)
        (shims / name).write_text(_SHIM.format(real=real))
        (shims / name).chmod(0o755)

    def sync(*steps: int) -> tuple[Device, int]:
        root = tmp_path / f"killed-{'-'.join(map(str, steps))}"
        shutil.copytree(scene.device.root, root, symlinks=True)
        scene.health.root = root
        count = tmp_path / "count"
        device = Device(root, [shims, *scene.device.path], scene.device.settings)
        for at in steps:
            count.write_text("")
            device.start("sync", env={"STEP_COUNT": str(count), "KILL_AT": str(at)}).communicate(timeout=120)
        return Device(root, scene.device.path, scene.device.settings), int(count.read_text())

    return sync


def after(device: Device) -> dict[str, object]:
    """The status without what a sync did by itself."""
    own = ("result", "reason", "downloadedBytes", "exitCode", "revision")
    return {name: value for name, value in device.status.items() if name not in own}


def second_release(scene: Scene, unit: str) -> None:
    """One release is deployed, and another one with this line in its unit, and other files, is wanted."""
    scene.release(scene.bundle(more={"old.conf": b"old"}, folder="1" * 64), 1)
    assert scene.device.sync()[0] == 0
    scene.release(scene.bundle(f"{unit}\n", {"model.onnx": b"new"}, {"new.conf": b"new"}, "2" * 64), 2)


def mended(killed: Killed, wanted: Device, steps: Iterable[int], code: int) -> Iterator[Device]:
    """The device after a kill before each of the steps and one more sync: as `wanted`, which nothing killed."""
    for at in steps:
        device, _ = killed(at)
        ended, said = device.sync()
        assert (at, ended, device.tree, after(device)) == (at, code, wanted.tree, after(wanted)), said
        yield device
        shutil.rmtree(device.root)


@pytest.mark.slow
def test_a_good_release_is_there_after_the_next_sync(scene: Scene, killed: Killed) -> None:
    second_release(scene, "# new")
    wanted, steps = killed(0)
    assert steps > 50
    assert len(list(mended(killed, wanted, range(1, steps + 1), 0))) == steps


@pytest.mark.slow
def test_a_bad_release_is_gone_after_the_next_sync(scene: Scene, killed: Killed) -> None:
    """The first half of the steps is the same as that of a good release."""
    second_release(scene, "# fails")
    wanted, steps = killed(0)
    bad = (wanted.root / "var/lib/slmc/state/bad").read_text().split(" ", 3)
    assert steps > 50
    for device in mended(killed, wanted, range(steps // 2, steps + 1), 8):
        known = (device.root / "var/lib/slmc/state/bad").read_text().split(" ", 3)
        assert (known[:2], known[3]) == (bad[:2], bad[3])


@pytest.mark.slow
def test_a_first_release_is_there_after_the_next_sync(scene: Scene, killed: Killed) -> None:
    """Every fifth step: most of them are those of a second release."""
    scene.release(scene.bundle(), 1)
    wanted, steps = killed(0)
    assert steps > 50
    assert list(mended(killed, wanted, range(1, steps + 1, 5), 0))


@pytest.mark.slow
def test_the_sync_that_mends_may_be_killed_too(scene: Scene, killed: Killed) -> None:
    """Every tenth step of the sync after one that was killed in the middle of its try, or of its way back."""
    second_release(scene, "# fails")
    wanted, steps = killed(0)
    for first in (steps // 2, steps * 3 // 4):
        _, again = killed(first, 0)
        assert again > 20
        for second in range(1, again + 1, 10):
            device, _ = killed(first, second)
            code, said = device.sync()
            assert (first, second, code, device.tree) == (first, second, 8, wanted.tree), said
            shutil.rmtree(device.root)


def test_a_release_that_takes_the_device_down_three_times_is_bad(scene: Scene, killed: Killed, tmp_path: Path) -> None:
    first = scene.release(scene.bundle(), 1)
    assert scene.device.sync()[0] == 0
    before = scene.device.tree
    bad = scene.release(scene.bundle("# takes the device down\n"), 2)
    (tmp_path / "stubs/systemctl").rename(tmp_path / "stubs/systemctl.real")
    deadly = '#!/bin/sh\n[ "$1" != restart ] || ! grep -q down "$SLMC_ROOT"/etc/systemd/system/"$2" || kill -9 0\n'
    (tmp_path / "stubs/systemctl").write_text(f'{deadly}exec "$0.real" "$@"\n')
    (tmp_path / "stubs/systemctl").chmod(0o755)
    assert [scene.device.sync()[0] for _ in range(3)] == [-9, -9, -9]
    code, said = scene.device.sync()
    assert (code, said.splitlines()[-1]) == (
        8,
        f"slmc-agent: rolled-back: {bad.id} is bad (three syncs that tried it were cut off): {first.id} serves again",
    )
    assert scene.device.tree == before
