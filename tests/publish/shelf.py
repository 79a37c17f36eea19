"""What the tests of pushes and pulls start from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from compiler.artifact.artifact import Artifact, File
from compiler.artifact.store.store import Store
from compiler.cli.main import run


@dataclass(frozen=True)
class Shelf:
    workspace: Path
    store: Store
    artifacts: Mapping[str, Artifact]

    @property
    def files(self) -> dict[str, File]:
        """Every file of an artifact by digest."""
        return {file.digest: file for one in self.artifacts.values() for file in one.files}

    def file(self, artifact: str, name: str) -> File:
        return next(file for file in self.artifacts[artifact].files if file.name == name)

    def data(self, file: File) -> bytes:
        return self.store.path_of(file.digest).read_bytes()

    @property
    def blobs(self) -> dict[str, bytes]:
        return {digest: self.data(file) for digest, file in self.files.items()}


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    """What a command line says for tools; its exit code is in there."""
    capsys.readouterr()
    code = run([*arguments, "--format=json"])
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert code == said["exitCode"]
    return said


def found(said: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Code and place of each diagnostic."""
    return [(one["code"], _place(one.get("place"))) for one in said["diagnostics"]]


def _place(place: Mapping[str, Any] | None) -> str:
    return "" if place is None else f"{place['file']}:{place['line']}" if "line" in place else place["file"]


def moved(said: Mapping[str, Any]) -> dict[str, list[str]]:
    """The files of each artifact that were moved."""
    return {one["name"]: [file["name"] for file in one["files"] if file["moved"]] for one in said["artifacts"]}


def write(path: Path, **config: Any) -> Path:
    """A JSON file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(config))
    return path
