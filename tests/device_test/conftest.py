"""The example workspace, compiled once; a copy of it for each test that changes something."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from compiler.testing.limits import limited
from tests.conftest import REPOSITORY
from tests.tools import absent


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    generated = shutil.ignore_patterns("deploy", "slmc.lock")
    folder = tmp_path_factory.mktemp("device-test") / "hello"
    shutil.copytree(REPOSITORY / "blueprints" / "hello", folder, ignore=generated)
    compile_workspace(folder, tmp_path_factory.getbasetemp() / "store")
    return folder


@pytest.fixture
def shop(compiled: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(compiled, tmp_path / "shop"))


@pytest.fixture
def holding() -> None:
    """Skips where no limit holds."""
    with limited(2**30, 1) as limits:
        if limits.unenforced:
            absent(f"limits do not hold here: {limits.unenforced}")


def compile_workspace(folder: Path, store: Path) -> None:
    words = [sys.executable, "-c", "from compiler.cli.main import main; main()", "compile", str(folder)]
    subprocess.run(words, check=True, capture_output=True, cwd=REPOSITORY, env=os.environ | {"SLMC_STORE": str(store)})
