"""Inventories are read as written, places are exact, and no bytes make a traceback."""

from __future__ import annotations

import csv
import io
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic
from compiler.base.span import Source, Span
from compiler.blueprint.blueprint import Blueprint, Places
from compiler.fleet.cells import Cells
from compiler.fleet.classes import Classes
from compiler.fleet.columns import Columns
from compiler.fleet.comma_separated import read_csv
from compiler.fleet.declared import Declared
from compiler.fleet.findings import Findings
from compiler.fleet.inventory import Inventory
from compiler.fleet.inventory import read_inventory as read_with_columns
from compiler.fleet.json_lines import read_jsonl
from compiler.fleet.kinds import Kind, Kinds
from compiler.fleet.table import Table
from tests.values import CLASS, PLACE

CLASSES = Classes({"pi": CLASS}, frozenset(), complete=True)
NO_COLUMNS = Columns()
EMPTY = Blueprint({}, {}, {}, {}, {}, Places({}))
TEXT = st.text(st.characters(exclude_characters="\r", exclude_categories=["Cs"]), max_size=8)
FIELD = st.one_of(st.sampled_from(['"', "a,b", "x\ny", '"",', " ", "pi", ""]), TEXT)
ROWS = st.lists(st.tuples(FIELD, FIELD, FIELD), min_size=1, max_size=5)
HEADER = ["site", "id", "class"]


@dataclass(frozen=True)
class Row:
    line: int
    id: str
    device_class: str
    labels: tuple[tuple[str, str], ...]


class Rows:
    """Takes rows as they are, whatever they say."""

    def __init__(self) -> None:
        self.findings = Findings()
        self.columns = NO_COLUMNS
        self.unreadable: frozenset[int] = frozenset()
        self.rows: list[Row] = []

    def begin(self, table: Table) -> None:
        self.table = table

    def kind(self, device_class: str, cells: tuple[tuple[str, Any], ...], *, typed: bool = False) -> Kind:
        return Kind(device_class, tuple(cell for cell in cells if cell[1]))

    def add(self, line: int, id: str, kind: Kind, variables: tuple[tuple[str, str], ...]) -> None:
        self.rows.append(Row(line, id, kind.device_class, kind.labels))


def rows_of(path: str, text: str) -> Rows:
    rows = Rows()
    (read_csv if path.endswith(".csv") else read_jsonl)(Source(path, text), rows)
    return rows


def read_inventory(workspace: Path, path: str, place: Span, classes: Classes) -> tuple[Inventory, list[Diagnostic]]:
    kinds = Kinds(classes, NO_COLUMNS, Cells(Declared(EMPTY)))
    return read_with_columns(workspace, path, place, kinds, NO_COLUMNS)


def written(span: Span) -> str:
    line = span.source.lines[span.line - 1]
    return line[span.column - 1 :][: span.length]


def raw(field: str) -> str:
    """How the csv module's QUOTE_ALL writes a field, as far as its first line goes."""
    return '"{}"'.format(field.replace('"', '""')).partition("\n")[0]


@given(ROWS)
@settings(deadline=None)
def test_quoted_tables_read_back_with_exact_places(rows: list[tuple[str, str, str]]) -> None:
    file = io.StringIO()
    csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows([HEADER, *rows])
    found = rows_of("a.csv", file.getvalue())
    assert found.findings.diagnostics() == []
    assert [(row.id, row.device_class, dict(row.labels).get("site", "")) for row in found.rows] == [
        (id, device_class, site) for site, id, device_class in rows
    ]
    for row, fields in zip(found.rows, rows, strict=True):
        assert [written(found.table.place(row.line, name)) for name in HEADER] == [raw(field) for field in fields]


@given(st.lists(st.dictionaries(st.sampled_from(["site", "floor", 'a"b']), TEXT, max_size=3), min_size=1, max_size=5))
@settings(deadline=None)
def test_json_lines_read_back_with_exact_places(rows: list[dict[str, str]]) -> None:
    objects = [{**labels, "id": f"d-{number}", "class": "pi"} for number, labels in enumerate(rows)]
    read = rows_of("a.jsonl", "".join(json.dumps(o, ensure_ascii=False) + "\n" for o in objects))
    assert read.findings.diagnostics() == []
    assert [(row.id, row.device_class, dict(row.labels)) for row in read.rows] == [
        (o["id"], o["class"], {key: value for key, value in labels.items() if value})
        for o, labels in zip(objects, rows, strict=True)
    ]
    for row, found in zip(read.rows, objects, strict=True):
        assert {name: json.loads(written(read.table.place(row.line, name))) for name in found} == found
        assert written(read.table.inside(row.line, "id", row.id)) == row.id


