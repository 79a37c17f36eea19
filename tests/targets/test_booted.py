"""Systemd bundles, installed on a machine that really runs: what the sandbox allows, and what comes through."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from compiler.fleet.graph import Fleet
from tests.bundle.scenarios import EGRESS_ALLOWED, NASTY, NASTY_COMMAND, PLAIN, RUNTIME, VARIABLES, files_of
from tests.conftest import REPOSITORY
from tests.targets.machine import Machine, booted
from tests.targets.test_container import DEVICE_TEXT
from tests.targets.test_quadlet import units
from tests.tools import put
from tests.values import CLASS, MIB

pytestmark = pytest.mark.slow

UNIT = "slmc-chat.service"
PROBE = "/opt/probe.py"
HERE = Path(__file__).parent
FOLDER = "var/lib/slmc/artifacts/" + "c" * 64
DEVICE_CLASS = replace(CLASS, arch={"x86_64": "amd64"}.get(os.uname().machine, "arm64"), cores=None)

SHOWN = {
    "/opt/python": Path(sys.base_prefix),
    "/opt/packages": Path(sysconfig.get_path("purelib")),
    "/opt/models": REPOSITORY / "blueprints" / "hello" / "models",
}
"""So that the machine can run the ONNX Runtime of the tests."""


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    with booted(tmp_path_factory.mktemp("machine"), SHOWN) as found:
        for name in ("probe.py", "generate.py"):
            put({f"opt/{name}": (HERE / name).read_bytes()}, found.root)
        (found.root / PROBE[1:]).chmod(0o755)
        put({f"{FOLDER}/model.onnx": b"weights", "var/lib/slmc/artifacts/other/model.onnx": b"others"}, found.root)
        yield found


def bundle(fleet: Fleet, *command: str) -> dict[str, bytes]:
    """The systemd bundle of a fleet, moved to this machine's kind of hardware, and to the probe or another command."""
    (cohort,) = fleet.cohorts
    (run,) = cohort.runs
    run = replace(run, command=command or (PROBE, *(run.command or ())[1:]), memory_limit=256 * MIB)
    return files_of(replace(fleet, cohorts=(replace(cohort, device_class=DEVICE_CLASS, runs=(run,)),)), "systemd")


def started(machine: Machine, files: dict[str, bytes]) -> dict[str, Any]:
    """Install a bundle, start its run, and ask it."""
    machine.install(files)
    done = machine.run("systemctl", "restart", UNIT)
    assert done.returncode == 0, done.stderr + machine.run("journalctl", "--no-pager", "--lines=30").stdout
    found = json.loads(machine.ask(8080))
    assert isinstance(found, dict)
    return found


def without(files: dict[str, bytes], *settings: str) -> dict[str, bytes]:
    """The bundle with all lines of the run's unit removed that assign one of `settings`."""
    pattern = re.compile(rf"^(?:{'|'.join(settings)})=.*\n".encode(), re.MULTILINE)
    assert pattern.search(files[UNIT])
    return files | {UNIT: pattern.sub(b"", files[UNIT])}


def without_rules(files: dict[str, bytes]) -> dict[str, bytes]:
    """The bundle without its nftables rules."""
    return {name: data for name, data in without(files, "Requires", "After").items() if "nft" not in name}


SANDBOX = {
    "connect to itself": "yes",
    "connect to far": "EHOSTUNREACH",  # from the nftables rule
    "send to far": "EPERM",
    "use IPv6": "EAFNOSUPPORT",
    "use netlink": "EAFNOSUPPORT",
    "write to its artifact": "EROFS",
    "write to /var/lib": "EROFS",
    "write to /etc": "EROFS",
    "write to /tmp": "yes",
    "pin its threads": "yes",
    "become root": "EPERM",
}


