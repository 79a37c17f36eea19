"""The image that the Containerfile makes, run by podman as Quadlet says: it serves, and nothing leaves it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest

from compiler.cli.main import run as slmc
from tests.conftest import REPOSITORY
from tests.targets.engine import FAR, ROOT, Engine, engine
from tests.targets.test_quadlet import command, units
from tests.tools import absent, tool
from tests.tree import tree

pytestmark = pytest.mark.slow

WHEELS = REPOSITORY / ".ci" / "roots" / "wheels" / "3.13"
COHORT = "deploy/shops/office-n100"
READY = "http://127.0.0.1:8080/readyz"
NEEDLESS = (
    "opt",
    "boot",
    "dev",
    "proc",
    "run",
    "sys",
    "tmp",
    "var",
    "usr/libexec",
    "usr/share/locale",
    "usr/share/doc",
    "usr/bin/podman",
)
PYTHON = "/opt/slmc/bin/python"
CONNECT = f"import socket; socket.create_connection(('{FAR}', 8000), 3)"


@dataclass(frozen=True)
class Served:
    """An engine that has the image, the artifact and the bundle, and the command of the run's unit."""

    engine: Engine
    bundle: str
    words: list[str]
    network: list[str]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    if os.uname().machine != "x86_64":
        absent("the example's mini PC is of another architecture than this machine")
    if not list(WHEELS.glob("slmc_runtime-*.whl")):
        absent(f"{WHEELS.relative_to(REPOSITORY)} has no wheel of slmc's runtime")
    folder = tmp_path_factory.mktemp("engine")
    with engine(folder) as found, pytest.MonkeyPatch.context() as environment:
        environment.setenv("SLMC_STORE", str(tmp_path_factory.getbasetemp() / "store"))
        base = _base(found)
        workspace = tmp_path_factory.mktemp("shop") / "hello"
        shutil.copytree(REPOSITORY / "blueprints/hello", workspace, ignore=shutil.ignore_patterns("deploy", "*.lock"))
        _compile(workspace, base, "registry.example/slmc@sha256:" + "0" * 64)
        context = folder / "tmp/context"
        shutil.copytree(WHEELS, context / "wheels")
        shutil.copy(workspace / COHORT / "container/Containerfile", context)
        build = "build --isolation=chroot --pull=never --layers=false --timestamp=0 --quiet --tag=localhost/slmc"
        found.podman(*build.split(), "/tmp/context")
        _compile(workspace, base, f"localhost/slmc@{_digest(found, 'localhost/slmc')}")
        yield _installed(found, workspace, tmp_path_factory.mktemp("units"))


def _base(found: Engine) -> str:
    """The base image by digest: Python of the engine's own root."""
    archive = found.folder / "base.tar"
    left_out = [f"--exclude=./{name}/*" if "/" not in name else f"--exclude=./{name}" for name in NEEDLESS]
    subprocess.run([tool("tar"), "-C", ROOT, *left_out, "-cf", archive, "."], check=True)
    found.podman("import", "--quiet", "-", "localhost/base", given=archive)
    archive.unlink()
    return f"localhost/base@{_digest(found, 'localhost/base')}"


def _digest(found: Engine, image: str) -> str:
    return found.podman("image", "inspect", "--format={{.Digest}}", image)


def _compile(workspace: Path, base: str, image: str) -> None:
    """Compile the example for containers of this image."""
    text = (REPOSITORY / "blueprints/hello/hello.slmc.yaml").read_text()
    for pattern, new in (
        (r"targets: \[.*\]", f"targets: [quadlet, {{name: container, options: {{baseImage: '{base}'}}}}]"),
        (r"image: .*", f"image: '{image}'"),
        (r"(counter-pi|office-n100): {extends", r'\1: {podman: "5.4", systemd: 257, extends'),
    ):
        text, count = re.subn(pattern, new, text)
        assert count
    (workspace / "hello.slmc.yaml").write_text(text)
    assert slmc(["compile", str(workspace)]) == 0


def _installed(found: Engine, workspace: Path, folder: Path) -> Served:
    """Put the bundle and its artifact where the agent puts them."""
    bundle = workspace / COHORT / "quadlet"
    id = sha256((bundle / "SHA256SUMS").read_bytes()).hexdigest()
    state = found.folder / "var/lib/slmc"
    shutil.copytree(bundle, state / "releases" / id)
    (state / "current").symlink_to(f"releases/{id}")
    store = Path(os.environ["SLMC_STORE"])
    for line in (bundle / "artifacts.tsv").read_text().splitlines():
        digest, size, name = line.split("\t")
        to = state / "artifacts" / name
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(store / "blobs/sha256" / digest, to)
        assert to.stat().st_size == int(size)
    subprocess.run(["chmod", "-R", "a+rX", state], check=True)
    made = units(tree(bundle), folder)
    return Served(found, id, command(made["slmc-office.service"]), command(made["slmc_closed-network.service"]))


def started(served: Served, network: str) -> str:
    """The run in a network, the one that its unit names or another; how its container is told that it is ready."""
    served.engine.start([network if word == "slmc-closed" else word for word in served.words])
    return served.engine.answer(READY)


def connect(served: Served) -> str:
    """What comes of a connection from inside the container: its last words are the error's."""
    done = served.engine.run("podman", "exec", "slmc-office", PYTHON, "-Ic", CONNECT)
    return "yes" if done.returncode == 0 else done.stderr.strip().splitlines()[-1]


def test_the_container_answers_with_its_bundle_and_reaches_nothing(served: Served) -> None:
    served.engine.podman(*served.network[1:])
    ready = json.loads(started(served, "slmc-closed"))
    assert (ready["status"], ready["bundle"], ready["run"]) == ("ready", served.bundle, "office")
    assert connect(served) == "OSError: [Errno 101] Network is unreachable"
    done = served.engine.run("podman", "healthcheck", "run", "slmc-office")
    assert done.returncode == 0, served.engine.podman("inspect", "--format={{json .State.Health}}", "slmc-office")
    question = '{"model": "pydoc@1.0.0", "prompt": "The", "max_tokens": 4}'
    done = served.engine.run("curl", "--silent", "--fail", "--json", question, "http://127.0.0.1:8080/v1/completions")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["choices"][0]["text"]


def test_the_container_is_confined(served: Served) -> None:
    started(served, "slmc-closed")
    shown = json.loads(served.engine.podman("inspect", "slmc-office"))[0]
    inside = served.engine.podman("exec", "slmc-office", "cat", "/proc/1/status")
    facts = dict(line.split(":\t", 1) for line in inside.splitlines() if ":\t" in line)
    assert (facts["Uid"].split()[0], int(facts["CapEff"], 16), facts["NoNewPrivs"]) == ("65532", 0, "1")
    for path in ("/here", "/model/here", "/bundle/here"):
        done = served.engine.run("podman", "exec", "slmc-office", "touch", path)
        assert "Read-only file system" in done.stderr, path
    assert served.engine.run("podman", "exec", "slmc-office", "touch", "/tmp/here").returncode == 0
    assert shown["HostConfig"]["Memory"] == shown["HostConfig"]["MemorySwap"] > 0


def test_in_an_open_network_it_reaches_what_it_likes(served: Served) -> None:
    """So what holds it back elsewhere is the network, and the test can tell."""
    served.engine.podman("network", "create", "--disable-dns", "slmc-open")
    assert json.loads(started(served, "slmc-open"))["bundle"] == served.bundle
    assert connect(served) == "yes"
