"""Places inside values: the span of a part of a written scalar."""

from __future__ import annotations

from dataclasses import replace

from compiler.base.span import Span


def part(span: Span, value: str, start: int, length: int) -> Span:
    """The span of `value[start:start + length]`, when the scalar at `span` is written as it reads.

    A scalar with escapes or several lines is underlined whole.
    """
    text = span.source.line(span.line)
    first = span.column - 1
    if text.startswith(value, first):
        return replace(span, column=span.column + start, length=max(1, length))
    if text[first : first + 1] in ("'", '"') and text.startswith(value, first + 1):
        return replace(span, column=span.column + 1 + start, length=max(1, length))
    return span
