"""What a device pulls from: a Git repository and a registry on the loopback of its own network, and a workspace."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from tests import ssh
from tests.conftest import REPOSITORY
from tests.targets.machine import Machine
from tests.tools import tool

ROOTS = REPOSITORY / ".ci" / "roots"
AGENT = "/usr/lib/slmc/slmc-agent"
PLACE = "shops/till/systemd"
REGISTRY, GIT = 5000, 9418
ARCH = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]

BLUEPRINT = """\
apiVersion: slmc.dev/v1alpha1
kind: Blueprint
models:
  pydoc:
    task: text-generation
    license: PSF-2.0
    evaluate: {{data: data/heldout.jsonl, maxTokens: 2000}}
    versions: {{1.0.0: {{source: models/pydoc-1.0}}}}
recipes:
  int4-small: {{steps: [{{kind: quantize, scheme: int4, blockSize: 32}}]}}
deviceClasses:
  till: {{arch: {arch}, memory: 2GiB, storage: 8GB, systemd: {systemd}}}
fleets:
  shops:
    inventory: shops.csv
    runs:
      counter:
        model: pydoc@1.0.0
        recipe: int4-small
        threads: 2
        serve: {{runtime: builtin/onnxruntime}}
        objectives: {{timeToFirstToken: 500ms}}
    targets: [systemd]
    privacy: {{dataClass: internal, egress: deny, telemetry: [latency, errors]}}
