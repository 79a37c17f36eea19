"""Plain data → block-style YAML, with the place of every key and value: written without slmc's own code, to test it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

Path = tuple[str | int, ...]
Place = tuple[int, int]
"""Line and column, both from 1."""


@dataclass
class Emitted:
    """`keys` and `values` by path; a collection's value stands at its key, or is the item that begins there."""

    lines: list[str] = field(default_factory=list)
    keys: dict[Path, Place] = field(default_factory=dict)
    values: dict[Path, Place] = field(default_factory=dict)

    @property
    def text(self) -> str:
        return "\n".join(self.lines) + "\n"


def emit(data: Any) -> Emitted:
    """Every key on a line of its own, two spaces for a level, text and odd keys in double quotes."""
    emitted = Emitted()
    _block(emitted, data, (), "", "")
    return emitted


def _block(emitted: Emitted, value: Any, path: Path, indent: str, lead: str) -> None:
    """`lead` is what the first line already holds instead of `indent`, such as `  - `."""
    entries = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in entries:
        start = lead or indent
        lead = ""
        here = (*path, key)
        named = key if re.fullmatch(r"[A-Za-z][\w.-]*", str(key)) else json.dumps(key, ensure_ascii=False)
        head = f"{start}{named}: " if isinstance(value, dict) else f"{start}- "
        place = (len(emitted.lines) + 1, len(start if isinstance(value, dict) else head) + 1)
        emitted.keys[here] = emitted.values[here] = place
        if not isinstance(inner, (dict, list)):
            written = "" if inner is None else json.dumps(inner, ensure_ascii=False)
            emitted.lines.append((head + written).rstrip())
            if inner is not None and isinstance(value, dict):
                emitted.values[here] = (place[0], len(head) + 1)
            elif inner is None and isinstance(value, list):
                emitted.keys[here] = emitted.values[here] = (place[0], len(start) + 1)
        elif not inner:
            emitted.lines.append(head + ("{}" if isinstance(inner, dict) else "[]"))
        elif isinstance(value, list):
            _block(emitted, inner, here, " " * len(head), head)
        else:
            emitted.lines.append(head.rstrip())
            _block(emitted, inner, here, indent + "  ", "")
