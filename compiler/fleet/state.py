"""The values of one run, or of a fleet's privacy, while overlays are laid over them."""

from __future__ import annotations

from typing import Any

from compiler.fleet.fields import Field
from compiler.fleet.rules import Rule

State = dict[str, Any]
"""By field: None for what is not set, tuples for lists, for mappings a dict that nobody changes in place."""


def apply(state: State, target: Field, rule: Rule, value: Any) -> None:
    """Change `state`, which belongs to the caller."""
    _, field, name = target
    if name:
        entries = state[field]
        if rule is not Rule.REMOVE:
            state[field] = {**entries, name: value}
        elif name in entries:
            state[field] = {key: entry for key, entry in entries.items() if key != name}
    elif rule is Rule.APPEND:
        state[field] = _appended(field, state[field] or (), value)
    elif rule is Rule.REMOVE:
        state[field] = _without(field, state[field], value)
    else:
        state[field] = value


def _appended(field: str, below: tuple[Any, ...], items: tuple[Any, ...]) -> tuple[Any, ...]:
    """Telemetry is a set that keeps its order; a command may say a word twice."""
    both = (*below, *items)
    return tuple(dict.fromkeys(both)) if field == "telemetry" else both


def _without(field: str, below: Any, items: tuple[Any, ...] | None) -> Any:
    """Nothing at all, or a list without some items. A command of no words is none."""
    if isinstance(below, dict):
        return {}
    if field == "telemetry":
        return () if items is None else tuple(item for item in below if item not in items)
    if items is None or below is None:
        return None
    return tuple(item for item in below if item not in items) or None
