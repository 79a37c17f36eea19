"""Diagnostics of one long file, so that 100,000 equal mistakes do not make 100,000 diagnostics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic
from compiler.base.span import Span

LIMIT = 20
"""Shown per code and file; the rest is counted."""


@dataclass(slots=True)
class Findings:
    """Keeps the first diagnostics of each code and counts the others."""

    _shown: list[Diagnostic] = field(default_factory=list)
    _counts: Counter[Code] = field(default_factory=Counter)
    _further: dict[Code, Span | None] = field(default_factory=dict)

    def add(self, code: Code, describe: Callable[[], Diagnostic]) -> None:
        """Note one finding; `describe` is called only for those that are shown, and for one more."""
        self._counts[code] += 1
        if self._counts[code] <= LIMIT:
            self._shown.append(describe())
        elif code not in self._further:
            self._further[code] = describe().span

    def take(self, diagnostic: Diagnostic) -> None:
        """Note a finding that is made already."""
        self.add(diagnostic.code, lambda: diagnostic)

    @property
    def any(self) -> bool:
        return bool(self._counts)

    def diagnostics(self) -> list[Diagnostic]:
        return self._shown + [
            Diagnostic(code, f"And {self._counts[code] - LIMIT:,} more like the {LIMIT} before, from here on.", span)
            for code, span in self._further.items()
        ]
