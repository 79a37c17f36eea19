"""Where the desired state comes from and when: Git by path and by HTTP, a USB stick, shards, windows, two at once."""

from __future__ import annotations

import shutil
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.agent.conftest import Scene
from tests.agent.servers import GitOverHttp, served
from tests.agent.shop import COHORT, DEVICE, FOLDER, PLACE, WEIGHTS, Workspace, hex_of
from tests.agent.test_transfer import oci_layout


def outcome(scene: Scene, *words: str) -> tuple[int, str, str | None]:
    """Sync: exit code, result, the bundle that serves."""
    code, _ = scene.device.sync(*words)
    return code, scene.device.status["result"], scene.device.status["bundle"]


def test_git_over_http(scene: Scene) -> None:
    first = scene.release(scene.bundle(), 1)
    with served(GitOverHttp(scene.workspace.folder.parent)) as port:
        scene.device.configure(SOURCE=f"http://127.0.0.1:{port}/workspace/.git")
        assert outcome(scene) == (0, "deployed", first.id)
        second = scene.release(scene.bundle("# second\n"), 2)
        assert outcome(scene) == (0, "deployed", second.id)
    assert outcome(scene) == (3, "unreachable", second.id)
    assert scene.device.status["healthy"]


def test_the_copy_of_the_repository_stays_shallow_and_loses_what_is_no_longer_there(scene: Scene) -> None:
    scene.release(scene.bundle(), 1)
    scene.workspace.git("checkout", "--quiet", "-b", "stable")
    scene.device.configure(BRANCH="stable")
    assert scene.device.sync()[0] == 0
    scene.workspace.git("commit", "--quiet", "--amend", "--allow-empty", "--message", "Another history")
    assert scene.device.sync()[0] == 0
    assert scene.device.status["revision"] == scene.workspace.revision("stable")
    repository = scene.device.root / "var/lib/slmc/state/repository"
    count = subprocess.run(
        ["git", "--git-dir", repository, "rev-list", "--all", "--count"], check=True, capture_output=True, text=True
    )
    assert count.stdout == "1\n"


@pytest.mark.parametrize("damage", ["HEAD", "objects", "refs", "config", "shallow.lock"])
def test_a_damaged_copy_of_the_repository(scene: Scene, damage: str) -> None:
    scene.release(scene.bundle(), 1)
    assert scene.device.sync()[0] == 0
    path = scene.device.root / "var/lib/slmc/state/repository" / damage
    if path.is_dir():
        for file in [file for file in path.rglob("*") if file.is_file()]:
            file.chmod(0o644)
            file.write_bytes(b"")
    else:
        path.write_bytes(b"")
    second = scene.release(scene.bundle("# second\n"), 2)
    assert outcome(scene) == (0, "deployed", second.id)


def test_a_damaged_copy_of_a_commit_that_stays(scene: Scene) -> None:
    """Git finds the commit there and fetches nothing; the sync after that has a new copy."""
    found = scene.release(scene.bundle(), 1)
    assert scene.device.sync()[0] == 0
    objects = scene.device.root / "var/lib/slmc/state/repository/objects"
    for file in [file for file in objects.rglob("*") if file.is_file()]:
        file.chmod(0o644)
        file.write_bytes(file.read_bytes()[:20])
    codes = {scene.device.sync()[0] for _ in range(2)}
    assert codes <= {0, 3}
    assert outcome(scene) == (0, "unchanged", found.id)


def test_a_workspace_inside_of_a_repository(scene: Scene, tmp_path: Path) -> None:
    outer = Workspace(tmp_path / "outer" / "workspace")
    found = scene.release(scene.bundle(), 1)
    shutil.copytree(scene.workspace.folder, outer.folder / "fleets/eu", ignore=shutil.ignore_patterns(".git"))
    outer.commit()
    scene.device.configure(SOURCE=str(outer.folder), WORKSPACE="fleets/eu")
    assert outcome(scene) == (0, "deployed", found.id)
    scene.device.configure(WORKSPACE="fleets/us")
    assert outcome(scene) == (4, "refused", found.id)


def shard(name: str, digits: int) -> str:
    return "/".join(hex_of(name.encode())[:digits])


