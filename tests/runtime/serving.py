"""The real server as a process on a port of loopback."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openai

from tests.conftest import REPOSITORY

PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Served:
    process: subprocess.Popen[str]
    port: int
    client: openai.OpenAI

    @property
    def model(self) -> int:
        """The id of the model's process."""
        [child] = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return int(child)

    def get(self, path: str) -> tuple[int, str]:
        return self.ask(urllib.request.Request(f"http://127.0.0.1:{self.port}{path}"))

    def post(self, path: str, body: Any) -> tuple[int, Any]:
        """Status, and the answer's JSON."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        status, text = self.ask(urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, method="POST"))
        return status, json.loads(text)

    def ask(self, request: urllib.request.Request) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def stop(self) -> tuple[int, str]:
        """Exit code and what it said."""
        self.process.send_signal(signal.SIGTERM)
        _, said = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, said


def command(bundle: Path, *more: str, run: str = "counter") -> list[str]:
    return [sys.executable, "-m", "slmc_runtime", "--bundle", str(bundle), "--run", run, *more]


def environment(**more: str) -> dict[str, str]:
    """That of a device: nothing is known of slmc's own sources but the runtime's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SLMC_", "ORT_", "NOTIFY_"))}
    return {**kept, "PYTHONPATH": str(REPOSITORY / "runtime"), "PYTHONWARNINGS": "error", **more}


def started(bundle: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """For what ends by itself."""
    return subprocess.run(
        command(bundle), env=environment(**variables), capture_output=True, text=True, timeout=PATIENCE, check=False
    )


def checked(bundle: Path, **variables: str) -> tuple[int, dict[str, Any], str]:
    """Exit code, the JSON object, and what else was said, of `--check`."""
    done = subprocess.run(
        command(bundle, "--check"),
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    return done.returncode, json.loads(done.stdout), done.stderr


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port


@contextlib.contextmanager
def serving(bundle: Path, *, ready: bool = True, **variables: str) -> Iterator[Served]:
    """The server, once it is ready, or once it listens."""
    port = free_port()
    process = subprocess.Popen(
        command(bundle),
        env=environment(SLMC_PORT=str(port), **variables),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    client = openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none", max_retries=0)
    served = Served(process, port, client)
    try:
        wait_for(served, "/readyz" if ready else "/livez")
        yield served
    finally:
        client.close()
        if process.poll() is None:
            process.kill()
        process.communicate()


def wait_for(served: Served, path: str, status: int = 200) -> str:
    """What `path` answers with that status."""
    until = time.monotonic() + PATIENCE
    said: tuple[int, str] | str = ""
    while time.monotonic() < until:
        assert served.process.poll() is None, f"it ended: {served.process.communicate()[1]}"
        with contextlib.suppress(OSError):
            said = served.get(path)
            if said[0] == status:
                return said[1]
        time.sleep(0.02)
    raise AssertionError(f"{path}: {said}")


def metrics(served: Served) -> Mapping[str, float]:
    """By name with labels, as Prometheus writes them."""
    lines = served.get("/metrics")[1].splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))}
