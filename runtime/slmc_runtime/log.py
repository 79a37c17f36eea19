"""Lines for the journal: about the server, never about what a request says."""

from __future__ import annotations

import sys


def say(line: str) -> None:
    print(f"slmc-serve: {line}", file=sys.stderr, flush=True)
