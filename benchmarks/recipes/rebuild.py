"""Whether two compiles give the same bytes: from two checkouts, under two hash seeds, into two empty stores."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.recipes.encoder_rows import Recipe

_CHECKOUT = ("compiler", "catalogue", "targets", "schemas", "pyproject.toml")
_CLI = "from compiler.cli.main import main; main()"
_CLASS = "builtin/intel-n100-8g"
_TEXTS = 3
"""Evaluated, as a build does so; few, as it is not what is looked at."""


@dataclass(frozen=True, slots=True)
class Same:
    artifacts: int
    different: list[str]
    """Names of recipes."""
    failed: str = ""


def twice(root: Path, checkpoint: Path, recipes: Sequence[Recipe], calibration: Path, work: Path) -> Same:
    """Build all recipes from the model as it came: its graph is built anew, too."""
    found = []
    for seed, at in (("1", work / "one"), ("2", work / "other" / "deeper")):
        _check_out(root, at / "checkout")
        _write_workspace(checkpoint, recipes, calibration, at / "workspace")
        environment = {**os.environ, "PYTHONHASHSEED": seed, "SLMC_STORE": str(at / "store")}
        command = [sys.executable, "-c", _CLI, "build", str(at / "workspace"), "--format=json"]
        process = subprocess.run(command, cwd=at / "checkout", env=environment, stdout=subprocess.PIPE, check=False)
        said = json.loads(process.stdout)
        if process.returncode:
            return Same(0, [], said["diagnostics"][0]["message"])
        found.append({one["recipe"]: one["digest"] for one in said["artifacts"]})
        shutil.rmtree(at)
    one, other = found
    assert one.keys() == other.keys() == set(_named(recipes))
    names = _named(recipes)
    return Same(len(one), [names[key].name for key in one if one[key] != other[key]])


def _check_out(root: Path, at: Path) -> None:
    at.mkdir(parents=True)
    for name in _CHECKOUT:
        if (root / name).is_dir():
            shutil.copytree(root / name, at / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(root / name, at / name)


def _named(recipes: Sequence[Recipe]) -> dict[str, Recipe]:
    return {f"recipe-{number}": recipe for number, recipe in enumerate(recipes)}


def _write_workspace(checkpoint: Path, recipes: Sequence[Recipe], calibration: Path, at: Path) -> None:
    shutil.copytree(checkpoint, at / "model")
    shutil.copyfile(calibration, at / "calibration.jsonl")
    (at / "few.jsonl").write_text("".join(calibration.read_text("utf-8").splitlines(keepends=True)[:_TEXTS]), "utf-8")
    (at / "devices.csv").write_text(f"id,class\none,{_CLASS}\n")
    named = _named(recipes)
    model = {"task": "embeddings", "license": "Apache-2.0", "evaluate": {"data": "few.jsonl"}}
    run = {"model": "encoder@1.0.0", "recipe": {"choose": list(named), "minimize": "size"}}
    fleet = {"inventory": "devices.csv", "region": "eu", "targets": ["systemd"]}
    privacy = {"dataClass": "public", "residency": "eu", "egress": "deny", "telemetry": []}
    blueprint = {
        "apiVersion": "slmc.dev/v1alpha1",
        "kind": "Blueprint",
        "models": {"encoder": model | {"versions": {"1.0.0": {"source": "model"}}}},
        "recipes": {name: {"steps": list(recipe.steps)} for name, recipe in named.items()},
        "fleets": {
            "all": fleet | {"runs": {"encode": run | {"serve": {"command": ["/bin/true"]}}}, "privacy": privacy}
        },
    }
    # JSON is YAML.
    (at / "all.slmc.yaml").write_text(json.dumps(blueprint))
