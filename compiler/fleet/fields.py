"""The values that a fleet has and an overlay may set: their paths, and what kind each one is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from functools import cache
from typing import Any, NamedTuple

from compiler.base.spelling import snake
from compiler.blueprint.fleet_spec import ChoiceSpec, PrivacyOverrideSpec, PrivacySpec, RunOverrideSpec, RunSpec
from compiler.blueprint.spec import Spec


class Kind(Enum):
    """What a value is, as far as laying one over another goes."""

    NEEDED = "a value that every run needs"
    OPTIONAL = "an optional value"
    LIST = "a list"
    MAP = "a mapping"
    ENTRY = "an entry of a mapping"


RUN_FIELDS: Mapping[str, Kind] = {
    "model": Kind.NEEDED, "recipe": Kind.NEEDED, "threads": Kind.NEEDED, "contextLength": Kind.OPTIONAL,
    "memoryLimit": Kind.OPTIONAL, "serve.runtime": Kind.OPTIONAL, "serve.image": Kind.OPTIONAL,
    "serve.command": Kind.LIST, "serve.port": Kind.OPTIONAL, "limits": Kind.MAP, "objectives": Kind.MAP,
    "environment": Kind.MAP, "parameters": Kind.MAP,
}  # fmt: skip
PRIVACY_FIELDS: Mapping[str, Kind] = {
    "dataClass": Kind.NEEDED, "residency": Kind.OPTIONAL, "egress": Kind.NEEDED, "telemetry": Kind.LIST,
}  # fmt: skip
RUNS, PRIVACY = "runs", "privacy"


class Field(NamedTuple):
    """One value: `scope` is `runs.NAME` or `privacy`, `name` an entry of a mapping, else empty."""

    scope: str
    field: str
    name: str

    def __repr__(self) -> str:
        """The usual one, kept: the same few fields are hashed into the name of every cohort."""
        return _written(self)

    @property
    def path(self) -> str:
        """Inside the fleet, as people write it: `runs.assistant.environment.LANG`."""
        return f"{self.scope}.{self.field}.{self.name}" if self.name else f"{self.scope}.{self.field}"

    @property
    def kind(self) -> Kind:
        if self.name:
            return Kind.ENTRY
        return PRIVACY_FIELDS[self.field] if self.scope == PRIVACY else RUN_FIELDS[self.field]


@cache
def _written(field: Field) -> str:
    return f"Field(scope={field.scope!r}, field={field.field!r}, name={field.name!r})"


def scope_of(run: str) -> str:
    return f"{RUNS}.{run}"


def find(path: str, runs: Iterable[str]) -> Field | None:
    """The value that `path` names in a fleet with these runs; None when it names none.

    A run's name may contain dots: of the runs `a` and `a.b`, the longer one is meant.
    """
    if path.startswith(f"{PRIVACY}."):
        field = path.removeprefix(f"{PRIVACY}.")
        return Field(PRIVACY, field, "") if field in PRIVACY_FIELDS else None
    scopes = [scope for scope in map(scope_of, runs) if path.startswith(f"{scope}.")]
    if not scopes:
        return None
    scope = max(scopes, key=len)
    field = path.removeprefix(f"{scope}.")
    if field in RUN_FIELDS:
        return Field(scope, field, "")
    owner, _, name = field.partition(".")
    return Field(scope, owner, name) if RUN_FIELDS.get(owner) is Kind.MAP and name else None


def paths(runs: Iterable[str]) -> Iterator[str]:
    """Every path that needs no name of an entry."""
    for run in runs:
        yield from (f"{scope_of(run)}.{field}" for field in RUN_FIELDS)
    yield from (f"{PRIVACY}.{field}" for field in PRIVACY_FIELDS)


def _attributes(fields: Mapping[str, Kind]) -> list[tuple[str, Kind, tuple[str, ...], str, str]]:
    """Field, kind, the field's steps in YAML, and the attributes of the spec that lead to it."""
    listed = []
    for field, kind in fields.items():
        owner, _, leaf = field.rpartition(".")
        listed.append((field, kind, tuple(field.split(".")), owner, snake(leaf)))
    return listed


_PRIVACY_SPECS = (PrivacySpec, PrivacyOverrideSpec)
_RUN_SPEC, _PRIVACY_SPEC = _attributes(RUN_FIELDS), _attributes(PRIVACY_FIELDS)

Given = tuple[str, str, Any, tuple[str, ...]]
"""Field, name of the entry or nothing, value, and where it stands inside its spec. Lists become tuples, and a choice of
recipes the text that it is written with."""


def given(spec: RunSpec | RunOverrideSpec | PrivacySpec | PrivacyOverrideSpec) -> Iterator[Given]:
    """The values that `spec` gives; what is None is not given."""
    for field, kind, inner, owner, leaf in _PRIVACY_SPEC if isinstance(spec, _PRIVACY_SPECS) else _RUN_SPEC:
        holder = getattr(spec, owner) if owner else spec
        value = getattr(holder, leaf) if holder is not None else None
        if value is None:
            continue
        if kind is Kind.MAP:
            entries = value.model_dump(by_alias=True, exclude_none=True) if isinstance(value, Spec) else value
            yield from ((field, name, entry, (*inner, name)) for name, entry in entries.items())
        elif isinstance(value, ChoiceSpec):
            yield field, "", value.written, inner
        else:
            yield field, "", tuple(value) if kind is Kind.LIST else value, inner
