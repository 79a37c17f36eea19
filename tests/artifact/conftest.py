"""Stores and workspaces of the tests of this stage."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from compiler.artifact.store.store import Store, Stored
from tests.artifact.building import FAST, SMALL, built, write_workspace
from tests.artifact.shelf import put


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    return write_workspace(tmp_path / "workspace")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty one."""
    return Store(tmp_path / "store")


@pytest.fixture(scope="session")
def _filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("filled")
    built(write_workspace(folder / "workspace"), Store(folder / "store"), SMALL, FAST)
    return folder / "store"


@pytest.fixture
def warm(_filled: Path, tmp_path: Path) -> Store:
    """One in which the recipes SMALL and FAST were built and measured."""
    return Store(Path(shutil.copytree(_filled, tmp_path / "warm")))


@pytest.fixture
def stored(store: Store, tmp_path: Path) -> Stored:
    return put(store, tmp_path / "in")
