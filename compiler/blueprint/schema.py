"""JSON Schemas of the files that people write, for the editors they write them in.

pydantic's own schema misleads editors: a union by tag completes nothing, and titles repeat
the keys. Here a union by tag is an enum of its tags and one if/then for each.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from compiler.blueprint.file_spec import BlueprintSpec
from compiler.blueprint.spec import Spec
from compiler.blueprint.target_spec import TargetSpec

_DIALECT = "http://json-schema.org/draft-07/schema#"


def all_schemas() -> dict[str, bytes]:
    """File name → contents of every schema, as they stand in `schemas/`."""
    schemas = {"blueprint": blueprint_schema(), "target": target_schema()}
    return {
        f"{name}.schema.json": (json.dumps(schema, indent=2, ensure_ascii=False) + "\n").encode()
        for name, schema in schemas.items()
    }


def blueprint_schema() -> dict[str, Any]:
    """The schema of a `*.slmc.yaml` file."""
    return _schema(BlueprintSpec, "blueprint")


def target_schema() -> dict[str, Any]:
    """The schema of a `target.yaml` file."""
    return _schema(TargetSpec, "target")


def _schema(spec: type[Spec], name: str) -> dict[str, Any]:
    generated = TypeAdapter(spec).json_schema(schema_generator=EditorSchema, mode="validation")
    # Draft 7, as this is what yaml-language-server and SchemaStore speak.
    definitions = generated.pop("$defs")
    schema = {"$schema": _DIALECT, "$id": f"urn:slmc:schema:v1alpha1:{name}", **generated, "definitions": definitions}
    return json.loads(json.dumps(schema).replace("#/$defs/", "#/definitions/"))  # type: ignore[no-any-return]


class EditorSchema(GenerateJsonSchema):
    """pydantic's generator, mended for completion and for what the door really takes."""

    def get_title_from_name(self, name: str) -> str:
        return ""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        made = super().model_schema(schema)
        made.pop("title", None)
        made["additionalProperties"] = False
        return made

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """Leave out the default of a key that means nothing until it is written."""
        made = super().default_schema(schema)
        if not isinstance(made.get("default"), (str, int, float)):
            made.pop("default", None)
        return made

    def literal_schema(self, schema: core_schema.LiteralSchema) -> JsonSchemaValue:
        made = super().literal_schema(schema)
        if "const" in made:
            return {"type": made["type"], "enum": [made["const"]]}  # editors complete enums only
        return made

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        """Keys by `propertyNames`; pydantic would let a key of another form have any value."""
        made: JsonSchemaValue = {"type": "object"}
        keys = self.generate_inner(schema["keys_schema"]) if "keys_schema" in schema else {}
        limits = {name: keys[name] for name in ("pattern", "maxLength") if name in keys}
        if limits:
            made["propertyNames"] = limits
        if "values_schema" in schema:
            made["additionalProperties"] = self.generate_inner(schema["values_schema"])
        if "min_length" in schema:
            made["minProperties"] = schema["min_length"]
        return made

    def tagged_union_schema(self, schema: core_schema.TaggedUnionSchema) -> JsonSchemaValue:
        discriminator = schema["discriminator"]
        choices = {str(tag): self.generate_inner(choice) for tag, choice in schema["choices"].items()}
        if not isinstance(discriminator, str):
            return {"anyOf": list(choices.values())}  # told apart by type, which editors do themselves
        return {
            "type": "object",
            "required": [discriminator],
            "properties": {discriminator: {"type": "string", "enum": list(choices)}},
            "allOf": [
                {"if": {"properties": {discriminator: {"const": tag}}, "required": [discriminator]}, "then": choice}
                for tag, choice in choices.items()
            ],
        }