"""


def slmc(*arguments: str | Path, store: Path, before: tuple[str, ...] = ()) -> None:
    command = [*before, sys.executable, "-m", "compiler.cli", *map(str, arguments)]
    environment = os.environ | {"SLMC_STORE": str(store), "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def git(*arguments: str | Path, cwd: Path) -> str:
    environment = os.environ | {
        f"GIT_{who}_{what}": text
        for who in ("AUTHOR", "COMMITTER")
        for what, text in (("NAME", "a"), ("EMAIL", "a@example"))
    }
    done = subprocess.run(["git", *map(str, arguments)], cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@dataclass(frozen=True, slots=True)
class Site:
    """A workspace in Git, its store, the key that signs, and the device that pulls."""

    machine: Machine
    folder: Path
    store: Path

    @property
    def workspace(self) -> Path:
        return self.folder / "workspace"

    @property
    def bundle(self) -> Path:
        return self.workspace / "deploy" / PLACE

    def near(self, *command: str) -> tuple[str, ...]:
        """A command of this machine, on the device's network."""
        return (tool("nsenter"), f"--target={self.machine.leader}", "--net", *command)

    def release(self, message: str) -> str:
        """Sign what lies in deploy/, commit everything; the bundle's id."""
        slmc("release", "--key", self.folder / "key", self.workspace, store=self.store)
        return self.commit(message)

    def release_anyway(self, message: str) -> str:
        """The same for a bundle that slmc did not write, which `slmc release` refuses to sign."""
        signed = self.workspace / "releases" / PLACE / "release"
        values = dict(line.split(" ", 1) for line in signed.read_text().splitlines())
        values |= {"bundle": self.commit_id(), "serial": str(int(values["serial"]) + 1)}
        signed.write_text("".join(f"{key} {value}\n" for key, value in values.items()))
        ssh.sign(signed, self.folder / "key")
        return self.commit(message)

    def commit(self, message: str) -> str:
        git("add", "--all", cwd=self.workspace)
        git("commit", "--quiet", "-m", message, cwd=self.workspace)
        return self.commit_id()

    def commit_id(self) -> str:
        """The id of the bundle that is committed."""
        return sha256((self.bundle / "SHA256SUMS").read_bytes()).hexdigest()

    def edit(self, old: str, new: str) -> None:
        """A change of the blueprint, compiled."""
        blueprint = self.workspace / "shop.slmc.yaml"
        assert old in blueprint.read_text()
        blueprint.write_text(blueprint.read_text().replace(old, new))
        slmc("compile", self.workspace, store=self.store)

    def change_answers(self) -> None:
        """The bundle with a golden answer that its model does not give."""
        golden = json.loads((self.bundle / "golden.json").read_text())
        golden["artifacts"][0]["answers"][0]["tokens"][0] ^= 1
        (self.bundle / "golden.json").write_text(json.dumps(golden))
        self.sum_up()

    def sum_up(self) -> None:
        """Write the SHA256SUMS of the bundle anew."""
        names = sorted(file.name for file in self.bundle.iterdir() if file.name != "SHA256SUMS")
        sums = "".join(f"{sha256((self.bundle / name).read_bytes()).hexdigest()}  {name}\n" for name in names)
        (self.bundle / "SHA256SUMS").write_text(sums)

    def wait_until_ready(self, wanted: str) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with contextlib.suppress(AssertionError):
                if self.get("/readyz")["bundle"] == wanted:
                    return
            time.sleep(0.5)
        raise AssertionError(self.machine.run("journalctl", "--no-pager", "--lines=60").stdout)

    def break_weights(self) -> None:
        """Another artifact in the place of the bundle's: its weights are no model. The registry has it."""
        tables = {name: (self.bundle / name).read_text() for name in ("artifacts.json", "artifacts.tsv", "serve.json")}
        (artifact,) = json.loads(tables["artifacts.json"])["artifacts"]
        model = next(file for file in artifact["files"] if file["name"] == "model.onnx")
        weights = b"no model" * (model["size"] // 8) + b"." * (model["size"] % 8)
        old, new = model["digest"].removeprefix("sha256:"), sha256(weights).hexdigest()
        other = sha256(artifact["digest"].encode()).hexdigest()
        for file in sorted(self.bundle.iterdir()):
            text = file.read_text().replace(old, new).replace(artifact["digest"].removeprefix("sha256:"), other)
            file.write_text(text)
        self.sum_up()
        self.upload(weights, new)

    def upload(self, data: bytes, digest: str) -> None:
        """A blob, as any client of the registry would."""
        (self.folder / "blob").write_bytes(data)
        at = f"http://127.0.0.1:{REGISTRY}/v2/shop/blobs/uploads/?digest=sha256:{digest}"
        start = f"""
import urllib.request as r
location = r.urlopen(r.Request({at.partition("?")[0]!r}, method="POST")).headers["Location"]
data = open({str(self.folder / "blob")!r}, "rb").read()
mark = "&" if "?" in location else "?"
kind = {{"Content-Type": "application/octet-stream"}}
put = r.Request(location + mark + "digest=sha256:{digest}", data, kind, method="PUT")
assert r.urlopen(put).status == 201
"""
        done = subprocess.run(self.near(sys.executable, "-c", start), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def sync(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        """The agent's exit code and what it reports."""
        done = self.machine.run(AGENT, "sync", *arguments)
        status = json.loads((self.machine.root / "var/lib/slmc/state/status.json").read_text())
        if done.returncode not in (0, 8):
            print(done.stderr, self.machine.run("journalctl", "--no-pager", "--lines=60").stdout)
        return done.returncode, status

    def get(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """What the run on the device answers on its loopback."""
        script = (
            "import json, sys, urllib.request as r; body = json.loads(sys.argv[2]); "
            "data = json.dumps(body).encode() if body else None; "
            "asked = r.Request(sys.argv[1], data, {'Content-Type': 'application/json'}); "
            "print(r.urlopen(asked, timeout=30).read().decode())"
        )
        url = f"http://127.0.0.1:8080{path}"
        done = subprocess.run(
            self.near(sys.executable, "-c", script, url, json.dumps(body)), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        assert isinstance(found, dict)
        return found


@contextmanager
def site(machine: Machine, folder: Path, store: Path, systemd: int) -> Iterator[Site]:
    """The workspace compiled, pushed to the device's registry, released and committed; the agent installed."""
    made = Site(machine, folder, store)
    _workspace(made, systemd)
    with _served(made):
        git("init", "--quiet", "--initial-branch=main", cwd=made.workspace)
        slmc("compile", made.workspace, store=store)
        destination = f"oci://127.0.0.1:{REGISTRY}/shop"
        slmc("push", "--plain-http", made.workspace, destination, store=store, before=made.near())
        ssh.make_key(folder / "key")
        _agent(made)
        made.release("The first release")
        yield made


def _workspace(made: Site, systemd: int) -> None:
    hello = REPOSITORY / "blueprints" / "hello"
    made.workspace.mkdir()
    for name in ("models", "data"):
        shutil.copytree(hello / name, made.workspace / name)
    (made.workspace / "shop.slmc.yaml").write_text(BLUEPRINT.format(arch=ARCH, systemd=systemd))
    (made.workspace / "shops.csv").write_text("id,class\ntill-1,till\n")


def _agent(made: Site) -> None:
    slmc("agent", made.machine.root / AGENT[1:].rpartition("/")[0], store=made.store)
    etc = made.machine.root / "etc/slmc"
    etc.mkdir(parents=True)
    (etc / "allowed_signers").write_text("shop " + (made.folder / "key.pub").read_text())
    settings = {
        "DEVICE": "till-1",
        "FLEET": "shops",
        "TARGET": "systemd",
        "SOURCE": f"git://127.0.0.1:{GIT}/workspace",
        "ARTIFACTS": f"oci+http://127.0.0.1:{REGISTRY}/shop",
        "SIGNERS": "/etc/slmc/allowed_signers",
        "TIMEOUT": "60",
    }
    (etc / "agent.conf").write_text("".join(f"{key}={value}\n" for key, value in settings.items()))


@contextmanager
def _served(made: Site) -> Iterator[None]:
    """Git and a registry, listening on the loopback of the device."""
    settings = made.folder / "registry.yml"
    settings.write_text(
        f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {made.folder / 'blobs'}}}}}\n"
        f"http: {{addr: '127.0.0.1:{REGISTRY}', secret: loopback}}\n"
    )
    git_daemon = ["git", "daemon", "--listen=127.0.0.1", f"--port={GIT}", "--export-all", "--reuseaddr"]
    commands = [
        made.near(tool("docker-registry"), "serve", str(settings)),
        made.near(*git_daemon, f"--base-path={made.folder}"),
    ]
    with (made.folder / "served.log").open("wb") as log:
        servers = [subprocess.Popen(command, stdout=log, stderr=log) for command in commands]
    try:
        for port in (REGISTRY, GIT):
            _wait(made, port)
        yield
    finally:
        for server in servers:
            server.terminate()
            server.wait()


def _wait(made: Site, port: int) -> None:
    script = f"import socket; socket.create_connection(('127.0.0.1', {port}), 1)"
    deadline = time.monotonic() + 20
    while subprocess.run(made.near(sys.executable, "-c", script), capture_output=True, check=False).returncode:
        assert time.monotonic() < deadline, (made.folder / "served.log").read_text()
        time.sleep(0.1)
