"""Runs the shell steps of a pipeline's jobs, in a clone of a real repository, as the forges' runners would.

Actions are stood in for by what they do to files. `slmc` is this checkout's, but for the commands that need a device's
limits, a registry or a key: those are recorded.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.conftest import REPOSITORY

PIPELINES = REPOSITORY / "pipelines"
_SLMC = """#!/bin/sh
case $1 in
test) shift; echo "test $*" >> "$CALLS"; while [ $# -gt 1 ]; do shift; done; echo "<testsuites/>" > "$1" ;;
push) echo "$*" >> "$CALLS" ;;
release) echo "$*" >> "$CALLS"; cat "$4" >> "$CALLS"; mkdir -p "$2/releases"; echo signed > "$2/releases/release" ;;
*) PYTHONPATH="{repository}" exec "{python}" -m compiler.cli "$@" ;;
esac
"""
_GH = """#!/bin/sh
echo "$*" >> "$CALLS"
case $* in *--paginate*) printf '%s' "$COMMENTS" ;; esac
"""
_EXPRESSION = re.compile(r"\$\{\{ (.*?) \}\}")


@dataclass
class Runner:
    """`folder` gets the repository, programs, and each job's files."""

    folder: Path
    values: dict[str, str] = field(default_factory=dict)
    """What expressions of a GitHub workflow stand for."""
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        programs = self.folder / "programs"
        programs.mkdir(parents=True)
        for name, text in (("slmc", _SLMC), ("gh", _GH)):
            (programs / name).write_text(
                text.replace("{repository}", str(REPOSITORY)).replace("{python}", sys.executable)
            )
            (programs / name).chmod(0o755)
        self.environment |= {
            "PATH": f"{programs}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "CALLS": str(self.folder / "calls"),
        }

    @property
    def calls(self) -> list[str]:
        path = self.folder / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def git(self, *words: str, cwd: Path | None = None) -> str:
        command = ["git", "-c", "user.name=you", "-c", "user.email=you@example.org", *words]
        where = cwd or self.folder / "repository"
        return subprocess.run(command, cwd=where, check=True, capture_output=True, text=True).stdout

    def shell(self, script: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
        command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script]
        return subprocess.run(
            command,
            cwd=self.folder / "repository",
            env=os.environ | self.environment | environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def evaluated(self, value: Any) -> str:
        return _EXPRESSION.sub(lambda found: self.values[found[1]], str(value))

    def github_job(self, workflow: dict[str, Any], name: str) -> dict[str, str]:
        """Run a job's steps; what they put out by name. `runner.temp` is new for each job, as the store is."""
        temp = Path(self.values.setdefault("runner.temp", str(self.folder / "temp")))
        shutil.rmtree(temp, ignore_errors=True)
        temp.mkdir()
        shared = workflow["env"] | {"RUNNER_TEMP": str(temp), "SLMC_STORE": str(temp / "store")}
        shared |= {"GITHUB_OUTPUT": str(temp / "output"), "GITHUB_STEP_SUMMARY": str(temp / "summary")}
        for step in workflow["jobs"][name]["steps"]:
            if "run" in step:
                own = {key: self.evaluated(value) for key, value in step.get("env", {}).items()}
                done = self.shell(step["run"], shared | own)
                assert done.returncode == 0, f"{step['run']}\n{done.stdout}{done.stderr}"
            elif "artifact@" in step["uses"]:
                self._artifact(step["uses"], {key: self.evaluated(value) for key, value in step["with"].items()})
        output = temp / "output"
        return dict(line.split("=", 1) for line in output.read_text().splitlines()) if output.exists() else {}

    def _artifact(self, action: str, given: dict[str, str]) -> None:
        kept, path = self.folder / "uploads", Path(given["path"])
        if "upload" in action:
            if path.is_dir():
                shutil.copytree(path, kept / given["name"])
            elif path.exists():
                (kept / given["name"]).mkdir(parents=True)
                shutil.copy(path, kept / given["name"])
            else:
                assert given["if-no-files-found"] == "ignore"
        elif "name" in given:
            shutil.copytree(kept / given["name"], path, dirs_exist_ok=True)
        else:
            for found in kept.glob(given["pattern"]):
                shutil.copytree(found, path / found.name)

    def gitlab_job(self, pipeline: dict[str, Any], name: str, **environment: str) -> None:
        """Run a job's script. What it leaves in `.slmc` but its own store is there for later jobs."""
        project = self.folder / "repository"
        variables = {
            key: value.replace("$CI_PROJECT_DIR", str(project)) for key, value in pipeline["variables"].items()
        }
        (project / ".slmc").mkdir(exist_ok=True)
        done = self.shell("\n".join(pipeline["jobs"][name]["script"]), variables | environment)
        assert done.returncode == 0, f"{name}\n{done.stdout}{done.stderr}"


def github() -> dict[str, Any]:
    return _read(PIPELINES / "github" / ".github" / "workflows" / "slmc.yaml")


def gitlab() -> dict[str, Any]:
    """The pipeline with its jobs under `jobs`."""
    found = _read(PIPELINES / "gitlab" / ".gitlab-ci.yml")
    jobs = {name: found.pop(name) for name in list(found) if isinstance(found[name], dict) and "stage" in found[name]}
    return found | {"jobs": jobs}


def _read(path: Path) -> dict[str, Any]:
    found = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found