def test_a_run_may_do_what_it_needs_and_no_more(machine: Machine) -> None:
    found = started(machine, bundle(PLAIN))
    # SocketBindDeny= is without effect where systemd is built without BPF_FRAMEWORK, as Debian 12's is.
    elsewhere = "EPERM" if "+BPF_FRAMEWORK" in machine.run("systemctl", "--version").stdout else "yes"
    # Refused by systemd's system call filter, or from 254 on by the kernel itself.
    assert found["may"].pop("write code and run it") in ("EPERM", "EACCES")
    assert found["may"] == SANDBOX | {"listen elsewhere": elsewhere}
    assert found["sees"] == {
        "artifacts": ["c" * 64],
        "model": "weights",
        "state of others": ["slmc"],
        "homes": "EACCES",
        "processors": True,
    }
    assert machine.run("id", "-u", "slmc").stdout == f"{found['user']}\n"


def test_without_a_sandbox_it_may_do_all_that(machine: Machine) -> None:
    environment = [line for line in bundle(PLAIN)[UNIT].splitlines() if line.startswith(b"Environment=")]
    naked = b"\n".join([b"[Service]", f"ExecStart={PROBE}".encode(), *environment, b""])
    found = started(machine, {UNIT: naked})
    assert found["may"] == dict.fromkeys([*SANDBOX, "listen elsewhere", "write code and run it"], "yes")
    assert found["sees"]["artifacts"] == ["c" * 64, "other"]
    (machine.root / FOLDER / "other").unlink()


@pytest.mark.parametrize("fleet", [PLAIN, EGRESS_ALLOWED], ids=["deny", "allow"])
def test_nasty_values_come_through(fleet: Fleet, machine: Machine) -> None:
    (cohort,) = fleet.cohorts
    runs = (replace(cohort.runs[0], environment=NASTY, command=NASTY_COMMAND),)
    found = started(machine, bundle(replace(fleet, cohorts=(replace(cohort, runs=runs),))))
    assert found["arguments"] == list(NASTY_COMMAND[1:])
    assert {name: found["environment"].get(name) for name, _ in NASTY} == dict(NASTY)


def test_nasty_values_come_through_quadlet_and_systemd_to_podman(machine: Machine, tmp_path: Path) -> None:
    """Of the unit that Quadlet makes, with the probe in the place of podman: it sees the words of the command."""
    (cohort,) = PLAIN.cohorts
    words = tuple(word for word in NASTY_COMMAND if word not in ("", ";"))
    run = replace(cohort.runs[0], environment=NASTY, runtime=replace(RUNTIME, arguments=words))
    fleet = replace(PLAIN, cohorts=(replace(cohort, device_class=DEVICE_CLASS, runs=(run,)),))
    unit = units(files_of(fleet, "quadlet"), tmp_path)[UNIT]
    left_out = "Requires|After|Wants|Type|NotifyAccess|Delegate|ExecStop|ExecStopPost"
    unit = re.sub(rf"^(?:{left_out})=.*\n", "", unit, flags=re.MULTILINE)
    own = f"[Service]\nEnvironment=SLMC_HOST=127.0.0.1 SLMC_PORT=8080 SLMC_MODEL=/{FOLDER}\n"
    found = started(machine, {UNIT: unit.replace("/usr/bin/podman", PROBE).replace("[Service]\n", own).encode()})
    said = found["arguments"]
    handed = dict(word.split("=", 1) for option, word in pairwise(said) if option == "--env")
    assert {name: handed.get(name) for name, _ in NASTY} == dict(NASTY)
    assert said[-len(words) :] == list(words)


def test_onnx_runtime_works_in_the_sandbox(machine: Machine) -> None:
    script, model = HERE / "generate.py", REPOSITORY / "blueprints" / "hello" / "models" / "pydoc-1.0"
    outside = subprocess.run([sys.executable, script, model], stdout=subprocess.PIPE, text=True, check=True).stdout
    python = f"/opt/python/bin/python{sys.version_info.major}.{sys.version_info.minor}"
    files = bundle(PLAIN, python, "/opt/generate.py", "/opt/models/pydoc-1.0")
    path = b'Environment="PYTHONPATH=/opt/packages"\n'
    files[UNIT] = files[UNIT].replace(b"[Service]\n", b"[Service]\n" + path)
    assert started(machine, files) == {"text": outside}
    assert len(outside) > 30


