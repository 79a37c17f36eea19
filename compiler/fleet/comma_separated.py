"""Inventories as comma-separated values: RFC 4180, with a header, lines ending in LF or CRLF."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from functools import partial
from itertools import chain
from operator import itemgetter
from typing import Any

from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic, near_name
from compiler.base.span import Source, Span
from compiler.fleet.findings import Findings
from compiler.fleet.kinds import Kind
from compiler.fleet.table import CLASS, ID, REMEMBERED, Sink, Table

_FIELD = re.compile(r'"(?:[^"]|"")*"?[^,\n]*|[^,\n]*')
_LONGEST_RECORD = 1000
"""Lines that are searched for the end of a quoted field."""


def read_csv(source: Source, sink: Sink) -> None:
    """Read a whole table. What cannot be read is reported: a row is left out, a bad header leaves no rows at all."""
    findings = sink.findings
    unsound = findings.any
    records = _records(source, sink)
    line, header = next(records, (1, []))

    def place(line: int, name: str) -> Span:
        return _field(source, line, header.index(name))

    sink.begin(Table(source, frozenset(header), place))
    if (findings.any and not unsound) or not _usable(source, line, header, findings):
        return
    _rows(source, header, records, sink)


def _records(source: Source, sink: Sink) -> Iterator[tuple[int, list[str]]]:
    """Every record with its first line; blank lines are skipped.

    Where nothing is quoted, a record is a line and its fields stand between commas: the csv
    module would say the same at half the speed.
    """
    quoted = sink.unreadable or '"' in source.text or "\r" in source.text
    return _quoted_records(source, sink) if quoted else _plain_records(source, sink)


def _plain_records(source: Source, sink: Sink) -> Iterator[tuple[int, list[str]]]:
    longest = csv.field_size_limit()
    for line, text in enumerate(source.each_line(), 1):
        if not text:
            continue
        fields = text.split(",")
        if len(text) > longest and max(map(len, fields)) > longest:
            sink.findings.add(Code.BAD_ROW, partial(_unreadable, source, line))
            continue
        yield line, fields


def _quoted_records(source: Source, sink: Sink) -> Iterator[tuple[int, list[str]]]:
    """The csv module reads `"a"b` and an open quote as errors only when it is strict."""
    pieces = (io.StringIO(piece + "\n", newline="\n") for piece in source.pieces())
    reader = csv.reader(chain.from_iterable(pieces), strict=True)
    while True:
        line = reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error:
            sink.findings.add(Code.BAD_ROW, partial(_unreadable, source, line))
            continue
        if fields and (
            line == 1 or not sink.unreadable or sink.unreadable.isdisjoint(range(line, reader.line_num + 1))
        ):
            yield line, fields


def _usable(source: Source, line: int, header: list[str], findings: Findings) -> bool:
    faults = [*_missing(source, line, header)]
    for index, name in enumerate(header):
        if not name.strip():
            span = _field(source, line, index)
            faults.append(Diagnostic(Code.BAD_ROW, "This column has no name.", span, help="Name it, or remove it."))
        elif name in header[:index]:
            first, span = _field(source, line, header.index(name)), _field(source, line, index)
            related = ((first, "the first one is here"),)
            message, help = f"A second column is named `{name}`.", "Rename one of the two, or remove it."
            faults.append(Diagnostic(Code.BAD_ROW, message, span, help=help, related=related))
    for fault in faults:
        findings.take(fault)
    return not faults


def _missing(source: Source, line: int, header: list[str]) -> Iterator[Diagnostic]:
    others = [name for name in header if name not in (ID, CLASS)]
    absent = []
    for wanted in (ID, CLASS):
        if wanted in header:
            continue
        near = near_name(wanted, others) or near_name(f"device_{wanted}", others)
        if near is None or _separator(header):
            absent.append(f"`{wanted}`")
            continue
        help = f"`{near}` has a similar name: rename it to `{wanted}`."
        span = _field(source, line, header.index(near))
        yield Diagnostic(Code.MISSING_COLUMN, f"No column is named `{wanted}`.", span, help=help)
    if absent:
        message = f"No column is named {', and none '.join(absent)}."
        yield Diagnostic(Code.MISSING_COLUMN, message, _whole(source, line), help=_layout(header))


def _layout(header: list[str]) -> str:
    if found := _separator(header):
        shown = "tabs" if found == "\t" else f"`{found}`"
        return f"The columns are separated by {shown}: slmc reads commas."
    return f"The first line of an inventory names its columns: `{ID}`, `{CLASS}`, then one for each label."


def _separator(header: list[str]) -> str | None:
    """What separates the columns of a header without commas."""
    found = re.search(r"[;\t|]", header[0]) if len(header) == 1 else None
    return found[0] if found else None


def _rows(source: Source, header: list[str], records: Iterator[tuple[int, list[str]]], sink: Sink) -> None:
    """Hand over every row. What is the same in many rows, all but the id and the variables, is looked at once."""
    width, id, device_class = len(header), header.index(ID), header.index(CLASS)
    variables = [(name, header.index(column)) for name, column in sink.columns.variables if column in header]
    apart = {id, device_class, *(index for _, index in variables)}
    fields_of = sorted((name, index) for index, name in enumerate(header) if index not in apart)
    pick = itemgetter(device_class, *(index for _, index in fields_of))
    known: dict[Any, Kind] = {}
    own: tuple[tuple[str, str], ...] = ()
    for line, fields in records:
        if len(fields) != width:
            sink.findings.add(Code.RAGGED_ROW, partial(_ragged, source, line, len(fields), width))
            continue
        key = pick(fields)
        kind = known.get(key)
        if kind is None:
            if len(known) >= REMEMBERED:
                known.clear()
            kind = sink.kind(fields[device_class], tuple([(name, fields[index]) for name, index in fields_of]))
            known[key] = kind
        if variables:
            own = tuple([(name, text) for name, index in variables if (text := fields[index])])
        sink.add(line, fields[id], kind, own)


def _ragged(source: Source, line: int, found: int, wanted: int) -> Diagnostic:
    message = f"This row has {_count(found, 'field')}, the header {_count(wanted, 'column')}."
    if found < wanted:
        help = "An empty field needs its comma too."
        return Diagnostic(Code.RAGGED_ROW, message, _whole(source, line), help=help)
    help = "A field that contains a comma stands in double quotes."
    return Diagnostic(Code.RAGGED_ROW, message, _field(source, line, wanted), help=help)


def _unreadable(source: Source, line: int) -> Diagnostic:
    """Find what the csv module refused: an open quote, text after a closing quote, a bare carriage return."""
    for span, raw in _fields(source, line):
        body = raw.removesuffix("\r")
        if raw.startswith('"') and body.count('"') % 2:
            message, help = "A quote opens here and is never closed.", 'Close it with `"`.'
        elif raw.startswith('"') and not body.endswith('"'):
            message, help = "Text follows the closing quote of this field.", 'A quote inside a field is written `""`.'
        elif not raw.startswith('"') and "\r" in body:
            message, help = "A carriage return stands inside this row.", "Let lines end in a line feed."
        else:
            continue
        return Diagnostic(Code.BAD_ROW, message, span, help=help)
    longest = csv.field_size_limit()
    span = next((span for span, raw in _fields(source, line) if len(raw) > longest), _whole(source, line))
    message = f"A field of this row has more than {longest:,} characters."
    return Diagnostic(Code.BAD_ROW, message, span, help="Shorten it. A quote that is never closed makes one, too.")


def _field(source: Source, line: int, index: int) -> Span:
    """The place of a field of the record that begins at `line`; of the whole line when there is no such field."""
    for at, (span, _) in enumerate(_fields(source, line)):
        if at == index:
            return span
    return _whole(source, line)


def _fields(source: Source, line: int) -> Iterator[tuple[Span, str]]:
    """The places and raw texts of the fields of the record that begins at `line`."""
    text = _record(source, line)
    position = 0
    while True:
        found = _FIELD.match(text, position)
        assert found is not None
        raw = found[0]
        column = position - text.rfind("\n", 0, position)
        shown = raw.partition("\n")[0].removesuffix("\r")
        yield Span(source, line + text.count("\n", 0, position), column, max(1, len(shown))), raw
        position = found.end()
        if text[position : position + 1] != ",":
            return
        position += 1


def _record(source: Source, line: int) -> str:
    """The text of the record that begins at `line`: while a quote is open, it goes on with the next line."""
    last = line
    quotes = source.raw(line).count('"')
    while quotes % 2 and last < min(source.count, line + _LONGEST_RECORD):
        quotes += source.raw(last + 1).count('"')
        last += 1
    return "\n".join(source.raw(number) for number in range(line, last + 1))


def _whole(source: Source, line: int) -> Span:
    return Span(source, line, 1, max(1, len(source.line(line))))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
