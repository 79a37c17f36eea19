"""A workspace in Git as slmc writes it, with signed releases, for tests of the agent."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from tests import ssh

FLEET, COHORT, DEVICE = "shops", "counter-pi", "berlin-1-counter-01"
PLACE = f"{FLEET}/{COHORT}/systemd"
FOLDER = "0123456789abcdef" * 4
"""The digest of the artifact of most bundles: where its files lie."""
WEIGHTS = b"weights" * 4000
TOKENS = b"tokens"


def hex_of(data: bytes) -> str:
    return sha256(data).hexdigest()


@dataclass(frozen=True)
class Bundle:
    """What is in a bundle's folder, and the artifact's files that it names."""

    files: Mapping[str, bytes]
    artifact: Mapping[str, bytes]

    @property
    def sums(self) -> bytes:
        return "".join(f"{hex_of(data)}  {name}\n" for name, data in sorted(self.files.items())).encode()

    @property
    def id(self) -> str:
        return hex_of(self.sums)

    def table(self, name: str, columns: slice) -> bytes:
        """Columns of one of its tables, sorted."""
        rows = self.files[name].decode().splitlines()
        return "".join(sorted("\t".join(row.split("\t")[columns]) + "\n" for row in rows)).encode()


def bundle(
    port: int,
    unit: str = "",
    artifact: Mapping[str, bytes] | None = None,
    more: Mapping[str, bytes] | None = None,
    folder: str = FOLDER,
    by: str = "",
) -> Bundle:
    """A bundle of one run whose unit file holds `unit`; `more` are files that it installs into /etc/slmc/; `by` is by
    what the run is known to be ready, if not by the bundle's id."""
    artifact = {"model.onnx": WEIGHTS, "tokens/tokenizer.json": TOKENS} if artifact is None else artifact
    files: dict[str, bytes] = {
        "artifacts.json": b"{}\n",
        "slmc-counter.service": f"[Service]\nExecStart=/bin/true\n{unit}".encode(),
        "nftables-slmc.service": b"[Service]\nExecStart=/bin/true\n",
        "sysusers.conf": b'u slmc - "slmc runs" - -\n',
        "tmpfiles.conf": b"d /var/lib/slmc 0755 root root -\n",
        **(more or {}),
    }
    units = "/etc/systemd/system"
    install = [
        ("nftables-slmc.service", f"{units}/nftables-slmc.service", "0644"),
        ("slmc-counter.service", f"{units}/slmc-counter.service", "0644"),
        ("sysusers.conf", "/etc/sysusers.d/slmc.conf", "0644"),
        ("tmpfiles.conf", "/etc/tmpfiles.d/slmc.conf", "0644"),
        *[(name, f"/etc/slmc/{name}", "0600") for name in more or {}],
    ]
    files["install.tsv"] = _table(install)
    files["artifacts.tsv"] = _table(
        [(hex_of(data), str(len(data)), f"{folder}/{name}") for name, data in artifact.items()]
    )
    ready = f"http://127.0.0.1:{port}/slmc-counter.service/readyz{by and chr(9) + by}"
    files["units.tsv"] = _table([("nftables-slmc.service", "guard", "-"), ("slmc-counter.service", "run", ready)])
    return Bundle(files, artifact)


def _table(rows: list[tuple[str, str, str]]) -> bytes:
    return "".join("\t".join(row) + "\n" for row in rows).encode()


@dataclass
class Workspace:
    """A repository with `deploy/` and `releases/`, and two keys that sign."""

    folder: Path
    keys: dict[str, Path] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        self.git("init", "--quiet", "--initial-branch=main")
        self.put("deploy/shops/devices.csv", f"id,class,cohort,TILL\n{DEVICE},counter-pi,{COHORT},No. 7\n".encode())
        for name in ("first", "second", "stranger"):
            self.keys[name] = ssh.make_key(self.folder.parent / f"key-{name}", comment=name)

    def git(self, *words: str) -> None:
        identity = ["-c", "user.name=slmc", "-c", "user.email=slmc@localhost"]
        subprocess.run(["git", *identity, "-C", self.folder, *words], check=True, capture_output=True)

    @property
    def head(self) -> str:
        return self.revision("main")

    def revision(self, branch: str) -> str:
        return (self.folder / ".git/refs/heads" / branch).read_text().strip()

    def put(self, name: str, data: bytes) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def signers(self, *names: str) -> str:
        keys = [self.keys[name].with_suffix(".pub").read_text() for name in names]
        return "".join(f'release-{name} namespaces="slmc-release" {key}' for name, key in zip(names, keys, strict=True))

    def deploy(self, bundle: Bundle, place: str = PLACE) -> None:
        for name, data in {**bundle.files, "SHA256SUMS": bundle.sums}.items():
            self.put(f"deploy/{place}/{name}", data)

    def sign(self, text: str, key: str = "first", place: str = PLACE, namespace: str = "slmc-release") -> None:
        release = self.folder / "releases" / place / "release"
        release.parent.mkdir(parents=True, exist_ok=True)
        release.write_text(text)
        ssh.sign(release, self.keys[key], namespace)

    def commit(self) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "Release")

    def release(self, bundle: Bundle, serial: int, key: str = "first", place: str = PLACE) -> None:
        """Put, sign and commit a bundle."""
        self.deploy(bundle, place)
        self.sign(release_text(bundle, serial, place), key, place)
        self.commit()


def release_text(bundle: Bundle, serial: int, place: str = PLACE, expires: str = "2100-01-01T00:00:00Z") -> str:
    fleet, *_, cohort, target = place.split("/")
    return (
        f"format slmc-release-1\nfleet {fleet}\ncohort {cohort}\ntarget {target}\n"
        f"bundle {bundle.id}\nserial {serial}\nexpires {expires}\n"
    )
