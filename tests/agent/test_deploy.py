"""A device from nothing over releases good and bad: what is on it, what systemd was asked, what it reports."""

from __future__ import annotations

import platform

import pytest

from tests.agent.conftest import Scene
from tests.agent.expected import installed, status, tree
from tests.agent.shop import COHORT, DEVICE, FOLDER, TOKENS, WEIGHTS


def test_fresh_install(scene: Scene) -> None:
    first = scene.release(scene.bundle(), 1)
    assert scene.device.sync() == (0, f"slmc-agent: trying {first.id}, serial 1\nslmc-agent: deployed\n")
    assert scene.device.tree == tree(scene, first, 1)
    assert scene.device.calls == installed(scene)
    assert scene.device.status == status(
        first, 1, revision=scene.workspace.head, downloadedBytes=len(WEIGHTS) + len(TOKENS)
    )


def test_another_shell_does_the_same(scene: Scene) -> None:
    scene.device.shell = ("bash", "--posix")
    scene.device.configure(TIMEOUT="4")
    first = scene.release(scene.bundle(), 1)
    assert scene.device.sync()[0] == 0
    assert (scene.device.tree, scene.device.calls) == (tree(scene, first, 1), installed(scene))
    scene.release(scene.bundle("# fails\n", {"model.onnx": b"bad"}, folder="b" * 64), 2)
    assert scene.device.sync()[0] == 8
    assert (scene.device.tree, scene.device.calls) == (tree(scene, first, 1), installed(scene) * 2)


def test_a_server_of_others_is_known_by_its_status(scene: Scene) -> None:
    """llama.cpp's, for one, does not say the bundle's id."""
    scene.device.configure(TIMEOUT="4")
    scene.health.foreign = True
    first = scene.release(scene.bundle(by="status"), 1)
    assert scene.device.sync()[0] == 0
    scene.device.calls.clear()
    assert scene.device.sync() == (0, "slmc-agent: unchanged\n")
    bad = scene.release(scene.bundle("# broken\n", {"model.onnx": b"bad"}, folder="b" * 64, by="status"), 2)
    reason = "slmc-counter.service did not answer that it is ready within 4 seconds"
    code, said = scene.device.sync()
    assert (code, said.splitlines()[-1]) == (
        8,
        f"slmc-agent: rolled-back: {bad.id} is bad ({reason}): {first.id} serves again",
    )
    verified = scene.device.start("verify")
    assert verified.communicate(timeout=60)[0].splitlines()[-1] == "ok      every run answers as this bundle"


def test_second_release_takes_what_is_there_and_removes_what_is_no_longer_installed(scene: Scene) -> None:
    first = scene.release(scene.bundle(more={"old.conf": b"old"}), 1)
    assert scene.device.sync()[0] == 0
    new = "f" * 64
    second = scene.release(
        scene.bundle("# new\n", {"model.onnx": b"other", "tokens.json": TOKENS}, {"new.conf": b"new"}, new), 2
    )
    assert scene.device.calls == installed(scene)
    assert scene.device.sync()[0] == 0
    assert scene.device.tree == tree(scene, second, 2, (first, 1), (new, FOLDER))
    assert (scene.device.root / "etc/slmc/new.conf").stat().st_mode & 0o777 == 0o600
    assert scene.device.status == status(second, 2, revision=scene.workspace.head, downloadedBytes=len(b"other"))
    assert scene.device.calls == installed(scene)


def test_a_third_release_leaves_the_second_and_nothing_of_the_first(scene: Scene) -> None:
    scene.release(scene.bundle(folder="1" * 64), 1)
    assert scene.device.sync()[0] == 0
    second = scene.release(scene.bundle("# second\n", {"model.onnx": b"second"}, folder="2" * 64), 2)
    assert scene.device.sync()[0] == 0
    third = scene.release(scene.bundle("# third\n", {"model.onnx": b"third"}, folder="3" * 64), 3)
    assert scene.device.sync()[0] == 0
    assert scene.device.tree == tree(scene, third, 3, (second, 2), ("3" * 64, "2" * 64))


