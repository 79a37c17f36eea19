"""From pydantic's `loc` to a path in the document.

pydantic puts the tags of unions into `loc`: `('steps', 0, 'quantize', 'int4', 'bits')`. Which
elements are tags is told by the schema that pydantic validates with, so both are walked together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter

from compiler.syntax.document import Path

KEY = "[key]"
"""pydantic's last element of `loc` when the key itself is wrong."""


@dataclass(slots=True)
class Located:
    """Where an error is: the path without tags, and what the schema says there."""

    path: Path = ()
    at_key: bool = False
    schema: dict[str, Any] = field(default_factory=dict)
    required: bool = False
    """Whether the error is at a key that has to be written."""
    owner: dict[str, Any] = field(default_factory=dict)
    """Schema of the innermost mapping with fixed keys around the error."""
    unions: tuple[dict[str, Any], ...] = ()
    """The unions that `owner` was chosen from, outermost first."""
    tags: tuple[dict[str, Any], ...] = ()
    """The unions whose tags came since the last element of the path."""


class Locator:
    """Locates the errors of one adapter."""

    def __init__(self, adapter: TypeAdapter[Any]) -> None:
        self._root: Any = adapter.core_schema
        self._definitions: dict[str, Any] = {}
        if self._root["type"] == "definitions":
            self._definitions = {schema["ref"]: schema for schema in self._root["definitions"]}

    def locate(self, loc: Sequence[str | int]) -> Located:
        found = Located(schema=self.unwrap(self._root))
        path: list[str | int] = []
        free = False
        for element in loc:
            if element == KEY and free:  # a user's key may be spelt like that too
                found.at_key = True
                break
            free = found.schema.get("type") == "dict"
            self._step(found, path, element)
        found.path = tuple(path)
        return found

    def unwrap(self, schema: dict[str, Any]) -> dict[str, Any]:
        """The schema inside defaults, validators and references."""
        while True:
            if schema["type"] == "definition-ref":
                schema = self._definitions[schema["schema_ref"]]
            elif isinstance(schema.get("schema"), dict):
                schema = schema["schema"]
            else:
                return schema

    def aliases(self, owner: dict[str, Any]) -> list[str]:
        """The keys, as spelt in YAML, of a mapping with fixed keys."""
        return list(self._fields(owner))

    def description(self, owner: dict[str, Any], key: str) -> str | None:
        """What the format says about a key of a mapping with fixed keys."""
        updates = self._fields(owner)[key].get("metadata", {}).get("pydantic_js_updates", {})
        text = updates.get("description")
        return str(text) if text else None

    def choices(self, union: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """Tag → schema of what a tagged union allows."""
        return {str(tag): self.unwrap(schema) for tag, schema in union.get("choices", {}).items()}

    def _step(self, found: Located, path: list[str | int], element: str | int) -> None:
        schema = found.schema
        kind = schema.get("type")
        if kind == "tagged-union":
            choices = self.choices(schema)
            if element in choices:
                found.tags, found.schema = (*found.tags, schema), choices[str(element)]
                return
        path.append(element)
        found.required = False
        inner: dict[str, Any] | None = None
        if kind == "model-fields":
            found.owner, found.unions = schema, found.tags
            inner = self._fields(schema).get(str(element))
            found.required = inner is not None and inner["schema"]["type"] != "default"
        elif kind == "list":
            inner = schema["items_schema"]
        elif kind == "dict":
            inner = schema["values_schema"]
        found.schema = self.unwrap(inner["schema"] if kind == "model-fields" else inner) if inner else {}
        found.tags = ()

    def _fields(self, owner: dict[str, Any]) -> dict[str, Any]:
        return {str(one["validation_alias"]): one for one in owner.get("fields", {}).values()}
