"""What a command says, and where: data to stdout, everything else to stderr."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from compiler.base.diagnostics import Diagnostic, exit_code, in_order
from compiler.cli.meter import Meter


@dataclass(frozen=True, slots=True)
class Output:
    """One command's voice: `json` gives tools everything as one JSON value on stdout."""

    json: bool = False

    @classmethod
    def of(cls, arguments: Sequence[str]) -> Output:
        """For a command line that failed before its options were read."""
        pairs = itertools.pairwise(arguments)
        return cls(json="--format=json" in arguments or ("--format", "json") in pairs)

    def data(self, value: Any) -> None:
        """Print a JSON value."""
        self.text(json.dumps(value, indent=2, ensure_ascii=False))

    def text(self, text: str) -> None:
        """Print text that a command was asked for."""
        if text:
            with quiet_when_closed():
                print(text, end="" if text.endswith("\n") else "\n", flush=True)

    def note(self, text: str) -> None:
        """Say what is going on; silent for tools."""
        if not self.json:
            print(text, file=sys.stderr, flush=True)

    @contextlib.contextmanager
    def meter(self) -> Iterator[Meter]:
        """What shows how far a build is."""
        live = not self.json and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        meter = Meter(self.note, sys.stderr if live else None)
        try:
            yield meter
        finally:
            meter.close()

    def diagnostics(self, diagnostics: Iterable[Diagnostic]) -> None:
        """Show the findings of a command that has nothing else to show."""
        from compiler.report.data import verdict  # not before something has to be shown
        from compiler.report.text import diagnostics_text

        found = in_order(diagnostics)
        if self.json:
            self.data(verdict(exit_code(found), found))
        elif found:
            print(diagnostics_text(found, colour=_colour()), end="", file=sys.stderr)


def hold(value: object) -> None:
    """Keep what a command worked out until the process ends, which need not take it apart then."""
    _HELD[:] = [value]


_HELD: list[object] = []


@contextlib.contextmanager
def quiet_when_closed() -> Iterator[None]:
    """Let `slmc … | head` end quietly: what nobody reads goes nowhere."""
    try:
        yield
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _colour() -> bool:
    return sys.stderr.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
