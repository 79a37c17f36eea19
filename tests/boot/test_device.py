"""Debian 12 and 13, booted: the agent pulls a bundle from Git and a registry, the runtime serves it, nothing leaves."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.boot.site import AGENT, ROOTS, Site, site
from tests.targets.machine import FAR, booted_device
from tests.tools import absent

pytestmark = pytest.mark.slow

SUITES = {"bookworm": 252, "trixie": 257}
UNIT = "slmc-counter.service"


@pytest.fixture(scope="module", params=SUITES)
def shop(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, store_folder: Path
) -> Iterator[Site]:
    base = ROOTS / request.param
    if not (base / "opt/slmc/bin/slmc-serve").exists():
        absent(f".ci/roots/{request.param} is not there: .ci/device-roots makes it")
    folder = tmp_path_factory.mktemp(request.param)
    with booted_device(base, folder) as machine, site(machine, folder, store_folder, SUITES[request.param]) as made:
        yield made


@pytest.fixture(scope="module")
def store_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.getbasetemp() / "boot-store"


def running(shop: Site) -> tuple[str, str]:
    """State and main process of the run."""
    done = shop.machine.run("systemctl", "show", "--property=ActiveState,MainPID", "--value", UNIT)
    state, process = sorted(done.stdout.split(), reverse=True)
    return state, process


def test_versions(shop: Site, request: pytest.FixtureRequest) -> None:
    said = shop.machine.run("systemctl", "--version").stdout.split()
    assert int(said[1]) == SUITES[request.node.callspec.params["shop"]]


def test_a_release_is_pulled_and_serves(shop: Site) -> None:
    wanted = shop.commit_id()
    code, status = shop.sync()
    assert (code, status["result"], status["bundle"]) == (0, "deployed", wanted)
    assert running(shop)[0] == "active"
    (golden,) = json.loads((shop.bundle / "golden.json").read_text())["artifacts"]
    assert shop.get("/readyz") == {
        "status": "ready",
        "bundle": wanted,
        "run": "counter",
        "model": "pydoc@1.0.0",
        "artifact": "pydoc-1.0.0-int4-small",
        "goldenAnswers": len(golden["answers"]),
    }
    answer = golden["answers"][0]
    asked = {"model": "counter", "prompt": answer["prompt"], "max_tokens": len(answer["tokens"]), "temperature": 0}
    assert shop.get("/v1/completions", asked)["choices"][0]["text"] == answer["continuation"]
    said = shop.get(
        "/v1/chat/completions", {"model": "counter", "messages": [{"role": "user", "content": "What is a list?"}]}
    )
    assert said["choices"][0]["message"]["content"]


def test_an_unrelated_commit_restarts_nothing(shop: Site) -> None:
    before = running(shop)
    (shop.workspace / "README.md").write_text("Shops.\n")
    shop.commit("Describe the shops")
    code, status = shop.sync()
    assert (code, status["result"], running(shop)) == (0, "unchanged", before)


def test_a_release_that_keeps_failing_after_it_was_taken_gives_way(shop: Site) -> None:
    """systemd gives up on the run, and its OnFailure= asks the agent to go back."""
    first = shop.get("/readyz")["bundle"]
    shop.edit("threads: 2", "threads: 1")
    second = shop.release("One thread")
    code, status = shop.sync()
    assert (code, status["result"], status["bundle"], second != first) == (0, "deployed", second, True)
    current = shop.machine.root / "var/lib/slmc/current"
    deadline = time.monotonic() + 120
    while current.readlink().name == second and time.monotonic() < deadline:
        shop.machine.run("systemctl", "kill", "--signal=KILL", UNIT)
        time.sleep(0.2)
    assert current.readlink().name == first
    shop.wait_until_ready(first)
    while shop.machine.run("systemctl", "is-active", "slmc-rollback.service").stdout.strip() == "activating":
        assert time.monotonic() < deadline + 60
        time.sleep(0.2)
    code, status = shop.sync()
    assert (code, status["result"], status["bundle"], status["wantedBundle"]) == (8, "known-bad", first, second)


def test_a_release_with_wrong_answers_gives_way(shop: Site) -> None:
    good = shop.get("/readyz")["bundle"]
    shop.change_answers()
    bad = shop.release_anyway("Answers that the model does not give")
    code, status = shop.sync()
    assert (code, status["result"], status["bundle"], status["wantedBundle"]) == (8, "rolled-back", good, bad)
    assert shop.get("/readyz")["bundle"] == good


def test_a_broken_release_gives_way_to_the_one_before(shop: Site) -> None:
    good = shop.get("/readyz")["bundle"]
    shop.break_weights()
    bad = shop.release_anyway("Weights that are no model")
    begun = time.monotonic()
    code, status = shop.sync()
    assert time.monotonic() - begun < 180
    assert (code, status["result"], status["bundle"], status["wantedBundle"]) == (8, "rolled-back", good, bad)
    assert shop.get("/readyz")["bundle"] == good
    before = running(shop)
    code, status = shop.sync()
    assert (code, status["result"], running(shop)) == (8, "known-bad", before)


def test_the_runs_user_reaches_nothing_beyond_the_device(shop: Site) -> None:
    fetch = ["curl", "--silent", "--max-time", "5", "--output", "/dev/null", f"http://{FAR}:8000"]
    assert shop.machine.run("setpriv", "--reuid=slmc", "--clear-groups", *fetch).returncode != 0
    assert shop.machine.run("setpriv", "--reuid=nobody", "--clear-groups", *fetch).returncode == 0


def test_serving_asks_no_name_server(shop: Site, tmp_path: Path) -> None:
    """Telemetry would look up a name. The logger is first shown to see one."""
    log = tmp_path / "queries"
    script = (
        "import socket, sys; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('127.0.0.53', 53))\n"
        "with open(sys.argv[1], 'ab', buffering=0) as log:\n"
        "    while True: log.write(s.recvfrom(4096)[0] + b'\\n')"
    )
    (shop.machine.root / "etc/resolv.conf").write_text("nameserver 127.0.0.53\noptions timeout:1 attempts:1\n")
    logger = subprocess.Popen(shop.near(sys.executable, "-c", script, str(log)))
    try:
        deadline = time.monotonic() + 20
        while not (log.exists() and b"telemetry" in log.read_bytes()) and time.monotonic() < deadline:
            shop.machine.run("getent", "hosts", "telemetry.example")
        assert b"telemetry" in log.read_bytes()
        shop.machine.run("systemctl", "restart", UNIT)
        log.write_bytes(b"")
        end = time.monotonic() + 60
        asked = {"model": "counter", "prompt": "The", "max_tokens": 8}
        while time.monotonic() < end:
            assert shop.get("/v1/completions", asked)["choices"]
            time.sleep(1)
        assert log.read_bytes() == b""
    finally:
        logger.kill()
        logger.wait()


def test_what_is_deployed_verifies(shop: Site) -> None:
    done = shop.machine.run(AGENT, "verify")
    assert done.returncode == 0, done.stdout
