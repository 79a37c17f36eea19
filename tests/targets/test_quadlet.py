"""The Quadlet target, read by podman's own generator, and what that makes of it by systemd."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from compiler.bundle.checks import check_targets
from compiler.bundle.render import render
from compiler.fit.check import check
from compiler.fleet.graph import Fleet, TargetUse
from tests.bundle.scenarios import EGRESS_ALLOWED, OPTIONS, PLAIN, SCENARIOS, SERVED, VARIABLES, files_of
from tests.conftest import REPOSITORY
from tests.tools import put, run
from tests.values import PLACE, artifacts_of

CONTAINER = "slmc-chat.container"


def generate(files: dict[str, bytes], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the generator on the bundle's files for it."""
    put(files, folder, [name for name in files if name.endswith((".container", ".network"))])
    return run("quadlet", "-dryrun", env={"QUADLET_UNIT_DIRS": str(folder)})


def units(files: dict[str, bytes], folder: Path) -> dict[str, str]:
    """The units that the generator makes, by name; it has nothing to remark."""
    done = generate(files, folder)
    remarks = [line for line in done.stderr.splitlines() if "Loading source unit file" not in line]
    assert (done.returncode, remarks) == (0, []), done.stderr
    pieces = re.split(r"^---(\S+)---$", done.stdout, flags=re.MULTILINE)
    return dict(zip(pieces[1::2], pieces[2::2], strict=True))


def command(unit: str) -> list[str]:
    """The words of `ExecStart=`, of a unit in which none is odd."""
    (line,) = re.findall(r"^ExecStart=(.*)$", unit, flags=re.MULTILINE)
    return shlex.split(line)


@pytest.mark.parametrize("name", SCENARIOS)
def test_generator_makes_the_units_that_the_agent_is_told_of(name: str, tmp_path: Path) -> None:
    files = files_of(SCENARIOS[name], "quadlet")
    made = units(files, tmp_path)
    named = [line.split("\t")[:2] for line in files["units.tsv"].decode().splitlines()]
    assert sorted(made) == sorted(unit for unit, role in named if role in ("guard", "run"))
    assert {unit for unit, role in named if role == "timer"} <= files.keys()
    installed = {line.split("\t")[0] for line in files["install.tsv"].decode().splitlines()}
    assert installed == {
        file for file in files if file.endswith((".container", ".network", ".service", ".timer", ".conf"))
    }


@pytest.mark.parametrize(
    ("written", "broken"),
    [
        (b"ReadOnly=true", b"Readonly=true"),
        (b"Image=", b"#Image="),
        (b"PodmanArgs=--cpus=4 --memory=", b"Memory="),  # a key that podman has from 5.6 on
        (b"Network=slmc_closed.network", b"Network=other.network"),
    ],
)
def test_generator_refuses_a_broken_file(written: bytes, broken: bytes, tmp_path: Path) -> None:
    files = files_of(PLAIN, "quadlet")
    assert written in files[CONTAINER]
    files[CONTAINER] = files[CONTAINER].replace(written, broken)
    done = generate(files, tmp_path)
    assert done.returncode == 1 or "slmc-chat.service" not in done.stdout, done.stdout


@pytest.mark.parametrize("name", SCENARIOS)
def test_each_container_is_confined(name: str, tmp_path: Path) -> None:
    files = files_of(SCENARIOS[name], "quadlet")
    for unit, text in units(files, tmp_path).items():
        if unit.startswith("slmc_"):
            continue
        for words in (
            "--read-only", "--read-only-tmpfs=false", "--user 65532:65532", "--cap-drop all", "--ulimit core=0",
            "--security-opt=no-new-privileges", "--env ORT_DISABLE_TELEMETRY=1", "--publish 127.0.0.1:",
            ":/model:ro", "@sha256:",
        ):  # fmt: skip
            assert words in text, words
        ((memory, with_swap),) = set(re.findall(r"--memory=(\d+) --memory-swap=(\d+)", text))
        assert int(memory) == int(with_swap) > 0


def test_runs_have_no_route_out_unless_egress_is_allowed(tmp_path: Path) -> None:
    made = units(files_of(PLAIN, "quadlet"), tmp_path / "closed")
    create = "/usr/bin/podman network create --ignore --disable-dns --driver bridge"
    assert command(made["slmc_closed-network.service"]) == [
        *create.split(),
        "--opt",
        "no_default_route=true",
        "slmc-closed",
    ]
    assert "--network slmc-closed " in made["slmc-chat.service"]
    made = units(files_of(EGRESS_ALLOWED, "quadlet"), tmp_path / "open")
    assert command(made["slmc_open-network.service"]) == [*create.split(), "slmc-open"]
    assert "--network slmc-open " in made["slmc-chat.service"]


def test_slmcs_own_runtime_is_told_of_its_bundle_and_asked_how_it_does(tmp_path: Path) -> None:
    words = command(units(files_of(OPTIONS, "quadlet"), tmp_path)["slmc-chat.service"])
    assert words[-4:] == ["--bundle", "/bundle", "--run", "chat"]
    assert words[words.index("--sdnotify=container") + 1] == "-d"
    assert "/var/lib/slmc/current:/bundle:ro" in words
    program, option, script = json.loads(words[words.index("--health-cmd") + 1])
    assert (program, option) == ("/opt/slmc/bin/python", "-Ic")
    compile(script, "probe", "exec")


def test_what_newer_programs_know_is_written_for_them_alone() -> None:
    old, new = (files_of(fleet, "quadlet")[CONTAINER].decode() for fleet in (PLAIN, OPTIONS))
    for line in ("DefaultDependencies=false", "RestartMode=direct"):
        assert (line in old, line in new) == (False, True)


def test_variables_of_a_device_are_handed_on(tmp_path: Path) -> None:
    unit = units(files_of(VARIABLES, "quadlet"), tmp_path)["slmc-chat.service"]
    assert "\nEnvironmentFile=/etc/slmc/device.env\n" in unit
    assert [word for word in command(unit) if word.startswith("--env=")] == ["--env=SHOP_NAME", "--env=TILL_SERIAL"]


@pytest.mark.parametrize("name", ["rollback", "sync"])
def test_a_run_cannot_take_the_name_of_a_unit_of_slmc(name: str) -> None:
    """Quadlet would make the unit, systemd would not load it, and neither would say so."""
    fleet = _only(replace(SERVED, name=name))
    targets, _ = check_targets(REPOSITORY, [fleet])
    artifacts = artifacts_of()
    bundles = render(targets, [fleet], artifacts, check([fleet], artifacts)[0], {"shops": 0})
    bundles.files()
    (found,) = bundles.diagnostics
    assert (found.code.slug, found.message) == (
        "output-clash", f"`slmc-{name}.service` and `slmc-{name}.service` cannot stand in one bundle.",
    )  # fmt: skip


def _only(run: object) -> Fleet:
    (cohort,) = PLAIN.cohorts
    return replace(PLAIN, targets=(TargetUse("quadlet", PLACE),), cohorts=(replace(cohort, runs=(run,)),))  # type: ignore[arg-type]
