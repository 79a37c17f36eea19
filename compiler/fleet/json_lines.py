"""Inventories as JSON Lines: one object `{"id": …, "class": …, LABEL: …}` a line, all values text."""

from __future__ import annotations

import json
import re
from functools import partial
from typing import Any

from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic, near_name
from compiler.base.span import Source, Span
from compiler.fleet.findings import Findings
from compiler.fleet.table import CLASS, ID, Row, Table

_BLANK = re.compile(r"[ \t\r]*")
_BEFORE_ID = re.compile(rf'"{ID}"[ \t]*:[ \t]*"')
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_KINDS = {
    bool: "true or false", int: "a number", float: "a number", list: "a list", tuple: "an object", type(None): "null",
    str: "text",
}  # fmt: skip
_DECODER = json.JSONDecoder(object_pairs_hook=tuple)
"""Objects become tuples of pairs, so that a repeated key is seen and an object is told from a list."""

Pairs = tuple[tuple[str, Any], ...]


def read_jsonl(source: Source, findings: Findings) -> Table:
    """Read every line. One that is no device is reported and left out."""
    rows = []
    labels: set[str] = set()
    for line, text in enumerate(source.lines, 1):
        if not text.strip():
            continue
        pairs = _object(source, line, findings)
        if pairs is None:
            continue
        values = dict(pairs)
        labels.update(values)
        if _report(source, line, pairs, findings):
            continue
        kept = tuple([pair for pair in sorted(values.items()) if pair[0] not in (ID, CLASS) and pair[1]])
        found = _BEFORE_ID.search(text)
        rows.append(Row(line, found.end() + 1 if found else 1, values[ID], values[CLASS], kept))
    return Table(source, frozenset(labels - {ID, CLASS}), rows, lambda row, name: _place(source, row.line, name))


def _object(source: Source, line: int, findings: Findings) -> Pairs | None:
    span = _whole(source, line)
    try:
        value = _DECODER.decode(source.line(line))
    except json.JSONDecodeError as error:
        span = Span(source, line, error.colno)
        words = f"This line is not JSON: {error.msg[:1].lower()}{error.msg[1:]}."
    except (ValueError, RecursionError):
        words = "A number or a nesting in this line is too large to be read."
    else:
        if isinstance(value, tuple):
            return value
        words = f"This line is {_KINDS[type(value)]}, not an object."
    help = f'Each line is one device, such as {{"{ID}": "berlin-3-0007", "{CLASS}": "pi-5-8g", "site": "berlin-3"}}.'
    findings.take(Diagnostic(Code.BAD_ROW, words, span, help=help))
    return None


def _report(source: Source, line: int, pairs: Pairs, findings: Findings) -> bool:
    """Report what keeps an object from being a device; whether there is anything."""
    faults: list[tuple[str, int | None, str | None]] = []
    seen: set[str] = set()
    for index, (key, value) in enumerate(pairs):
        if not isinstance(value, str):
            words = f"`{key}` is {_KINDS[type(value)]}, not text."
            faults.append((words, index, "Write it as text, in double quotes."))
        elif not key or _SURROGATE.search(key + value):
            faults.append(("A label needs a name, and its value whole characters.", index, None))
        if key in seen:
            faults.append((f"`{key}` stands twice in this line.", index, "Remove one of them."))
        seen.add(key)
    for wanted in (ID, CLASS):
        if wanted not in seen:
            others = seen - {ID, CLASS}
            near = near_name(wanted, others) or near_name(f"device_{wanted}", others)
            help = f"`{near}` has a similar name: rename it to `{wanted}`." if near else None
            faults.append((f"This device has no `{wanted}`.", None, help))
    for words, at, help in faults:
        findings.add(Code.BAD_ROW, partial(_fault, source, line, (words, at, help)))
    return bool(faults)


def _fault(source: Source, line: int, fault: tuple[str, int | None, str | None]) -> Diagnostic:
    """`fault` is the message, which pair of the object it is about (None: all of it), and the help."""
    words, at, help = fault
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
