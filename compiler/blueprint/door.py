"""The door: plain values go in, validated specs or located diagnostics come out."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from compiler.base.diagnostics import Diagnostic
from compiler.blueprint.file_spec import SECTIONS
from compiler.blueprint.findings import Findings
from compiler.blueprint.located import Locator
from compiler.blueprint.scalars import Name
from compiler.blueprint.spec import Spec
from compiler.syntax.document import Document, Path

AnySpec = TypeVar("AnySpec", bound=Spec)


def check(document: Document, spec: type[AnySpec]) -> tuple[AnySpec | None, list[Diagnostic]]:
    """A whole document as a `spec`; None when it is not one, and every reason why."""
    value, diagnostics = _check(document, (), document.data, whole(spec))
    return value, diagnostics


def check_entry(document: Document, section: str, name: str) -> tuple[Spec | None, list[Diagnostic]]:
    """One entry of a section, its name included."""
    named = {name: document.data[section][name]}
    value, diagnostics = _check(document, (section,), named, _entry(section))
    return (value[name] if value else None), diagnostics


def _check(document: Document, path: Path, data: Any, adapter: TypeAdapter[Any]) -> tuple[Any | None, list[Diagnostic]]:
    """`data`, which stands at `path`, through pydantic."""
    try:
        return adapter.validate_python(data), []
    except ValidationError as refused:
        errors = refused.errors(include_url=False, include_input=False)
        return None, Findings(document, path, Locator(adapter)).of(errors)


@lru_cache
def whole(spec: type[Spec]) -> TypeAdapter[Any]:
    """What checks a whole `spec`."""
    return TypeAdapter(spec)


@lru_cache
def _entry(section: str) -> TypeAdapter[Any]:
    named: Any = dict.__class_getitem__((Name, SECTIONS[section]))
    return TypeAdapter(named)
