"""The peers' own Python environments, made once below the work folder."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).parent


def environment(name: str, work: Path) -> tuple[Path | None, str]:
    """The folder of programs of the environment with `requirements-NAME.txt`, or None and why there is none."""
    folder = work / "environments" / name
    programs = folder / "bin"
    complete = folder / "complete"
    wanted = HERE / f"requirements-{name}.txt"
    if complete.exists() and complete.read_text() == wanted.read_text():
        return programs, ""
    print(f"  installing requirements-{name}.txt", file=sys.stderr, flush=True)
    venv.create(folder, with_pip=True, clear=True)
    command = [str(programs / "python"), "-m", "pip", "install", "--quiet", "--requirement", str(wanted)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        return None, (errors or ["pip failed"])[-1]
    complete.write_text(wanted.read_text())
    return programs, ""


def versions(programs: Path | None, *packages: str) -> dict[str, str]:
    """The versions of installed packages of an environment; of this one, for None."""
    python = str(programs / "python") if programs else sys.executable
    script = "import sys; from importlib.metadata import version\nfor name in sys.argv[1:]: print(version(name))"
    done = subprocess.run([python, "-c", script, *packages], capture_output=True, text=True, check=True)
    return dict(zip(packages, done.stdout.split(), strict=True))
