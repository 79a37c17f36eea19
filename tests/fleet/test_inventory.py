"""Inventories are read as written, places are exact, and no bytes make a traceback."""

from __future__ import annotations

import csv
import io
import json
import os
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from compiler.base.codes import Code
from compiler.base.span import Source, Span
from compiler.fleet.classes import Classes
from compiler.fleet.comma_separated import read_csv
from compiler.fleet.findings import Findings
from compiler.fleet.inventory import read_inventory
from compiler.fleet.json_lines import read_jsonl
from compiler.fleet.table import Row, Table
from tests.values import CLASS, PLACE

CLASSES = Classes({"pi": CLASS}, frozenset(), complete=True)
TEXT = st.text(st.characters(exclude_characters="\r", exclude_categories=["Cs"]), max_size=8)
FIELD = st.one_of(st.sampled_from(['"', "a,b", "x\ny", '"",', " ", "pi", ""]), TEXT)
ROWS = st.lists(st.tuples(FIELD, FIELD, FIELD), min_size=1, max_size=5)
HEADER = ["site", "id", "class"]


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
    findings = Findings()
    table = read_csv(Source("a.csv", file.getvalue()), findings)
    assert findings.diagnostics() == []
    assert [(row.id, row.device_class, dict(row.labels).get("site", "")) for row in table.rows] == [
        (id, device_class, site) for site, id, device_class in rows
    ]
    for row, fields in zip(table.rows, rows, strict=True):
        assert [written(table.place(row, name)) for name in HEADER] == [raw(field) for field in fields]


@given(st.lists(st.dictionaries(st.sampled_from(["site", "floor", 'a"b']), TEXT, max_size=3), min_size=1, max_size=5))
@settings(deadline=None)
def test_json_lines_read_back_with_exact_places(rows: list[dict[str, str]]) -> None:
    objects = [{**labels, "id": f"d-{number}", "class": "pi"} for number, labels in enumerate(rows)]
    findings = Findings()
    table = read_jsonl(Source("a.jsonl", "".join(json.dumps(o, ensure_ascii=False) + "\n" for o in objects)), findings)
    assert findings.diagnostics() == []
    assert [(row.id, row.device_class, dict(row.labels)) for row in table.rows] == [
        (o["id"], o["class"], {key: value for key, value in labels.items() if value})
        for o, labels in zip(objects, rows, strict=True)
    ]
    for row, found in zip(table.rows, objects, strict=True):
        assert {name: json.loads(written(table.place(row, name))) for name in found} == found
        assert written(Span(table.source, row.line, row.column, len(row.id))) == row.id


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
    plain = read_csv(Source("a.csv", "site,id,class\r\nx,d-1,pi\r\n,d-2,pi"), Findings())
    quoted = read_csv(Source("a.csv", '"site",id,"class"\nx,"d-1",pi\n"",d-2,"pi"\n'), Findings())
    assert plain.rows == [Row(2, 3, "d-1", "pi", (("site", "x"),)), Row(3, 2, "d-2", "pi", ())]
    assert quoted.rows == [Row(2, 4, "d-1", "pi", (("site", "x"),)), Row(3, 4, "d-2", "pi", ())]


def test_a_header_that_cannot_be_read_is_one_error() -> None:
    findings = Findings()
    table: Table = read_csv(Source("a.csv", '"id"x,class\na,pi\nb,pi\n'), findings)
    assert table.rows == []
    assert [(d.code, str(d.span)) for d in findings.diagnostics()] == [(Code.BAD_ROW, "a.csv:1:1")]


def test_an_open_quote_in_a_long_file_is_shown_where_it_opens() -> None:
    text = "id,class\n" + "".join(f"d-{number},pi\n" for number in range(5)) + 'x,"pi\n' + "y,pi\n" * 60_000
    findings = Findings()
    table = read_csv(Source("a.csv", text), findings)
    first, *_ = findings.diagnostics()
    assert (first.code, first.message, str(first.span)) == (
        Code.BAD_ROW, "A quote opens here and is never closed.", "a.csv:7:3",
    )  # fmt: skip
    assert [row.id for row in table.rows[:5]] == [f"d-{number}" for number in range(5)]


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
