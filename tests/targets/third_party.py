"""What others make of their own formats: schemas in the folder that SLMC_SCHEMAS names, packages of the `dev` extra."""

from __future__ import annotations

import importlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from jsonschema.validators import validator_for

from tests.tools import absent


def package(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        absent(f"{name} is not installed")


def schema(name: str) -> Any:
    """The JSON schema `name` of the folder. It is not slmc's to ship, so the test is skipped without it."""
    folder = os.environ.get("SLMC_SCHEMAS")
    if not folder:
        pytest.skip(f"SLMC_SCHEMAS names no folder with {name}")
    path = Path(folder) / name
    if not path.is_file():
        pytest.skip(f"the folder that SLMC_SCHEMAS names has no {name}")
    return json.loads(path.read_text(encoding="utf-8"))


def faults(schema: Any, value: Any) -> list[str]:
    """What the schema finds wrong, as `path: message`."""
    validator = validator_for(schema)(schema)
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]
