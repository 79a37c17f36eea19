"""Text with bytes in it that are no text: each row that has some is reported, the others can be read."""

from __future__ import annotations

import re
from functools import partial

from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic
from compiler.base.span import Source, Span
from compiler.fleet.findings import Findings

_BYTE = re.compile("[\udc80-\udcff]")
"""A byte that is not part of a UTF-8 character, as `surrogateescape` keeps it."""
_INSTEAD = "\ufffd"


def lenient(data: bytes, path: str, findings: Findings) -> tuple[Source, frozenset[int]]:
    """The text with a mark in the place of each bad byte, and the lines that have one, each reported at its first."""
    text = data.decode(errors="surrogateescape")
    source = Source(path, _BYTE.sub(_INSTEAD, text))
    lines: set[int] = set()
    line, begin = 1, 0
    for found in _BYTE.finditer(text):
        line += text.count("\n", begin, found.start())
        begin = found.start()
        if line not in lines:
            lines.add(line)
            column = begin - text.rfind("\n", 0, begin)
            findings.add(Code.NOT_UTF8, partial(_not_utf8, Span(source, line, column), ord(found[0]) - 0xDC00))
    return source, frozenset(lines)


def _not_utf8(place: Span, byte: int) -> Diagnostic:
    return Diagnostic(
        Code.NOT_UTF8,
        f"The byte `{byte:02X}` is not part of a UTF-8 character.",
        place,
        help="Save the file as UTF-8. `iconv -f LATIN1 -t UTF-8` converts one that is Latin-1.",
    )