@pytest.mark.parametrize("digits", [1, 2])
def test_shards_of_devices_and_of_cohorts(scene: Scene, digits: int) -> None:
    found = scene.bundle()
    scene.registry.blobs |= {hex_of(data): data for data in found.artifact.values()}
    (scene.workspace.folder / "deploy/shops/devices.csv").unlink()
    row = f"id,class,cohort,TILL\n{DEVICE}0,pi,other,No. 0\n{DEVICE},pi,{COHORT},No. 9\n"
    scene.workspace.put(f"deploy/shops/devices/{shard(DEVICE, digits)}.csv", row.encode())
    scene.workspace.release(found, 1, place=f"shops/cohorts/{shard(COHORT, digits)}/{COHORT}/systemd")
    assert outcome(scene) == (0, "deployed", found.id)
    assert (scene.device.root / "etc/slmc/device.env").read_bytes() == b"TILL='No. 9'\n"


def stick(scene: Scene, folder: Path) -> Path:
    """The workspace without `.git`, and its artifacts, as they are copied to a stick."""
    shutil.copytree(scene.workspace.folder, folder, ignore=shutil.ignore_patterns(".git"))
    return folder


def test_a_usb_stick_brings_everything(scene: Scene, tmp_path: Path) -> None:
    found = scene.release(scene.bundle(), 1)
    folder = stick(scene, tmp_path / "stick")
    oci_layout(folder / "artifacts", found)
    scene.device.configure(SOURCE=f"file://{folder}", ARTIFACTS=f"file://{folder}/artifacts", METERED="yes")
    assert outcome(scene) == (0, "deployed", found.id)
    assert (scene.device.status["revision"], scene.registry.asked) == (None, [])
    shutil.rmtree(folder)
    assert outcome(scene) == (3, "unreachable", found.id)


def test_a_stick_in_the_place_of_a_metered_network(scene: Scene, tmp_path: Path) -> None:
    first = scene.release(scene.bundle(), 1)
    assert outcome(scene) == (0, "deployed", first.id)
    second = scene.release(scene.bundle("# second\n", {"model.onnx": b"second"}, folder="2" * 64), 2)
    scene.device.configure(METERED="yes", WORKSPACE="fleets/eu", SOURCE="http://127.0.0.1:1/x.git")
    scene.registry.asked.clear()
    assert outcome(scene) == (0, "metered", first.id)
    folder = stick(scene, tmp_path / "stick")
    assert outcome(scene, "--from", str(folder)) == (0, "metered", first.id)
    oci_layout(folder / "artifacts", second)
    assert outcome(scene, "--from", str(folder)) == (0, "deployed", second.id)
    assert scene.registry.asked == []


def test_a_stick_with_links_that_lead_out_of_it(scene: Scene, tmp_path: Path) -> None:
    scene.release(scene.bundle(), 1)
    folder = stick(scene, tmp_path / "stick")
    unit = folder / "deploy" / PLACE / "slmc-counter.service"
    unit.rename(tmp_path / "outside")
    unit.symlink_to(tmp_path / "outside")
    assert outcome(scene, "--from", str(folder)) == (4, "refused", None)


def at(minutes: int) -> str:
    return (datetime.now(UTC) + timedelta(minutes=minutes)).strftime("%H:%M")


def test_the_maintenance_window(scene: Scene) -> None:
    """Windows of hours around now, so that no minute matters."""
    found = scene.release(scene.bundle(), 1)
    closed = f"{at(120)}-{at(-120)}"
    scene.device.configure(WINDOW=closed)
    assert scene.device.sync() == (0, f"slmc-agent: outside-window: the window is {closed} UTC\n")
    assert (scene.device.status["bundle"], scene.device.status["lastContact"]) == (None, None)
    assert outcome(scene, "--now") == (0, "deployed", found.id)
    scene.device.configure(WINDOW=f"{at(-120)}-{at(120)}")
    assert outcome(scene) == (0, "unchanged", found.id)


def test_a_window_is_not_open_by_a_clock_that_stands_behind(scene: Scene) -> None:
    found = scene.release(scene.bundle(), 1)
    assert outcome(scene) == (0, "deployed", found.id)
    accepted = scene.device.root / "var/lib/slmc/state/accepted"
    accepted.write_text(f"{PLACE} 1 {found.id} 4000000000\n")
    scene.device.configure(WINDOW=f"{at(-120)}-{at(120)}")
    assert outcome(scene) == (0, "outside-window", found.id)
    assert outcome(scene, "--now") == (0, "unchanged", found.id)


