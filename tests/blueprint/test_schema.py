"""The JSON Schemas: as committed, and of one mind with the door."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from compiler.blueprint.merge import merge
from compiler.blueprint.schema import all_schemas, blueprint_schema, target_schema
from compiler.syntax.read import parse, read
from tests.blueprint.emitter import emit
from tests.blueprint.examples import RICH
from tests.blueprint.test_mutations import FIXED, KEYS, LEAVES, NODES

REPOSITORY = Path(__file__).parents[2]
EXAMPLES = sorted(REPOSITORY.glob("blueprints/**/*.slmc.yaml"))
TARGETS = sorted(REPOSITORY.glob("targets/*/target.yaml"))
assert EXAMPLES
assert TARGETS
VALIDATOR = jsonschema.Draft7Validator(blueprint_schema())


def changed(path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    data = copy.deepcopy(RICH)
    container: Any = data
    for step in path[:-1]:
        container = container[step]
    container[path[-1]] = value
    return data


def without(path: tuple[Any, ...]) -> dict[str, Any]:
    data = copy.deepcopy(RICH)
    container: Any = data
    for step in path[:-1]:
        container = container[step]
    del container[path[-1]]
    return data


MUTANTS = [
    *(changed((*path, "zzzz"), 1) for path, _ in FIXED),
    *(without(path) for path, _ in KEYS),
    *(changed(path, 7.5 if isinstance(value, (dict, list)) else {"zz": 1}) for path, value in NODES),
    *(changed(path, None) for path, _ in NODES),
    *(changed(path, [value, value]) for path, value in LEAVES),
    *(changed(path, -1) for path, _ in LEAVES),
    *(changed(path, "A b/ä") for path, _ in LEAVES),
    *(changed(path, "") for path, _ in LEAVES),
    *(changed(path, True) for path, _ in LEAVES),
    *(changed(path, type(value)()) for path, value in NODES if isinstance(value, (dict, list))),
    *(changed(("models",), {name: RICH["models"]["assistant"]}) for name in ("A", "-a", "a" * 64, "a_b")),
    *(changed(("deviceClasses", "x"), {"memory": size}) for size in ("8Gb", "8", "8 GB", "8  GB", "-8GB", "8.GB")),
    *(
        changed(("recipes", "every-step", "gates", "topOneAgreement", "min"), share)
        for share in ("100%", "100.1%", "0.95", "1", 1, 1.5, 0, "5 %", "005%", "%")
    ),
    *(
        changed(("deviceClasses", "pi-5-8g", "price", "date"), date)
        for date in (2025, "2025", "2025-13", "2025-1", "2025-11-31", 25, "2025-11-32")
    ),
]


@pytest.mark.parametrize("name", sorted(all_schemas()))
def test_committed_schemas_are_current(name: str) -> None:
    committed = (REPOSITORY / "schemas" / name).read_bytes()
    assert committed == all_schemas()[name], "run `slmc schema --write schemas`"


def test_no_other_schemas_are_committed() -> None:
    assert sorted(path.name for path in (REPOSITORY / "schemas").iterdir()) == sorted(all_schemas())


@pytest.mark.parametrize("schema", [blueprint_schema(), target_schema()], ids=["blueprint", "target"])
def test_schemas_are_made_for_editors(schema: dict[str, Any]) -> None:
    jsonschema.Draft7Validator.check_schema(schema)
    text = json.dumps(schema)
    assert '"title"' not in text
    assert '"null"' not in text
    assert "oneOf" not in text
    for definition in [schema, *schema["definitions"].values()]:
        assert definition["additionalProperties"] is False
        for key, value in definition["properties"].items():
            described = value.get("description") or value.get("enum") or value.get("$ref")
            assert described, f"{key} has no description"


def test_the_rich_blueprint_is_valid() -> None:
    VALIDATOR.validate(RICH)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_example_blueprints_are_valid(path: Path) -> None:
    document, diagnostics = read(path, path.name)
    assert diagnostics == []
    assert document is not None
    VALIDATOR.validate(document.data)


@pytest.mark.parametrize("path", TARGETS, ids=lambda path: path.parent.name)
def test_targets_are_valid(path: Path) -> None:
    document, diagnostics = read(path, path.name)
    assert diagnostics == []
    assert document is not None
    jsonschema.Draft7Validator(target_schema()).validate(document.data)


def test_the_schema_and_the_door_agree() -> None:
    """Whatever the door refuses, an editor underlines too, and nothing else."""
    outcomes: dict[bool, int] = {True: 0, False: 0}
    for mutant in MUTANTS:
        document, diagnostics = parse(emit(mutant).text.encode(), "mutant")
        assert diagnostics == []
        assert document is not None
        fine = merge([document])[1] == []
        assert VALIDATOR.is_valid(document.data) == fine, emit(mutant).text
        outcomes[fine] += 1
    assert outcomes[True] > 50
    assert outcomes[False] > 400


def test_a_step_is_an_enum_of_its_kinds() -> None:
    """What completion needs: the tags as an enum, and the keys of one kind only after its tag."""
    items = blueprint_schema()["definitions"]["RecipeSpec"]["properties"]["steps"]["items"]
    kinds = [
        "optimize", "quantize", "prune", "sparse-encode", "fix-shapes", "convert-opset", "extract", "merge-adapter",
        "ort-format", "package", "convert",
    ]  # fmt: skip
    assert items["properties"] == {"kind": {"type": "string", "enum": kinds}}
    assert items["required"] == ["kind"]
    assert items["allOf"][0] == {
        "if": {"properties": {"kind": {"const": "optimize"}}, "required": ["kind"]},
        "then": {"$ref": "#/definitions/OptimizeStep"},
    }
