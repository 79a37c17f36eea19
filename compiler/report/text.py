"""Diagnostics and outcomes as text for a person at a terminal."""

from __future__ import annotations

from collections.abc import Iterable

from compiler.base.codes import Severity
from compiler.base.diagnostics import Diagnostic, in_order
from compiler.base.span import Span

_COLOURS = {Severity.ERROR: "\x1b[1;31m", Severity.WARNING: "\x1b[1;33m"}
_PLAIN = "\x1b[0m"


def diagnostics_text(diagnostics: Iterable[Diagnostic], *, colour: bool = False) -> str:
    """Every diagnostic in the order of the places, then a line that counts them."""
    ordered = in_order(diagnostics)
    if not ordered:
        return ""
    shown = [diagnostic_text(diagnostic, colour=colour) for diagnostic in ordered]
    return "\n".join(shown) + "\n" + _count(ordered)


def diagnostic_text(diagnostic: Diagnostic, *, colour: bool = False) -> str:
    """One diagnostic: headline, the line with carets, message, related places, help."""
    code = diagnostic.code
    place = one_line(str(diagnostic.span or diagnostic.file or ""))
    severity = f"{_COLOURS[code.severity]}{code.severity.value}{_PLAIN}" if colour else code.severity.value
    lines = [f"{place + ': ' if place else ''}{severity} {code.id} {code.slug}: {code.summary}"]
    if diagnostic.span:
        lines += _excerpt(diagnostic.span)
    lines += [f"  {line}" for line in _harmless(diagnostic.message).split("\n")]
    for span, words in diagnostic.related:
        lines += [f"  {one_line(str(span))}: {words}", *_excerpt(span)]
    if diagnostic.help:
        first, *rest = _harmless(diagnostic.help).split("\n")
        lines += [f"  help: {first}", *(f"        {line}" for line in rest)]
    return "\n".join(lines) + "\n"


def _harmless(text: str) -> str:
    """Text with the user's own words in it, without what a terminal would act on."""
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)


def one_line(text: str) -> str:
    """The name of a file, which may have any character in it."""
    return _harmless(text).replace("\n", "\\n")


def _excerpt(span: Span) -> list[str]:
    """The source line and carets under the span; a long line is cut around it."""
    text = span.source.line(span.line)
    if not text.strip():
        return []
    start, width = 0, 100
    if len(text) > width:
        start = max(0, min(span.column - 1 - width // 3, len(text) - width))
    column = span.column - 1 - start
    shown = "".join(c if c.isprintable() else " " for c in text[start : start + width])
    carets = "^" * max(1, min(span.length, len(shown) - column))
    return [f"    {shown.rstrip()}", f"    {' ' * column}{carets}"]


def _count(diagnostics: list[Diagnostic]) -> str:
    errors = sum(d.is_error for d in diagnostics)
    warnings = len(diagnostics) - errors
    parts = [f"{n} {word}{'s' if n > 1 else ''}" for n, word in ((errors, "error"), (warnings, "warning")) if n]
    return f"{', '.join(parts)}\n"