def test_of_two_at_once_the_second_ends(scene: Scene, tmp_path: Path) -> None:
    found = scene.release(scene.bundle(), 1)
    slow, go = tmp_path / "slow", tmp_path / "go"
    slow.mkdir()
    real = shutil.which("git")
    (slow / "git").write_text(f'#!/bin/sh\nuntil [ -e {go} ]; do sleep 0.05; done\nexec {real} "$@"\n')
    (slow / "git").chmod(0o755)
    scene.device.path = [slow, *scene.device.path]
    first = scene.device.start("sync")
    while not (scene.device.root / "var/lib/slmc/state/scratch").exists():
        assert first.poll() is None
        time.sleep(0.05)
    assert scene.device.sync() == (0, "slmc-agent: another sync is at work\n")
    go.touch()
    first.communicate(timeout=60)
    assert (first.returncode, scene.device.status["bundle"]) == (0, found.id)


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [(key, None, f"{key} is missing in ") for key in ("DEVICE", "FLEET", "TARGET", "SOURCE", "ARTIFACTS", "SIGNERS")]
    + [
        ("DEVICE", "../x", "DEVICE=../x in "),
        ("FLEET", "", "FLEET= in "),
        ("SOURCE", "--upload-pack=x", "SOURCE=--upload-pack=x in "),
        ("BRANCH", "a..b", "BRANCH=a..b in "),
        ("WORKSPACE", "../x", "WORKSPACE=../x in "),
        ("ARTIFACTS", "ftp://host/x", "ARTIFACTS=ftp://host/x in "),
        ("ARTIFACTS", "oci+https://host", "ARTIFACTS=oci+https://host in "),
        ("SIGNERS", "/etc/slmc/none", "SIGNERS=/etc/slmc/none in "),
        ("WINDOW", "22:00-24:00", "WINDOW=22:00-24:00 in "),
        ("METERED", "true", "METERED=true in "),
        ("TIMEOUT", "0", "TIMEOUT=0 in "),
        ("TIMEOUT", "2 minutes", "TIMEOUT=2 minutes in "),
        ("KEEP", "0", "KEEP=0 in "),
        ("WINDOWS", "22:00-23:00", "WINDOWS=22:00-23:00 in "),
        ("# a comment\nBRANCH", "main\nBRANCH=main", "BRANCH is set twice in "),
        ("BRANCH", "main\nno key", "`no key` in "),
        ("DEVICE", f"{DEVICE}\t", f"DEVICE={DEVICE}\t in "),
    ],
)
def test_a_malformed_configuration_says_which_key(scene: Scene, key: str, value: str | None, reason: str) -> None:
    first = scene.release(scene.bundle(), 1)
    if value is None:
        del scene.device.settings[key]
        scene.device.configure()
    else:
        scene.device.configure(**{key: value})
    code, said = scene.device.sync()
    where = scene.device.root / "etc/slmc/agent.conf"
    assert (code, said[: len(f"slmc-agent: misconfigured: {reason}{where}")]) == (
        2,
        f"slmc-agent: misconfigured: {reason}{where}",
    )
    assert (scene.device.status["result"], scene.device.status["exitCode"]) == ("misconfigured", 2)
    assert first.id not in str(scene.device.tree)


def test_nothing_in_a_configuration_is_run(scene: Scene, tmp_path: Path) -> None:
    for value in (f"$(touch {tmp_path}/run)", f"`touch {tmp_path}/run`", f"x;touch {tmp_path}/run"):
        scene.device.configure(DEVICE=value)
        assert scene.device.sync()[0] == 2
    assert not (tmp_path / "run").exists()


def test_no_configuration(scene: Scene) -> None:
    (scene.device.root / "etc/slmc/agent.conf").unlink()
    assert scene.device.sync()[0] == 2


def test_what_is_deployed_is_verified(scene: Scene) -> None:
    first = scene.release(scene.bundle(), 1)
    assert scene.device.sync()[0] == 0

    def verified() -> tuple[int, list[str]]:
        done = scene.device.start("verify")
        said, _ = done.communicate(timeout=60)
        return done.returncode, said.splitlines()

    code, lines = verified()
    assert (code, {line.split()[0] for line in lines}, len(lines)) == (0, {"ok"}, 7)
    weights = scene.device.root / f"var/lib/slmc/artifacts/{FOLDER}/model.onnx"
    weights.write_bytes(WEIGHTS[:-1])
    code, lines = verified()
    assert (code, [line for line in lines if "FAILED" in line]) == (4, [f"FAILED  artifact {FOLDER}/model.onnx"])
    (scene.device.root / "etc/slmc/allowed_signers").write_text(scene.workspace.signers("stranger"))
    code, lines = verified()
    assert (code, lines[0]) == (4, f"FAILED  release {first.id} is signed by a key of /etc/slmc/allowed_signers")
