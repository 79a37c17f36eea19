"""The program itself: what shells and linters say of it, what `slmc agent` and `install` write."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from compiler.cli.main import run as slmc
from tests import tools
from tests.agent.conftest import Scene
from tests.agent.device import AGENT, Device
from tests.conftest import REPOSITORY

LIBRARIES = sorted((AGENT.parent / "lib").glob("*.sh"))
assert LIBRARIES


def written(folder: Path) -> dict[str, tuple[int, bytes]]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_mode & 0o777, path.read_bytes()) for path in sorted(files)
    }


def shipped() -> dict[str, tuple[int, bytes]]:
    libraries = {f"lib/{path.name}": (0o644, path.read_bytes()) for path in LIBRARIES}
    return {**libraries, "slmc-agent": (0o755, AGENT.read_bytes())}


def test_shellcheck_has_nothing_to_say() -> None:
    done = tools.run("shellcheck", "-x", "-a", AGENT, cwd=AGENT.parent.parent)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("file", [AGENT, *LIBRARIES], ids=lambda path: path.name)
def test_a_plain_sh_reads_it(file: Path) -> None:
    assert tools.accepted(tools.run("dash", "-n", file))


def test_files_stay_short() -> None:
    assert {path.name: lines for path in [AGENT, *LIBRARIES] if (lines := path.read_text().count("\n")) > 300} == {}


def test_slmc_agent_writes_the_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "agent"
    (folder / "lib").mkdir(parents=True)
    (folder / "lib/of-an-earlier-version.sh").write_text("")
    assert slmc(["agent", str(folder)]) == 0
    assert written(folder) == shipped()
    assert capsys.readouterr().out.splitlines() == [str(folder / name) for name in sorted(shipped())]


def install(scene: Scene, folder: str) -> Path:
    """Put the agent into a folder of the device and let it install its units; gives their folder."""
    installed = scene.device.root / folder
    assert slmc(["agent", str(installed)]) == 0
    environment = {**os.environ, "SLMC_ROOT": str(scene.device.root)}
    environment["PATH"] = os.pathsep.join([*map(str, scene.device.path), os.environ["PATH"]])
    subprocess.run([installed / "slmc-agent", "install"], env=environment, check=True, capture_output=True)
    assert scene.device.calls == ["daemon-reload", "enable --now slmc-sync.timer"]
    return scene.device.root / "etc/systemd/system"


def test_install_writes_and_starts_the_timer(scene: Scene) -> None:
    for _ in range(2):
        units = install(scene, "usr/lib/slmc")
    names = [f"/etc/systemd/system/{path.name}" for path in sorted(units.iterdir())]
    assert names == ["/etc/systemd/system/slmc-sync.service", "/etc/systemd/system/slmc-sync.timer"]
    assert not (scene.device.root / "usr/lib/slmc/slmc-agent").is_symlink()
    verify = ["systemd-analyze", "verify", "--recursive-errors=no", "--man=no", f"--root={scene.device.root}"]
    done = tools.run(*verify, *names)
    assert (done.returncode, done.stderr) == (0, "")


def test_install_writes_the_units_that_bundles_bring(scene: Scene) -> None:
    """But for their first line, which says where they come from."""
    units = install(scene, "usr/lib/slmc")
    for kind in ("service", "timer"):
        _, _, brought = (REPOSITORY / "targets/systemd" / f"sync.{kind}.j2").read_text().partition("\n\n")
        assert (units / f"slmc-sync.{kind}").read_text() == brought


def test_an_agent_that_lies_elsewhere_is_found_by_the_units_of_bundles(scene: Scene) -> None:
    for _ in range(2):
        install(scene, "opt/agent")
    assert (scene.device.root / "usr/lib/slmc/slmc-agent").readlink() == Path("/opt/agent/slmc-agent")


def test_status_prints_what_the_last_sync_left(scene: Scene) -> None:
    status = scene.device.start("status")
    assert status.communicate(timeout=60) == ("", "slmc-agent: no sync has ended yet\n")
    assert status.returncode == 1
    scene.release(scene.bundle(), 1)
    assert scene.device.sync()[0] == 0
    said, _ = scene.device.start("status").communicate(timeout=60)
    assert said == (scene.device.root / "var/lib/slmc/state/status.json").read_text()


def test_metrics_say_what_the_status_says(scene: Scene) -> None:
    found = scene.release(scene.bundle(), 7)
    assert scene.device.sync()[0] == 0
    text = (scene.device.root / "var/lib/slmc/state/slmc.prom").read_text()
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    of = 'device="berlin-1-counter-01",fleet="shops"'
    times = [name for name in values if name.split("{")[0].endswith("timestamp_seconds")]
    assert len(times) == 2
    assert {name: value for name, value in values.items() if name not in times} == {
        f'slmc_device_info{{{of},cohort="counter-pi",target="systemd",bundle="{found.id}",wanted="{found.id}"}}': "1",
        f"slmc_device_healthy{{{of}}}": "1",
        f"slmc_device_serial{{{of}}}": "7",
        f"slmc_device_wanted_serial{{{of}}}": "7",
        f'slmc_sync_result{{{of},result="deployed"}}': "1",
        f"slmc_sync_exit_code{{{of}}}": "0",
        f"slmc_sync_downloaded_bytes{{{of}}}": str(sum(len(data) for data in found.artifact.values())),
        f"slmc_device_clock_behind{{{of}}}": "0",
    }
    if shutil.which("promtool"):
        checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True)
        assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.parametrize(
    "words", [[], ["deploy"], ["sync", "--later"], ["sync", "--from"], ["sync", "--from", "/none"]]
)
def test_usage(scene: Scene, words: list[str]) -> None:
    done = scene.device.start(*words)
    done.communicate(timeout=60)
    assert done.returncode == 2


def test_a_device_below_a_folder_that_cannot_be_written(scene: Scene) -> None:
    (scene.device.root / "var").write_text("not a folder")
    device = Device(scene.device.root, scene.device.path, scene.device.settings)
    assert device.sync()[0] == 1