def test_an_unrelated_commit_changes_and_asks_nothing(scene: Scene) -> None:
    first = scene.release(scene.bundle(), 1)
    assert scene.device.sync()[0] == 0
    before, _ = scene.device.tree, scene.device.calls
    accepted = (scene.device.root / "var/lib/slmc/state/accepted").read_bytes()
    scene.registry.asked.clear()
    scene.workspace.put("deploy/shops/other/systemd/file", b"of another cohort")
    scene.workspace.commit()
    assert scene.device.sync() == (0, "slmc-agent: unchanged\n")
    assert (scene.device.tree, scene.device.calls, scene.registry.asked) == (before, [], [])
    assert (scene.device.root / "var/lib/slmc/state/accepted").read_bytes() == accepted
    assert scene.device.status == status(first, 1, revision=scene.workspace.head, result="unchanged")


def test_a_broken_release_is_rolled_back_and_not_tried_again(scene: Scene) -> None:
    scene.device.configure(TIMEOUT="4")
    first = scene.release(scene.bundle(), 1)
    assert scene.device.sync()[0] == 0
    before, _ = scene.device.tree, scene.device.calls
    bad = scene.release(scene.bundle("# broken\n", {"model.onnx": b"bad"}, {"new.conf": b"new"}, "b" * 64), 2)
    reason = "slmc-counter.service did not answer with the bundle's id within 4 seconds"
    came_back = f"{bad.id} is bad ({reason}): {first.id} serves again"
    assert scene.device.sync() == (
        8,
        f"slmc-agent: trying {bad.id}, serial 2\nslmc-agent: {bad.id} is bad: {reason}\n"
        f"slmc-agent: rolled-back: {came_back}\n",
    )
    assert scene.device.tree == before
    assert scene.device.calls == installed(scene) * 2
    wanted = {"wantedBundle": bad.id, "wantedSerial": 2, "exitCode": 8, "revision": scene.workspace.head}
    assert scene.device.status == status(
        first, 1, result="rolled-back", reason=came_back, downloadedBytes=len(b"bad"), **wanted
    )

    left = f"{bad.id} is bad ({reason}): it is not tried again before it is released anew"
    assert scene.device.sync() == (8, f"slmc-agent: known-bad: {left}\n")
    assert (scene.device.tree, scene.device.calls) == (before, [])
    assert scene.device.status == status(first, 1, result="known-bad", reason=left, **wanted)

    scene.workspace.release(bad, 3)
    assert scene.device.sync()[0] == 8
    assert (scene.device.tree, scene.device.calls) == (before, installed(scene) * 2)

    good = scene.release(scene.bundle("# mended\n"), 4)
    assert scene.device.sync()[0] == 0
    assert scene.device.tree == tree(scene, good, 4, (first, 1))


@pytest.mark.parametrize(
    ("mark", "reason"),
    [
        ("# refused", "slmc-counter.service refuses this device: an Assert line of the unit does not hold"),
        ("# fails", "slmc-counter.service did not start"),
    ],
)
def test_a_release_that_does_not_start_is_rolled_back_at_once(scene: Scene, mark: str, reason: str) -> None:
    first = scene.release(scene.bundle(), 1)
    assert scene.device.sync()[0] == 0
    before = scene.device.tree
    bad = scene.release(scene.bundle(f"{mark}\n"), 2)
    code, said = scene.device.sync()
    assert (code, said.splitlines()[-1]) == (
        8,
        f"slmc-agent: rolled-back: {bad.id} is bad ({reason}): {first.id} serves again",
    )
    assert scene.device.tree == before


def test_a_first_release_that_is_broken_leaves_nothing_behind(scene: Scene) -> None:
    bad = scene.release(scene.bundle("# fails\n"), 1)
    assert scene.device.sync()[0] == 9
    state = "var/lib/slmc/state"
    assert {name for name in scene.device.tree if not name.startswith("etc/slmc/")} == {
        f"{state}/{name}" for name in ("installed", "lock", "started-with", "units", "variables")
    }
    assert scene.device.calls == [
        *installed(scene),
        "disable --now slmc-counter.service",
        "disable --now nftables-slmc.service",
        "daemon-reload",
    ]
    assert scene.device.status["bundle"] is None
    code, said = scene.device.sync()
    assert (code, said.split(" is bad")[0]) == (9, f"slmc-agent: known-bad: {bad.id}")


