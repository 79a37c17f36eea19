"""Exceptions of libraries, in one line for a diagnostic."""

from __future__ import annotations


def reason(error: BaseException) -> str:
    """What an exception says, on one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
