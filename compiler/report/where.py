"""The answers of `slmc where` as text and as JSON values."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from compiler.base.units import show_bytes
from compiler.fleet.devices import Origin, Setting
from compiler.fleet.rules import Rule
from compiler.fleet.where import Answer
from compiler.report.generated import Explained
from compiler.report.grounds import Ground
from compiler.report.shown_value import ShownValue
from compiler.report.text import one_line

_SIZES = ("memoryLimit", "memory_estimate", "memory", "storage", "reservedMemory", "reservedStorage", "artifact.size")


@dataclass(frozen=True, slots=True)
class FileAnswer:
    """What was asked of a generated file. `file` is relative to the workspace; `alone`: one line was asked for."""

    file: str
    device: str | None
    lines: tuple[Explained, ...]
    alone: bool
    remark: str = ""
    """Where the file on the disk is not what the blueprint gives."""


def where_text(answer: Answer, computed: Iterable[ShownValue] = ()) -> str:
    """One paragraph per value: what it is and where, the line that set it, what that overrode.

    `computed` are values that slmc worked out, in the place of findings without a value.
    """
    found = [ShownValue("", finding.path, finding.setting, finding.devices) for finding in answer.findings]
    return _paragraphs(_with(found, computed), answer.device)


def where_data(answer: Answer, computed: Iterable[ShownValue] = ()) -> dict[str, Any]:
    found = [ShownValue("", finding.path, finding.setting, finding.devices) for finding in answer.findings]
    return {"path": answer.path, "values": [_origin_data(origin) for origin in _with(found, computed)]}


def file_text(answer: FileAnswer) -> str:
    """One line with all that is known of it, or each line that holds values with a line for each value."""
    if answer.alone:
        return "\n".join(_one_line(answer.file, line, answer.device) for line in answer.lines)
    shown = [line for line in answer.lines if line.origins]
    if not shown:
        return f"`{answer.file}` holds no value: a line of it says where its text stands, such as `{answer.file}:1`.\n"
    return "\n".join("\n".join(_short(answer.file, line)) + "\n" for line in shown)


def file_data(answer: FileAnswer) -> dict[str, Any]:
    lines = answer.lines if answer.alone else [line for line in answer.lines if line.origins]
    data: dict[str, Any] = {"file": answer.file, "lines": [_line_data(line) for line in lines]}
    return data | ({"remark": answer.remark} if answer.remark else {})


def _with(found: list[ShownValue], computed: Iterable[ShownValue]) -> list[ShownValue]:
    """The findings; those of which something was computed make way for that."""
    listed = list(computed)
    replaced = {origin.path for origin in listed}
    kept = [origin for origin in found if origin.path not in replaced or origin.setting.place]
    return sorted([*kept, *listed], key=lambda origin: (origin.path or "", -origin.devices))


def _paragraphs(origins: Iterable[ShownValue], device: str | None, decides: bool = False) -> str:
    return "\n".join("\n".join(_paragraph(origin, device, decides)) + "\n" for origin in origins)


def _paragraph(origin: ShownValue, device: str | None, decides: bool = False) -> Iterator[str]:
    devices = f"on {device}" if device else f"on {origin.devices:,} device{'' if origin.devices == 1 else 's'}"
    names = [name for name in (origin.fact, origin.path) if name]
    said = f"{' is '.join(names)}: {_shown(names[-1], origin.setting.value)} ({devices})"
    yield f"{said}, which decides whether this line is there" if decides else said
    setting = origin.setting
    if not origin.grounds:
        yield f"  {_set_at(setting)}"
    elif origin.path:
        yield "  computed, for the blueprint sets none" if not setting.place else f"  {_set_at(setting)}"
    else:
        yield "  computed"
    if setting.place:
        yield f"      {setting.place.source.line(setting.place.line).strip()}"
    for ground in origin.grounds:
        yield f"    {ground.text}{f' ({ground.place})' if ground.place else ''}"
    for overridden in setting.overrode:
        yield f"  overrides {_shown(names[-1], overridden.value)}, {_set_at(overridden)}"


def _one_line(file: str, line: Explained, device: str | None) -> str:
    head = [f"{file}:{line.number}: {one_line(line.text.strip())}".rstrip()]
    if line.template:
        head += [f"  template {line.template}", f"      {line.template_text.strip()}"]
    if line.note:
        head.append(f"  {line.note}")
    if not line.origins and line.template:
        head.append("  Nothing but text of the template.")
    parts = ["\n".join(head) + "\n"]
    parts += [_paragraphs(line.origins, device)] if line.origins else []
    parts += [_paragraphs(line.conditions, device, decides=True)] if line.conditions else []
    return "\n".join(parts)


def _short(file: str, line: Explained) -> Iterator[str]:
    yield f"{file}:{line.number}: {one_line(line.text.strip())}"
    for origin in line.origins:
        names = [name for name in (origin.fact, origin.path) if name]
        how = "computed" if origin.grounds else _set_at(origin.setting)
        yield f"  {' is '.join(names)}: {_shown(names[-1], origin.setting.value)}, {how}"


def _set_at(origin: Origin | Setting) -> str:
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
    if isinstance(value, int) and path.endswith(tuple(f".{name}" for name in _SIZES)):
        return show_bytes(value)
    return str(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _line_data(line: Explained) -> dict[str, Any]:
    data: dict[str, Any] = {"line": line.number, "text": line.text}
    if line.template:
        data |= {"template": line.template, "templateText": line.template_text}
    if line.note:
        data["note"] = line.note
    data["values"] = [_origin_data(origin) for origin in line.origins]
    data["conditions"] = [_origin_data(origin) for origin in line.conditions]
    return data


def _origin_data(origin: ShownValue) -> dict[str, Any]:
    data: dict[str, Any] = {"fact": origin.fact} if origin.fact else {}
    if origin.path:
        data["path"] = origin.path
    data |= {"value": origin.setting.value, "devices": origin.devices}
    data |= _place_data(origin.setting)
    if origin.grounds:
        data["computedFrom"] = [_ground_data(ground) for ground in origin.grounds]
    return data


def _place_data(setting: Setting) -> dict[str, Any]:
    data: dict[str, Any] = {"place": str(setting.place) if setting.place else None}
    if setting.overrode:
        data["overrode"] = [
            {"value": origin.value, "place": str(origin.place) if origin.place else None} for origin in setting.overrode
        ]
    return data


def _ground_data(ground: Ground) -> dict[str, Any]:
    return {"text": ground.text} | ({"place": ground.place} if ground.place else {})
