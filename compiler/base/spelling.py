"""Keys as Python spells them and as slmc's JSON and YAML do: `kl_divergence`, `klDivergence`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def snake(name: str) -> str:
    return re.sub(r"[A-Z]", lambda found: f"_{found[0].lower()}", name)


def plain(value: DataclassInstance) -> dict[str, Any]:
    """A dataclass as plain JSON data. Names that the user gave, the keys of mappings in it, stay as they are."""
    return {camel(name): _inner(getattr(value, name)) for name in value.__dataclass_fields__}


def fields(data: Mapping[str, Any]) -> dict[str, Any]:
    """The keyword arguments that `plain` made `data` from, as long as they are scalars."""
    return {snake(name): value for name, value in data.items()}


def _inner(value: Any) -> Any:
    if hasattr(value, "__dataclass_fields__"):
        return plain(value)
    if isinstance(value, Mapping):
        return {name: _inner(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_inner(inner) for inner in value]
    return value
