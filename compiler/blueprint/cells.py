"""One field of an inventory as the value of a key of the blueprint: the same door, the same words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import ValidationError

from compiler.base.diagnostics import Diagnostic
from compiler.base.span import Span
from compiler.blueprint.door import whole
from compiler.blueprint.findings import Findings
from compiler.blueprint.located import Locator
from compiler.blueprint.spec import Spec
from compiler.syntax.document import Document, Mapping
from compiler.syntax.scalars import resolve

_FREE = "parameters"
"""Values of any scalar type: an untyped field is read as an unquoted scalar of YAML."""
_OPEN = ("environment", _FREE)
"""Mappings of free names, whose text can be anything. That a column's name is free was checked with the column."""
_ANY_NUMBER = 1024
"""Within the bounds of every whole number that a column can set."""

Describe = Callable[[Span], Diagnostic]


def check_cell(
    spec: type[Spec], path: tuple[str, ...], field: Any, *, typed: bool = False
) -> tuple[Any, Describe | None]:
    """`field` as the value at `path` (keys as in YAML) of a `spec`; else what describes the mistake at a place.

    Text of an inventory has no type of its own: it is read as a number where a number is
    expected. With `typed` it comes from JSON, where text is text for a value that may be either.
    """
    if type(field) is str and path[0] in _OPEN and field.isascii():
        text = resolve(field) if path[0] == _FREE and not typed else field
        if type(text) is str:
            return text, None  # without pydantic, which takes any text here: every device may have its own
    if isinstance(field, str) and path[0] == _FREE and not typed:
        number = resolve(field)
        return _checked(spec, path, field if number is None else number)
    value, describe = _checked(spec, path, field)
    if describe is not None and isinstance(field, str) and not isinstance(number := resolve(field), (str, type(None))):
        found, other = _checked(spec, path, number)
        if other is None or _takes_numbers(spec, path):
            return found, other
    return value, describe


def _takes_numbers(spec: type[Spec], path: tuple[str, ...]) -> bool:
    """Whether a number can be the value at `path` at all."""
    return _checked(spec, path, _ANY_NUMBER)[1] is None


def _checked(spec: type[Spec], path: tuple[str, ...], value: Any) -> tuple[Any, Describe | None]:
    data: Any = value
    for key in reversed(path):
        data = {key: data}
    adapter = whole(spec)
    try:
        found: Any = adapter.validate_python(data).model_dump(by_alias=True, exclude_unset=True)
    except ValidationError as refused:
        errors = refused.errors(include_url=False, include_input=False)

        def describe(place: Span) -> Diagnostic:
            document = Document(place.source, _marked(path, value, place))
            return Findings(document, (), Locator(adapter)).of(errors)[0]

        return None, describe
    for key in path:
        found = found[key]
    return found, None


def _marked(path: tuple[str, ...], value: Any, place: Span) -> Mapping:
    """The value inside mappings that all stand at `place`."""
    inner = value
    for key in reversed(path):
        outer = Mapping()
        outer[key] = inner
        outer.key_marks[key] = outer.value_marks[key] = place.line, place.column, place.length
        inner = outer
    assert isinstance(inner, Mapping)
    return inner
