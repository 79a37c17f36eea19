"""Options and fixtures of every test."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

REPOSITORY = Path(__file__).parent.parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update", action="store_true", help="rewrite the expected output of golden tests")


@pytest.fixture
def update(request: pytest.FixtureRequest) -> bool:
    """Whether golden tests rewrite what they expect."""
    return bool(request.config.getoption("--update"))


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY


@pytest.fixture(autouse=True)
def _quiet_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Tests share one store of their own, and see none of the developer's settings."""
    monkeypatch.setenv("SLMC_STORE", str(tmp_path_factory.getbasetemp() / "store"))
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.delenv("SLMC_TRACEBACK", raising=False)


@pytest.fixture
def hello(tmp_path: Path) -> Path:
    """The example workspace in a folder of its own, never compiled."""
    generated = shutil.ignore_patterns("deploy", "slmc.lock")
    return Path(shutil.copytree(REPOSITORY / "blueprints" / "hello", tmp_path / "hello", ignore=generated))
