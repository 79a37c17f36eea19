"""The pods of the Kubernetes target, run by podman without a network, with the image that the Containerfile makes."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import pytest
import yaml

from compiler.cli.main import run as slmc
from tests.conftest import REPOSITORY
from tests.targets.engine import Engine
from tests.targets.test_engine import COHORT, PYTHON, Served, served
from tests.targets.test_kubernetes import built
from tests.tools import tool

pytestmark = pytest.mark.slow

__all__ = ["served"]

POD, CONTAINER = "slmc-office-pod", "slmc-office-pod-server"
ASK = (
    "from http.client import HTTPConnection as C; c = C('127.0.0.1', 8080); c.request({}); "
    "print(c.getresponse().read().decode())"
)
HELPERS = 'helper_binaries_dir = ["/tmp", "/usr/lib/podman", "/usr/libexec/podman"]\n'
PROBES = ("startupProbe", "livenessProbe", "readinessProbe")


@dataclass(frozen=True)
class Played:
    engine: Engine
    bundle: str
    memory: int


@pytest.fixture(scope="module")
def played(served: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    found = served.engine
    workspace = tmp_path_factory.mktemp("cluster") / "hello"
    shutil.copytree(REPOSITORY / "blueprints/hello", workspace, ignore=shutil.ignore_patterns("deploy", "*.lock"))
    image = f"localhost/slmc@{found.podman('image', 'inspect', '--format={{.Digest}}', 'localhost/slmc')}"
    text = (workspace / "hello.slmc.yaml").read_text()
    for pattern, new in ((r"targets: \[.*\]", "targets: [kubernetes]"), (r"image: .*", f"image: '{image}'")):
        text, count = re.subn(pattern, new, text)
        assert count
    (workspace / "hello.slmc.yaml").write_text(text)
    assert slmc(["compile", str(workspace)]) == 0
    folder = workspace / COHORT / "kubernetes"
    objects = [thing for (kind, _), thing in built(folder).items() if kind in ("ConfigMap", "DaemonSet")]
    (pod,) = (thing["spec"]["template"]["spec"] for thing in objects if thing["kind"] == "DaemonSet")
    for probe in PROBES:
        del pod["containers"][0][probe]  # podman asks by curl, which the image does not have
    (found.folder / "tmp/pods.yaml").write_text(yaml.safe_dump_all(objects))
    shutil.copy(tool("catatonit"), found.folder / "tmp")  # what holds the pod's network
    settings = found.folder / "tmp/containers.conf"
    settings.write_text(settings.read_text() + HELPERS)
    found.podman("kube", "play", "--network=none", "/tmp/pods.yaml")
    yield Played(
        found,
        sha256((folder / "SHA256SUMS").read_bytes()).hexdigest(),
        int(pod["containers"][0]["resources"]["limits"]["memory"]),
    )
    found.podman("kube", "down", "--force", "/tmp/pods.yaml")


def asked(played: Played, *words: str) -> Any:
    """What the server in the pod answers to a request from inside the pod, once it is ready."""
    for _ in range(60):
        done = played.engine.run("podman", "exec", CONTAINER, PYTHON, "-Ic", ASK.format(", ".join(map(repr, words))))
        if done.returncode == 0 and '"starting"' not in done.stdout:
            return json.loads(done.stdout)
        time.sleep(0.5)
    raise AssertionError(done.stdout + done.stderr + played.engine.run("podman", "logs", CONTAINER).stderr)


def test_the_pod_answers_with_its_bundle(played: Played) -> None:
    ready = asked(played, "GET", "/readyz")
    assert (ready["status"], ready["bundle"], ready["run"]) == ("ready", played.bundle, "office")


def test_limits_are_applied_and_nothing_is_writable(played: Played) -> None:
    (shown,) = json.loads(played.engine.podman("inspect", CONTAINER))
    assert shown["HostConfig"]["Memory"] == played.memory
    for path in ("/here", "/model/here", "/bundle/here"):
        assert "Read-only file system" in played.engine.run("podman", "exec", CONTAINER, "touch", path).stderr, path
    assert played.engine.run("podman", "exec", CONTAINER, "touch", "/tmp/here").returncode == 0
