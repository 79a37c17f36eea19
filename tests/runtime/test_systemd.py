"""systemd's side of the server: a socket that hears what it says."""

from __future__ import annotations

import os
import shutil
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from slmc_runtime.notify import notify, watchdog_seconds

from tests.runtime.serving import PATIENCE, Served, serving, wait_for
from tests.runtime.test_golden_answers import changed
from tests.runtime.test_limits import ASKED, limit, wait_until


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(str(tmp_path / "notify"))
        heard.settimeout(PATIENCE)
        yield heard


def until(heard: socket.socket, wanted: str) -> list[str]:
    """What was said up to and with `wanted`."""
    lines: list[str] = []
    while wanted not in lines:
        lines += heard.recv(4096).decode().splitlines()
    return lines


def test_ready_watchdog_stopping(generator: Path, tmp_path: Path, systemd: socket.socket) -> None:
    with serving(generator, ready=False, NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="300000") as served:
        said = until(systemd, "READY=1")
        assert set(said) == {"WATCHDOG=1", "READY=1", "STATUS=serving pydoc@1.0.0"}
        assert served.get("/readyz")[0] == 200
        until(systemd, "WATCHDOG=1")
        served.process.send_signal(signal.SIGTERM)
        assert until(systemd, "STOPPING=1")[-1] == "STOPPING=1"


def test_no_watchdog_while_the_model_is_stuck(generator: Path, tmp_path: Path, systemd: socket.socket) -> None:

    bundle = limit(Path(shutil.copytree(generator, tmp_path / "bundle")), timeoutSeconds=0.2)
    with serving(bundle, NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="150000") as served:
        os.kill(served.model, signal.SIGSTOP)
        assert served.post("/v1/completions", ASKED)[0] == 504
        _silent(served, systemd)
        os.kill(served.model, signal.SIGCONT)
        wait_until(served, requests_running=0)
        until(systemd, "WATCHDOG=1")


def _silent(served: Served, heard: socket.socket) -> None:
    """Wait until it counts as stuck, and hear what came till then; after that nothing comes."""
    wait_for(served, "/livez", 503)
    heard.setblocking(False)
    try:
        while True:
            heard.recv(4096)
    except BlockingIOError:
        pass
    heard.settimeout(0.5)
    with pytest.raises(TimeoutError):
        heard.recv(4096)
    heard.settimeout(PATIENCE)


def test_wrong_answers_end_a_start_that_systemd_waits_for(
    generator: Path, tmp_path: Path, systemd: socket.socket
) -> None:
    bundle = changed(generator, tmp_path / "bundle", "tokens", lambda v: [v[0] ^ 1, *v[1:]])
    reason = "golden answer 2: its continuation differs from token 1 on"
    with serving(bundle, ready=False, NOTIFY_SOCKET=str(tmp_path / "notify")) as served:
        _, said = served.process.communicate(timeout=PATIENCE)
    assert (served.process.returncode, said) == (65, f"slmc-serve: not ready: {reason}\nslmc-serve: {reason}\n")
    assert until(systemd, f"STATUS={reason}") == [f"STATUS={reason}"]


def test_a_systemd_that_does_not_listen_holds_nobody_up(tmp_path: Path, systemd: socket.socket) -> None:
    """Its queue is full after a few."""
    for _ in range(1000):
        notify("WATCHDOG=1", wait=0, environment={"NOTIFY_SOCKET": str(tmp_path / "notify")})
    assert systemd.recv(4096) == b"WATCHDOG=1"


def test_nobody_is_told_where_nobody_asked() -> None:
    notify("READY=1", environment={})
    notify("READY=1", environment={"NOTIFY_SOCKET": "/nowhere/at/all"})


def test_a_socket_of_the_abstract_namespace() -> None:
    name = f"slmc-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(f"\0{name}")
        heard.settimeout(PATIENCE)
        notify("READY=1", "STATUS=x", environment={"NOTIFY_SOCKET": f"@{name}"})
        assert heard.recv(4096) == b"READY=1\nSTATUS=x"


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "x"}, None),
        ({"WATCHDOG_USEC": "1500000"}, 1.5),
        ({"WATCHDOG_USEC": "1500000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "1500000", "WATCHDOG_PID": str(os.getpid())}, 1.5),
    ],
)
def test_how_often_systemd_wants_to_hear(environment: dict[str, str], seconds: float | None) -> None:
    assert watchdog_seconds(environment) == seconds
