"""A bundle's folder: its id, its own files, the files of the artifact that it names."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from slmc_runtime.config import SERVE, Run, read_run
from slmc_runtime.fields import read
from slmc_runtime.refused import ABSENT, CONFIG, DIFFERS, MACHINE, Refused

SUMS, ARTIFACTS, GOLDEN = "SHA256SUMS", "artifacts.json", "golden.json"
_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
"""What `uname -m` says, by the architecture's name in Debian and OCI."""


@dataclass(frozen=True, slots=True)
class File:
    name: str
    size: int
    digest: str


@dataclass(frozen=True, slots=True)
class Bundle:
    """`id` is the sha256 of its `SHA256SUMS`. `golden` is the artifact's entry in `golden.json`, None without one."""

    id: str
    run: Run
    files: tuple[File, ...]
    golden: Mapping[str, Any] | None


def open_bundle(folder: Path, run: str, environment: Mapping[str, str]) -> Bundle:
    """Read the bundle once: a link such as `current` may lead elsewhere later. Raises Refused."""
    folder = folder.resolve()
    if not folder.is_dir():
        raise Refused(ABSENT, f"there is no bundle {folder}")
    try:
        sums = (folder / SUMS).read_bytes()
    except OSError:
        raise Refused(ABSENT, f"{folder} has no {SUMS}, so it is no bundle") from None
    _check_sums(folder, sums)
    chosen = read_run(folder, run, environment)
    return Bundle(hashlib.sha256(sums).hexdigest(), chosen, _files(folder, chosen), _golden(folder, chosen))


def check_machine(run: Run) -> None:
    """Raises Refused on another architecture than that of the run's devices."""
    wanted = _MACHINES.get(run.architecture, run.architecture)
    if (found := platform.machine()) != wanted:
        raise Refused(MACHINE, f"the bundle is for {run.architecture} ({wanted}), and this machine is {found}")


def check_artifact(bundle: Bundle, *, digests: bool) -> None:
    """Compare the artifact's files with what the bundle says of them. Raises Refused."""
    folder = bundle.run.folder
    if not folder.is_dir():
        raise Refused(ABSENT, f"the artifact {bundle.run.artifact} is not there: no folder {folder}")
    for file in bundle.files:
        path = folder / file.name
        try:
            size = path.stat().st_size
            if size != file.size:
                raise Refused(DIFFERS, f"{path} has {size} bytes, and not {file.size} as in {ARTIFACTS}")
            if digests and (found := _digest(path)) != file.digest:
                raise Refused(DIFFERS, f"{path} has the digest {found}, and not {file.digest} as in {ARTIFACTS}")
        except OSError as error:
            raise Refused(ABSENT, f"{path} cannot be read: {error.strerror}") from None


def _check_sums(folder: Path, sums: bytes) -> None:
    """The id is of no use when the files that the server reads are not those of the id."""
    lines = [line.partition("  ") for line in sums.decode("utf-8", "replace").splitlines()]
    listed = {name: f"sha256:{digest}" for digest, _, name in lines}
    for name in (SERVE, ARTIFACTS, GOLDEN):
        path = folder / name
        if name not in listed:
            continue
        # Without its golden answers, which only this file says there are, any model would count as right.
        if not path.is_file():
            raise Refused(ABSENT, f"there is no file {path}, which {SUMS} names")
        if _digest(path) != listed[name]:
            raise Refused(DIFFERS, f"{path} is not the file that {SUMS} names")


def _files(folder: Path, run: Run) -> tuple[File, ...]:
    for entry in read(folder / ARTIFACTS).objects("artifacts"):
        if entry.text("digest") == run.digest:
            files = [File(f.text("name"), f.whole("size", 0), f.text("digest")) for f in entry.objects("files")]
            for file in files:
                path = PurePosixPath(file.name)
                if path.is_absolute() or ".." in path.parts:
                    raise Refused(CONFIG, f"{ARTIFACTS} names `{file.name}`, which is outside of the artifact")
            return tuple(files)
    raise Refused(CONFIG, f"{ARTIFACTS} does not list {run.digest}, which {SERVE} names")


def _golden(folder: Path, run: Run) -> Mapping[str, Any] | None:
    if not (folder / GOLDEN).is_file():
        return None
    for entry in read(folder / GOLDEN).objects("artifacts"):
        if entry.text("digest") == run.digest:
            entry.text("task", (run.task,))
            return entry.values
    return None


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
