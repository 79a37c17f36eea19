"""What went wrong, where, and what to do about it: one value for every error and warning."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from compiler.base.codes import Code, Exit, Severity
from compiler.base.span import Span


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding.

    `message` says what is wrong with the user's own names in backticks, `help` what to do,
    as statements. `related` are further places ("first defined here").
    `file` names the file when there is no place inside it to point at.
    """

    code: Code
    message: str
    span: Span | None = None
    help: str | None = None
    related: tuple[tuple[Span, str], ...] = field(default=())
    file: str | None = None

    @property
    def is_error(self) -> bool:
        return self.code.severity is Severity.ERROR


class Stop(Exception):
    """Raised where a pass cannot go on at all; carries the diagnostics that say why."""

    def __init__(self, *diagnostics: Diagnostic) -> None:
        super().__init__("; ".join(d.message for d in diagnostics))
        self.diagnostics = list(diagnostics)


def has_errors(diagnostics: Iterable[Diagnostic]) -> bool:
    return any(d.is_error for d in diagnostics)


def exit_code(diagnostics: Iterable[Diagnostic]) -> Exit:
    """The exit code of a run: blueprint errors come before failed builds, those before gates."""
    codes = {d.code.exit for d in diagnostics}
    for worst in (Exit.ERRORS, Exit.BUILD_FAILED, Exit.GATE_FAILED):
        if worst in codes:
            return worst
    return Exit.FINE


def in_order(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Sorted by file, line and column, each finding once, so that output is stable."""

    def key(d: Diagnostic) -> tuple[str, int, int, str, str]:
        if d.span is None:
            return (d.file or "", 0, 0, d.code.id, d.message)
        return (d.span.source.path, d.span.line, d.span.column, d.code.id, d.message)

    return sorted(dict.fromkeys(diagnostics), key=key)


def near_name(name: str, names: Iterable[str]) -> str | None:
    """The one of `names` that `name` was probably meant to be, or None."""
    import difflib  # slow to load, and seldom needed

    folded = {other.casefold(): other for other in sorted(names)}
    found = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.6)
    return folded[found[0]] if found else None


def did_you_mean(name: str, names: Iterable[str], otherwise: str | None = None) -> str | None:
    """The help line for a name that is not one of `names`."""
    known = sorted(names)
    if near := near_name(name, known):
        return f"`{near}` has a similar name."
    if otherwise is not None:
        return otherwise
    if not known:
        return None
    shown = ", ".join(f"`{other}`" for other in known[:12])
    return f"Known: {shown}{', …' if len(known) > 12 else ''}."
