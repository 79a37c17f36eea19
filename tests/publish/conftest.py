"""A workspace whose lock names two artifacts, and a store that has them; one with bundles, and a key."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from compiler.artifact.artifact import Artifact
from compiler.artifact.store.store import Label, Remark, Store
from compiler.lock import text
from compiler.lock.lock import Lock, LockedArtifact
from tests.publish.shelf import Shelf
from tests.publish.yard import ALL, Yard
from tests.ssh import make_key
from tests.values import ARTIFACT, MODEL, SHAPE, digest

CONTENTS = {
    "assistant-1.4.0-int4": {"LICENSE": b"MIT", "model.onnx": b"four" * 500_000, "tokenizer.json": b"{}"},
    "assistant-1.4.0-int8": {"LICENSE": b"MIT", "model.onnx": b"eight" * 1000, "parts/model.onnx.data": b"8" * 3},
}


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shelf:
    for name in ("REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "SLMC_REGISTRY_TOKEN", "SLMC_REGISTRY_USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    store = Store(tmp_path / "store")
    monkeypatch.setenv("SLMC_STORE", str(store.root))
    artifacts = {name: _put(store, tmp_path / "in" / name, name, contents) for name, contents in CONTENTS.items()}
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    entries = {
        name: LockedArtifact(one, digest("5"), MODEL.task, digest("6"), digest("7")) for name, one in artifacts.items()
    }
    (workspace / text.NAME).write_bytes(text.dump(Lock(artifacts=entries)))
    return Shelf(workspace, store, artifacts)


def _put(store: Store, folder: Path, name: str, contents: dict[str, bytes]) -> Artifact:
    for file, data in contents.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(data)
    recipe = name.rpartition("-")[2]
    label = Label(digest(recipe[-1]), name, ARTIFACT.model, recipe, digest("5"))
    remarks = (Remark(0, "STEP_IDLE", "nothing changed"),)
    stored = store.put(label, SHAPE, {file: folder / file for file in contents}, remarks)
    return replace(ARTIFACT, name=name, recipe=recipe, key=label.key, digest=stored.digest, files=stored.files)


@pytest.fixture
def yard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Yard:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    found = Yard(workspace, make_key(tmp_path / "key"))
    found.deploy(*ALL)
    return found
