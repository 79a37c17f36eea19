"""JSON schemas of other projects' kinds, from a folder that SLMC_CRD_SCHEMAS names.

They are not part of this project. The folder is laid out as the CRDs catalog of datreeio has it:
`source.toolkit.fluxcd.io/gitrepository_v1.json`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

VARIABLE = "SLMC_CRD_SCHEMAS"


def faults(thing: Any, schemas: Path | None = None) -> list[str]:
    """What the schema of its kind says against an object. Skips without a folder, fails without the kind's schema."""
    folder = schemas or Path(os.environ.get(VARIABLE) or pytest.skip(f"{VARIABLE} names no folder of schemas"))
    group, _, version = thing["apiVersion"].partition("/")
    schema = json.loads((folder / group / f"{thing['kind'].lower()}_{version}.json").read_text(encoding="utf-8"))
    Draft7Validator.check_schema(schema)
    return [f"{error.json_path}: {error.message}" for error in Draft7Validator(schema).iter_errors(thing)]