@given(st.binary(max_size=200) | st.text('{}[]":,\n\r id class pi 0\\u', max_size=200).map(str.encode))
@settings(deadline=None, max_examples=100)
def test_no_bytes_make_a_traceback(data: bytes) -> None:
    for suffix in ("csv", "jsonl"):
        for start in (b"", b"id,class\n", b'{"id": '):
            with tempfile.TemporaryDirectory() as folder:
                (Path(folder) / f"a.{suffix}").write_bytes(start + data)
                inventory, diagnostics = read_inventory(Path(folder), f"a.{suffix}", PLACE, CLASSES)
            assert inventory.sound or diagnostics
            assert all(d.code.id in ALLOWED and (d.span or d.file) for d in diagnostics)


ALLOWED = {
    code.id
    for code in (
        Code.NOT_UTF8, Code.BYTE_ORDER_MARK, Code.EMPTY_FILE, Code.MISSING_COLUMN, Code.RAGGED_ROW, Code.UNKNOWN_CLASS,
        Code.BAD_ROW, Code.UNSAFE_ID,
    )
}  # fmt: skip


def test_plain_and_quoted_tables_give_the_same_rows() -> None:
    plain = rows_of("a.csv", "site,id,class\r\nx,d-1,pi\r\n,d-2,pi")
    quoted = rows_of("a.csv", '"site",id,"class"\nx,"d-1",pi\n"",d-2,"pi"\n')
    assert plain.rows == quoted.rows == [Row(2, "d-1", "pi", (("site", "x"),)), Row(3, "d-2", "pi", ())]
    columns = [[read.table.inside(row.line, "id", row.id).column for row in read.rows] for read in (plain, quoted)]
    assert columns == [[3, 2], [4, 4]]


def told(read: Rows) -> list[tuple[Code, str, str]]:
    return [(d.code, d.message, str(d.span)) for d in read.findings.diagnostics()]


PLAIN = st.text(st.characters(exclude_characters='\r\n",', exclude_categories=["Cs"]), max_size=8)


@given(st.lists(st.lists(PLAIN, max_size=4), max_size=6))
@settings(deadline=None)
def test_a_table_without_quotes_reads_as_the_csv_module_reads_it(rows: list[list[str]]) -> None:
    text = "\n".join(["id,class,site", *(",".join(row) for row in rows)])
    plain = rows_of("a.csv", text)
    quoted = rows_of("a.csv", text.replace("id", '"id"', 1))
    assert plain.rows == quoted.rows
    found, expected = (
        [(d.code, d.message, str(d.span)) for d in read.findings.diagnostics()] for read in (plain, quoted)
    )
    assert found == expected


def test_a_field_longer_than_the_csv_module_takes_is_reported_in_both_forms() -> None:
    long = "x" * (csv.field_size_limit() + 1)
    for header in ("id,class", 'id,"class"'):
        read = rows_of("a.csv", f"{header}\na,pi\n{long},pi\nb,pi\n")
        assert [row.id for row in read.rows] == ["a", "b"]
        assert [(d.message, str(d.span)) for d in read.findings.diagnostics()] == [
            ("A field of this row has more than 131,072 characters.", "a.csv:3:1")
        ]


def test_a_header_that_cannot_be_read_is_one_error() -> None:
    read = rows_of("a.csv", '"id"x,class\na,pi\nb,pi\n')
    assert read.rows == []
    assert [(d.code, str(d.span)) for d in read.findings.diagnostics()] == [(Code.BAD_ROW, "a.csv:1:1")]


def test_an_open_quote_in_a_long_file_is_shown_where_it_opens() -> None:
    text = "id,class\n" + "".join(f"d-{number},pi\n" for number in range(5)) + 'x,"pi\n' + "y,pi\n" * 60_000
    read = rows_of("a.csv", text)
    first, *_ = read.findings.diagnostics()
    assert (first.code, first.message, str(first.span)) == (
        Code.BAD_ROW, "A quote opens here and is never closed.", "a.csv:7:3",
    )  # fmt: skip
    assert [row.id for row in read.rows[:5]] == [f"d-{number}" for number in range(5)]


def test_what_is_no_file_is_reported_where_they_are_named(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    os.mkfifo(tmp_path / "pipe.csv")
    found = {
        path: [(d.code, d.span) for d in read_inventory(tmp_path, path, PLACE, CLASSES)[1]]
        for path in ("folder.csv", "pipe.csv", "missing.csv")
    }
    assert found == {
        "folder.csv": [(Code.CANNOT_READ, PLACE)],
        "pipe.csv": [(Code.CANNOT_READ, PLACE)],
        "missing.csv": [(Code.MISSING_FILE, PLACE)],
    }


def test_devices_of_a_broken_class_are_left_out_without_a_word(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,class\na,bad\nb,pi\n")
    classes = Classes({"pi": CLASS}, frozenset({"bad"}), complete=True)
    inventory, diagnostics = read_inventory(tmp_path, "a.csv", PLACE, classes)
    assert ([device.id for device in inventory.devices], inventory.sound, diagnostics) == (["b"], False, [])