def without_addresses(files: dict[str, bytes]) -> dict[str, bytes]:
    """The bundle without the packet filter of its unit."""
    return without(files, "IPAddressDeny", "IPAddressAllow")


@pytest.mark.parametrize(
    ("fleet", "change", "connect", "send"),
    [
        (PLAIN, without_rules, "timeout", "EPERM"),
        (PLAIN, without_addresses, "EHOSTUNREACH", "EPERM"),
        (PLAIN, lambda files: without_addresses(without_rules(files)), "yes", "yes"),
        (EGRESS_ALLOWED, dict, "yes", "yes"),
    ],
    ids=["addresses alone", "rules alone", "neither", "egress allowed"],
)
def test_each_guard_of_egress_is_enough(
    fleet: Fleet, change: Callable[[dict[str, bytes]], dict[str, bytes]], connect: str, send: str, machine: Machine
) -> None:
    may = started(machine, change(bundle(fleet)))["may"]
    assert (may["connect to far"], may["send to far"], may["connect to itself"]) == (connect, send, "yes")


def test_variables_of_the_device_come_through(machine: Machine) -> None:
    put({"etc/slmc/device.env": DEVICE_TEXT.encode()}, machine.root)
    environment = started(machine, bundle(VARIABLES))["environment"]
    assert (environment["SHOP_NAME"], environment["TILL_SERIAL"]) == ('Bäckerei "Süd", # 3', "0x1F")
    (machine.root / "etc/slmc/device.env").unlink()
    assert machine.run("systemctl", "restart", UNIT).returncode == 1


@pytest.mark.parametrize("verb", ["restart", "reload"])
def test_rules_outlive_those_of_the_machine(verb: str, machine: Machine) -> None:
    """`nftables.service` begins with `flush ruleset`."""
    put({"etc/nftables.conf": b"flush ruleset\n"}, machine.root)
    assert machine.run("systemctl", "start", "nftables.service").returncode == 0
    assert started(machine, without_addresses(bundle(PLAIN)))["may"]["connect to far"] == "EHOSTUNREACH"
    assert machine.run("systemctl", verb, "nftables.service").returncode == 0
    assert json.loads(machine.ask(8080))["may"]["connect to far"] == "EHOSTUNREACH"


@pytest.mark.parametrize(
    ("written", "other"),
    [
        (rb"AssertArchitecture=.*", b"AssertArchitecture=s390x"),
        (rb"AssertMemory=.*", b"AssertMemory=>=1000000000000000"),
        (rb"c{64}$", b"0" * 64),
    ],
)
def test_the_wrong_device_refuses_to_start(written: bytes, other: bytes, machine: Machine) -> None:
    files = bundle(PLAIN)
    changed, count = re.subn(written, other, files[UNIT], flags=re.MULTILINE)
    assert count
    machine.install(files | {UNIT: changed})
    done = machine.run("systemctl", "start", UNIT)
    assert (done.returncode, "Assertion failed" in done.stderr) == (1, True)


def test_a_run_that_cannot_live_is_given_up(machine: Machine) -> None:
    """A unit that never reads `failed` would never be rolled back."""
    files = bundle(PLAIN)
    broken = files[UNIT].replace(PROBE.encode(), b"/bin/false").replace(b"RestartSec=2\n", b"RestartSec=50ms\n")
    machine.install(files | {UNIT: broken})
    machine.run("systemctl", "start", UNIT)
    for _ in range(100):
        shown = machine.run("systemctl", "show", "--property=ActiveState,NRestarts", UNIT).stdout
        if "ActiveState=failed" in shown:
            break
        time.sleep(0.1)
    assert shown == "NRestarts=5\nActiveState=failed\n"
