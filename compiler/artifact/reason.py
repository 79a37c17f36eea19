"""What goes wrong, as a diagnostic has it: in one line, without the folders of this machine."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path


def reason(error: BaseException) -> str:
    """What an exception says, on one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def without_folders(text: str, folders: Iterable[str]) -> str:
    """The text with paths below these absolute `folders` as relative ones, and the folders themselves by their names.

    Only whole parts of paths count: `/srv/shop` is not in `/srv/shopping`, nor in `/home/srv/shop`.
    """
    longest_first = sorted(map(re.escape, folders), key=lambda folder: (-len(folder), folder))
    if not longest_first:
        return text
    start, end = r"(?:(?<![\w./-])|(?<=://))", r"(?:/(?=[\w.])|(?![\w-]|\.\w))"
    whole = re.compile(f"{start}(?:{'|'.join(longest_first)}){end}")
    return whole.sub(lambda found: "" if found[0].endswith("/") else Path(found[0]).name, text)
