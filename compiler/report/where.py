"""The answer of `slmc where` as text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from compiler.base.units import show_bytes
from compiler.fleet.graph import Origin, Setting
from compiler.fleet.rules import Rule
from compiler.fleet.where import Answer, Finding


def where_text(answer: Answer) -> str:
    """One paragraph per value: what it is and where, the line that set it, what that overrode."""
    return "\n".join("\n".join(_paragraph(finding, answer.device)) + "\n" for finding in answer.findings)


def _paragraph(finding: Finding, device: str | None) -> Iterator[str]:
    setting = finding.setting
    devices = f"on {device}" if device else f"on {finding.devices:,} device{'' if finding.devices == 1 else 's'}"
    yield f"{finding.path}: {_shown(finding.path, setting.value)} ({devices})"
    yield f"  {_origin(setting)}"
    if setting.place:
        yield f"      {setting.place.source.line(setting.place.line).strip()}"
    for origin in setting.overrode:
        yield f"  overrides {_shown(finding.path, origin.value)}, {_origin(origin)}"


def _origin(origin: Origin | Setting) -> str:
    """What a line did, and where it stands."""
    if origin.place is None:
        return "the default"
    if origin.column:
        return f"set by a column of the inventory at {origin.place}"
    if origin.level == "fleet":
        return f"set at {origin.place}"
    if origin.rule is Rule.REMOVE:
        did = "removed" if origin.value is None else "items removed"
    else:
        did = "appended to" if origin.rule is Rule.APPEND else "set"
    return f"{did} by the overlay of level {origin.level} at {origin.place}"


def _shown(path: str, value: Any) -> str:
    if value is None:
        return "not set"
    if path.endswith(".memoryLimit"):
        return show_bytes(value)
    return str(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
