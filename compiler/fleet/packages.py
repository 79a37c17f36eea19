"""Sources that are packages: `pypi://NAME/VERSION/FOLDER` is a folder in a wheel that `slmc fetch` put into the store.

A compile reads what was fetched and never fetches anything itself.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from compiler.base import files
from compiler.blueprint.blueprint import Blueprint

FETCHED = Path("sources", "pypi")
"""In the store: a folder for each wheel, `NAME-VERSION`, with `~` for every `-` of the version."""

_SCHEME = "pypi://"
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,98}[A-Za-z0-9])?")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.!+_-]{0,62}")


@dataclass(frozen=True, slots=True)
class Package:
    """A wheel, and the folder in it that is a model. `name` is normalized as PEP 503 says."""

    name: str
    version: str
    folder: str

    @classmethod
    def of(cls, source: str) -> Package | None:
        """None for what is no package, or not spelt as one."""
        if not is_package(source):
            return None
        name, version, folder = (*source[len(_SCHEME) :].split("/", 2), "", "")[:3]
        folder = posixpath.normpath(folder) if folder.strip("/") else ""
        if not (_NAME.fullmatch(name) and _VERSION.fullmatch(version) and files.stays_below(folder)):
            return None
        return cls(re.sub(r"[-_.]+", "-", name).lower(), version, folder)

    def __str__(self) -> str:
        return f"{_SCHEME}{self.name}/{self.version}/{self.folder}"

    def unpacked(self, store: Path) -> Path:
        """Where the wheel is when it was fetched: there is the whole of it or nothing.

        The last `-` ends the name: `a-1` of version 2 and `a` of version 1-2 are two packages.
        """
        return store / FETCHED / f"{self.name}-{self.version.replace('-', '~')}"


def is_package(source: str) -> bool:
    """Whether a source has the scheme of packages, well spelt or not."""
    return source.lower().startswith(_SCHEME)


def source_folder(workspace: Path, store: Path, source: str) -> Path:
    """Where the files of a model's source are, or would be. `source` is a path in the workspace or a package."""
    package = Package.of(source)
    return workspace / source if package is None else package.unpacked(store) / package.folder


def packages(blueprint: Blueprint) -> Iterator[tuple[str, str, Package]]:
    """The packages among the sources of all declared models, used or not, with model and version."""
    for name, model in blueprint.models.items():
        for version, spec in model.versions.items():
            if package := Package.of(spec.source):
                yield name, version, package


def watched(store: Path, blueprint: Blueprint) -> list[str]:
    """The folders outside the workspace that its compile reads."""
    return sorted({str(package.unpacked(store)) for _, _, package in packages(blueprint)})
