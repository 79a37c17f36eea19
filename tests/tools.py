"""The real programs that read what slmc renders. Where one is absent a test skips, in CI it fails."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

import pytest

from tests.conftest import REPOSITORY

_PATH = os.pathsep.join([str(REPOSITORY / ".ci" / "tools" / "bin"), os.environ["PATH"], "/usr/sbin", "/sbin"])


def absent(reason: str) -> NoReturn:
    if os.environ.get("SLMC_REQUIRE_TOOLS"):
        pytest.fail(f"{reason}, and SLMC_REQUIRE_TOOLS is set; .ci/system-packages installs it")
    pytest.skip(reason)


def tool(name: str) -> str:
    """The program `name`; `.ci/tools/bin` comes first."""
    return shutil.which(name, path=_PATH) or absent(f"{name} is not installed")


def need_root() -> None:
    if os.geteuid() != 0:
        absent("only root can do this")


def run(
    *command: str | Path, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the first word as a tool; its output as text, whatever it exits with."""
    words = [tool(str(command[0])), *map(str, command[1:])]
    environment = os.environ | {"PATH": _PATH} | (env or {})
    return subprocess.run(words, env=environment, cwd=cwd, capture_output=True, text=True, check=False)


def accepted(done: subprocess.CompletedProcess[str]) -> bool:
    """Whether the tool exited with 0 and warned of nothing."""
    return done.returncode == 0 and not done.stderr.strip()


def put(files: Mapping[str, bytes], folder: Path, names: Sequence[str] = ()) -> Path:
    """Write `files` (all, or those of `names`) below `folder`."""
    for name in names or files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(files[name])
    return folder