@pytest.mark.parametrize("name", ["slmc-counter.service", "slmc-counter.container"])
def test_a_bundle_for_another_architecture_is_refused_before_anything_is_downloaded(scene: Scene, name: str) -> None:
    other, this = ("arm64", "x86-64") if platform.machine() == "x86_64" else ("x86-64", "arm64")
    unit = f"[Unit]\nAssertArchitecture={other}\n"
    found = scene.bundle(unit) if name.endswith(".service") else scene.bundle(more={name: unit.encode()})
    scene.release(found, 1)
    assert scene.device.sync() == (4, f"slmc-agent: refused: the bundle is for {other}, and this device is {this}\n")
    assert (scene.registry.asked, scene.device.calls) == ([], [])


def test_new_variables_of_the_device_restart_its_runs(scene: Scene) -> None:
    first = scene.release(scene.bundle(), 1)
    assert scene.device.sync()[0] == 0
    assert scene.device.calls == installed(scene)
    scene.workspace.put("deploy/shops/devices.csv", f'id,class,cohort,TILL\n{DEVICE},pi,{COHORT},"a, ""b"""\n'.encode())
    scene.workspace.commit()
    assert scene.device.sync() == (
        0,
        f"slmc-agent: starting {first.id} again\n"
        "slmc-agent: restarted: the variables of the device changed, or a run did not answer\n",
    )
    assert (scene.device.root / "etc/slmc/device.env").read_bytes() == b"""TILL='a, "b"'\n"""
    assert scene.device.calls == installed(scene)
    assert scene.device.sync() == (0, "slmc-agent: unchanged\n")


def test_a_bundle_that_is_released_anew_is_accepted_without_a_restart(scene: Scene) -> None:
    first = scene.release(scene.bundle(), 1)
    assert scene.device.sync()[0] == 0
    assert scene.device.calls == installed(scene)
    scene.release(first, 5)
    assert scene.device.sync() == (0, "slmc-agent: unchanged\n")
    assert (scene.device.calls, scene.device.tree) == ([], tree(scene, first, 5))
    assert scene.device.status == status(first, 5, revision=scene.workspace.head, result="unchanged")


def test_a_run_that_went_away_is_started_again_with_what_was_damaged(scene: Scene) -> None:
    first = scene.release(scene.bundle(), 1)
    assert scene.device.sync()[0] == 0
    assert scene.device.calls == installed(scene)
    scene.device.configure(TIMEOUT="4")
    (scene.device.root / "running/slmc-counter.service").unlink()
    (scene.device.root / f"var/lib/slmc/artifacts/{FOLDER}/model.onnx").write_bytes(b"damaged")
    (scene.device.root / "etc/systemd/system/slmc-counter.service").write_text("edited by hand")
    assert scene.device.sync()[0] == 0
    assert (scene.device.calls, scene.device.tree) == (installed(scene), tree(scene, first, 1))
    assert scene.device.status == status(
        first,
        1,
        revision=scene.workspace.head,
        result="restarted",
        reason="the variables of the device changed, or a run did not answer",
        downloadedBytes=len(WEIGHTS),
    )


def test_the_bundle_before_comes_back_when_it_is_released_anew(scene: Scene) -> None:
    first = scene.release(scene.bundle(), 1)
    assert scene.device.sync()[0] == 0
    second = scene.release(scene.bundle("# second\n"), 2)
    assert scene.device.sync()[0] == 0
    scene.registry.asked.clear()
    scene.release(first, 3)
    assert scene.device.sync()[0] == 0
    assert scene.device.tree == tree(scene, first, 3, (second, 2))
    assert scene.registry.asked == []


def test_a_damaged_release_folder_is_made_anew(scene: Scene) -> None:
    first = scene.release(scene.bundle(), 1)
    assert scene.device.sync()[0] == 0
    (scene.device.root / f"var/lib/slmc/releases/{first.id}/units.tsv").write_text("")
    assert scene.device.sync()[0] == 0
    assert scene.device.tree == tree(scene, first, 1)
