"""What stays and what goes: rollbacks after the verdict, the agent's own timer, several runs, older releases."""

from __future__ import annotations

import os

from tests.agent.conftest import Scene
from tests.agent.expected import installed, status, tree
from tests.agent.shop import Bundle


def test_a_release_that_served_can_be_rolled_back(scene: Scene) -> None:
    first = scene.release(scene.bundle(), 1)
    assert scene.device.sync()[0] == 0
    second = scene.release(scene.bundle("# second\n"), 2)
    assert scene.device.sync()[0] == 0
    assert scene.device.calls == installed(scene) * 2
    reason = "it was rolled back after it had been accepted"
    came_back = f"{second.id} is bad ({reason}): {first.id} serves again"
    assert scene.device.command("rollback") == (
        8,
        f"slmc-agent: {second.id} is bad: {reason}\nslmc-agent: rolled-back: {came_back}\n",
    )
    assert (scene.device.tree, scene.device.calls) == (tree(scene, first, 1), installed(scene))
    wanted = {"wantedBundle": None, "wantedSerial": None}
    assert scene.device.status == status(
        first, 1, result="rolled-back", reason=came_back, exitCode=8, accepted=None, **wanted
    )
    code, said = scene.device.sync()
    assert (code, said.split(" (")[0]) == (8, f"slmc-agent: known-bad: {second.id} is bad")
    assert scene.device.command("rollback")[0] == 9
    assert (scene.device.tree, scene.device.calls) == (tree(scene, first, 1), [])


def test_the_timer_of_the_agent_outlives_the_bundle_that_brought_it(scene: Scene) -> None:
    """Else a device whose first release is bad would never look for a second one."""
    timer = {"slmc-sync.timer": b"[Timer]\nOnBootSec=1\n", "slmc-sync.service": b"[Service]\nExecStart=/bin/true\n"}
    found = scene.bundle("# fails\n")
    install = "".join(f"{name}\t/etc/systemd/system/{name}\t0644\n" for name in timer).encode()
    files = {
        **found.files,
        **timer,
        "install.tsv": found.files["install.tsv"] + install,
        "units.tsv": found.files["units.tsv"] + b"slmc-sync.timer\ttimer\t\n",
    }
    scene.release(Bundle(files, found.artifact), 1)
    assert scene.device.sync()[0] == 9
    units = scene.device.root / "etc/systemd/system"
    assert {path.name: path.read_bytes() for path in units.iterdir()} == timer
    assert [call for call in scene.device.calls if "sync" in call] == [
        "enable slmc-sync.timer",
        "start slmc-sync.timer",
    ]
    second = scene.release(scene.bundle(), 2)
    assert scene.device.sync()[0] == 0
    assert scene.device.tree == tree(scene, second, 2) | {
        f"etc/systemd/system/{name}": data for name, data in timer.items()
    } | {"running/slmc-sync.timer": scene.device.tree["running/slmc-sync.timer"]}


def test_all_runs_of_a_release_go_back_when_one_is_bad(scene: Scene) -> None:
    def with_second_run(found: Bundle, unit: bytes) -> Bundle:
        """A run without a URL beside the one that has it."""
        more = {
            "slmc-office.service": unit,
            "install.tsv": found.files["install.tsv"]
            + b"slmc-office.service\t/etc/systemd/system/slmc-office.service\t0644\n",
            "units.tsv": found.files["units.tsv"] + b"slmc-office.service\trun\t\n",
        }
        return Bundle({**found.files, **more}, found.artifact)

    first = scene.release(with_second_run(scene.bundle(), b"[Service]\nExecStart=/bin/true\n"), 1)
    assert scene.device.sync()[0] == 0
    before = scene.device.tree
    assert before["running/slmc-office.service"] == first.id.encode()
    scene.release(with_second_run(scene.bundle("# new\n"), b"# fails\n"), 2)
    assert scene.device.sync()[0] == 8
    assert (scene.device.tree, scene.device.status["healthy"]) == (before, True)
    third = scene.release(scene.bundle("# third\n"), 3)
    assert scene.device.sync()[0] == 0
    assert scene.device.tree == tree(scene, third, 3, (first, 1))
    assert "disable --now slmc-office.service" in scene.device.calls


def test_more_releases_are_kept_where_the_device_is_told_to(scene: Scene) -> None:
    scene.device.configure(KEEP="2")
    ids = []
    for serial in range(1, 5):
        ids.append(scene.release(scene.bundle(f"# {serial}\n", folder=str(serial) * 64), serial).id)
        assert scene.device.sync()[0] == 0
        os.utime(scene.device.root / f"var/lib/slmc/releases/{ids[-1]}", (serial, serial))
    data = scene.device.root / "var/lib/slmc"
    assert {path.name for path in (data / "releases").iterdir()} == set(ids[1:])
    assert {path.name for path in (data / "artifacts").iterdir()} == {"2" * 64, "3" * 64, "4" * 64}
