"""The value that leaves the pydantic door: every file of the workspace, merged by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from compiler.base.span import Span
from compiler.blueprint.fleet_spec import FleetSpec
from compiler.blueprint.model_spec import ModelSpec
from compiler.blueprint.recipe_spec import RecipeSpec
from compiler.blueprint.runtime_spec import RuntimeSpec
from compiler.blueprint.spec import DeviceClassSpec
from compiler.syntax.document import Document


@dataclass(frozen=True, slots=True)
class Places:
    """Finds where a value of the merged blueprint was written.

    `owners` says which document defines each `(section, name)`, sections spelt as in YAML.
    """

    owners: Mapping[tuple[str, str], Document]

    def key(self, *path: str | int) -> Span:
        """`places.key("fleets", "stores-eu", "runs", "assistant")`: the place of that key."""
        return self._owner(path).key(path)

    def value(self, *path: str | int) -> Span:
        return self._owner(path).value(path)

    def has(self, *path: str | int) -> bool:
        """Whether the value at `path` was written, rather than left to its default."""
        inner: object = self._owner(path).data
        for step in path:
            if isinstance(inner, dict) and step in inner:
                inner = inner[str(step)]
            elif isinstance(inner, list) and isinstance(step, int) and step < len(inner):
                inner = inner[step]
            else:
                return False
        return True

    def _owner(self, path: tuple[str | int, ...]) -> Document:
        return self.owners[str(path[0]), str(path[1])]


@dataclass(frozen=True, slots=True)
class Blueprint:
    """All that the workspace declares. Names are not resolved yet; each value has its place."""

    models: Mapping[str, ModelSpec]
    recipes: Mapping[str, RecipeSpec]
    device_classes: Mapping[str, DeviceClassSpec]
    runtimes: Mapping[str, RuntimeSpec]
    fleets: Mapping[str, FleetSpec]
    places: Places
    broken: frozenset[tuple[str, str]] = frozenset()
    """Entries that are declared but wrong, as `(section, name)`. That was reported: a reference to one is not."""
    complete: bool = True
    """False when some file could not be read: a name that is not declared here may have been declared there."""
