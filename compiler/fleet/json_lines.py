"""Inventories as JSON Lines: one object `{"id": …, "class": …, LABEL: …}` a line.

Labels are text. A column that is a fact or a value may also be a number, `true` or `false`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from functools import partial
from typing import Any

from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic, near_name
from compiler.base.span import Source, Span
from compiler.fleet.columns import VARIABLE
from compiler.fleet.findings import Findings
from compiler.fleet.kinds import Kind
from compiler.fleet.table import CLASS, ID, REMEMBERED, Sink, Table

_BLANK = re.compile(r"[ \t\r]*")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_KINDS = {
    bool: "true or false", int: "a number", float: "a number", list: "a list", tuple: "an object", type(None): "null",
    str: "text",
}  # fmt: skip
_LAYOUT = f'Each line is one device, such as {{"{ID}": "berlin-3-0007", "{CLASS}": "pi-5-8g", "site": "berlin-3"}}.'
_DECODER = json.JSONDecoder(object_pairs_hook=tuple)
"""Objects become tuples of pairs, so that a repeated key is seen and an object is told from a list."""

Pairs = tuple[tuple[str, Any], ...]
_Fault = tuple[str, str | None, int | None]
"""The message, the help, and which pair of the object it is about; None for all of it."""


def read_jsonl(source: Source, sink: Sink) -> None:
    """Read every line. One that is no device is reported and left out.

    What is the same on many lines, all but the id and the variables, is looked at once.
    """
    columns: set[str] = set()
    sink.begin(Table(source, columns, partial(_place, source)))
    known: dict[Any, Kind] = {}
    asked = sink.columns.variables
    for line, pairs in _objects(source, sink):
        values = dict(pairs)
        sound = len(values) == len(pairs)
        id = values.pop(ID, None)
        if asked:
            columns.update([column for _, column in asked if column in values])
        variables = [(name, values.pop(column)) for name, column in asked if column in values]
        sound = sound and type(id) is str and all(type(text) is str for _, text in variables)
        # The types too: 1, 1.0 and true are equal, and not the same value.
        key = tuple(values.items()), tuple(map(type, values.values()))
        kind = _find(known, key) if sound else None
        if kind is None:
            columns.update(key for key, _ in pairs)
            if _report(source, line, pairs, sink):
                continue
            fields = sorted((column, value) for column, value in values.items() if column != CLASS)
            kind = sink.kind(values[CLASS], tuple(fields), typed=True)
            if len(known) >= REMEMBERED:
                known.clear()
            known[key] = kind
        sink.add(line, id, kind, tuple([pair for pair in variables if pair[1]]))


def _find(known: dict[Any, Kind], key: Any) -> Kind | None:
    try:
        return known.get(key)
    except TypeError:  # a list, which is reported
        return None


def _objects(source: Source, sink: Sink) -> Iterator[tuple[int, Pairs]]:
    """Every line that is an object, with its number."""
    scan: Any = _DECODER.scan_once  # type: ignore[attr-defined]  # decode() without its searches for blanks
    for line, text in enumerate(source.each_line(), 1):
        text = text.rstrip("\r")
        if not text or text.isspace() or line in sink.unreadable:
            continue
        try:
            value, end = scan(text, 0)
        except (StopIteration, ValueError, RecursionError):
            value, end = None, -1
        # What stands alone on its line, as it nearly always does, needs no second look.
        pairs = value if end == len(text) and isinstance(value, tuple) else _object(source, line, sink.findings)
        if pairs is not None:
            yield line, pairs


def _object(source: Source, line: int, findings: Findings) -> Pairs | None:
    span = _whole(source, line)
    try:
        value = _DECODER.decode(source.line(line))
    except json.JSONDecodeError as error:
        span = Span(source, line, error.colno)
        message = error.msg.removesuffix(" at").removesuffix(" starting")
        words = f"This line is not JSON: {message[:1].lower()}{message[1:]}."
    except (ValueError, RecursionError):
        words = "A number or a nesting in this line is too large to be read."
    else:
        if isinstance(value, tuple):
            return value
        words = f"This line is {_KINDS[type(value)]}, not an object."
    findings.take(Diagnostic(Code.BAD_ROW, words, span, help=_LAYOUT))
    return None


def _report(source: Source, line: int, pairs: Pairs, sink: Sink) -> bool:
    """Report what keeps an object from being a device; whether there is anything."""
    faults: list[_Fault] = []
    seen: set[str] = set()
    for index, (key, value) in enumerate(pairs):
        if not isinstance(value, str) and not _is_scalar(key, value, sink):
            faults.append((*_not_text(key, value, sink), index))
        elif not key:
            faults.append(("This value has no name.", "Name it, or remove it.", index))
        elif _SURROGATE.search(f"{key}{value}"):
            faults.append(("Half of a surrogate pair is no character.", "Write the character itself.", index))
        if key in seen:
            faults.append((f"`{key}` stands twice in this line.", "Remove one of them.", index))
        seen.add(key)
    for fault in (*faults, *_absent(seen)):
        sink.findings.add(Code.BAD_ROW, partial(_fault, source, line, fault))
    return bool(faults) or not seen.issuperset((ID, CLASS))


def _absent(seen: set[str]) -> Iterator[_Fault]:
    """What is wrong with an object that lacks its id or its class."""
    absent = []
    for wanted in (ID, CLASS):
        if wanted not in seen:
            others = seen - {ID, CLASS}
            near = near_name(wanted, others) or near_name(f"device_{wanted}", others)
            if near:
                yield f"This device has no `{wanted}`.", f"`{near}` has a similar name: rename it to `{wanted}`.", None
            else:
                absent.append(f"`{wanted}`")
    if absent:
        yield f"This device has no {' and no '.join(absent)}.", _LAYOUT, None


def _is_typed(column: str, sink: Sink) -> bool:
    """Whether a column is a fact or a value of a run, which need not be text."""
    use = sink.columns.uses.get(column)
    return use is not None and use.kind != VARIABLE


def _is_scalar(column: str, value: Any, sink: Sink) -> bool:
    return _is_typed(column, sink) and isinstance(value, (int, float)) and math.isfinite(value)


def _not_text(column: str, value: Any, sink: Sink) -> tuple[str, str]:
    kind = "no finite number" if isinstance(value, float) and not math.isfinite(value) else _KINDS[type(value)]
    if _is_typed(column, sink):
        return (
            f"`{column}` is {kind}; text, a number, `true` or `false` was expected.",
            "Write a value, or leave it out.",
        )
    help = "Leave it out." if value is None and column not in (ID, CLASS) else "Write it as text, in double quotes."
    return f"`{column}` is {kind}, not text.", help


def _fault(source: Source, line: int, fault: _Fault) -> Diagnostic:
    words, help, at = fault
    span = _whole(source, line) if at is None else _values(source, line)[at][1]
    return Diagnostic(Code.BAD_ROW, words, span, help=help)


def _place(source: Source, line: int, name: str) -> Span:
    for key, span in _values(source, line):
        if key == name:
            return span
    return _whole(source, line)


def _values(source: Source, line: int) -> list[tuple[str, Span]]:
    """The keys of the object on `line`, which is valid JSON, with the places of their values."""
    text = source.line(line)
    found = []
    position = _skip(text, text.index("{") + 1)
    while text[position] != "}":
        key, end = _DECODER.raw_decode(text, position)
        begin = _skip(text, _skip(text, end) + 1)
        _, end = _DECODER.raw_decode(text, begin)
        found.append((str(key), Span(source, line, begin + 1, end - begin)))
        position = _skip(text, end)
        if text[position] == ",":
            position = _skip(text, position + 1)
    return found


def _skip(text: str, position: int) -> int:
    blank = _BLANK.match(text, position)
    return blank.end() if blank else position


def _whole(source: Source, line: int) -> Span:
    return Span(source, line, 1, max(1, len(source.line(line))))
