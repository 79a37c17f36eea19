"""Bytes → text: everything about a file that can be told before it is parsed."""

from __future__ import annotations

import codecs
import re

from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic
from compiler.base.span import Source, Span

LIMIT = 20
"""How many places of one kind are reported in one file."""

_MARKS = (
    (codecs.BOM_UTF8, "UTF-8"),
    (codecs.BOM_UTF32_LE, "UTF-32LE"),  # before UTF-16: its mark begins like that one
    (codecs.BOM_UTF32_BE, "UTF-32BE"),
    (codecs.BOM_UTF16_LE, "UTF-16LE"),
    (codecs.BOM_UTF16_BE, "UTF-16BE"),
)
_TAB = re.compile(r"^ *(\t+)[ \t]*", re.MULTILINE)
_REFUSED = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]|\r(?!\n)")
_DIRECTIVE = re.compile(r"\A(?:[ \t]*(?:#[^\n]*)?\r?\n)*(%[^\n\r]*)")


def decode(data: bytes, name: str) -> tuple[Source, list[Diagnostic], bool]:
    """Bytes → the text that is parsed as YAML, the findings, and whether parsing makes sense."""
    source, diagnostics, readable = to_text(data, name)
    if not readable:
        return source, diagnostics, False
    found = _refused_characters(source) + _tabs(source) + _directive(source)
    return source, diagnostics + found, not found


def to_text(data: bytes, name: str) -> tuple[Source, list[Diagnostic], bool]:
    """The bytes of any text file → its text, the findings, and whether the text is all there.

    A byte order mark is reported and left out of the text, so that columns count what is
    seen; the file is then read in the encoding that its mark names.
    """
    mark, encoding = next((one for one in _MARKS if data.startswith(one[0])), (b"", "UTF-8"))
    data = data[len(mark) :]
    try:
        source, found = Source(name, data.decode(encoding)), []
    except UnicodeDecodeError as error:
        # What stands before the first bad byte is fine, so its line and column are exact.
        source = Source(name, data.decode(encoding, errors="replace"))
        found = [_not_utf8(source, data, error.start, len(data[: error.start].decode(encoding)))]
    if mark:
        diagnostics = [_byte_order_mark(source, mark, encoding)]
        if found and encoding != "UTF-8":
            return source, diagnostics, False
    else:
        diagnostics = []
    return source, diagnostics + found, not found


def place(source: Source, index: int, length: int = 1) -> Span:
    """The place of `length` characters from the character at `index`, cut at the end of the line."""
    begin = source.text.rfind("\n", 0, index) + 1
    line = source.text.count("\n", 0, index) + 1
    column = index - begin + 1
    return Span(source, line, column, max(1, min(length, len(source.line(line)) - column + 1)))


def _byte_order_mark(source: Source, mark: bytes, encoding: str) -> Diagnostic:
    convert = "" if encoding == "UTF-8" else f", for example with `iconv -f {encoding[:6]} -t UTF-8`"
    return Diagnostic(
        Code.BYTE_ORDER_MARK,
        f"The file begins with the {encoding[:6]} byte order mark `{mark.hex(' ').upper()}`.",
        Span(source, 1, 1),
        help=f"Save the file as UTF-8 without a byte order mark{convert}.",
    )


def _not_utf8(source: Source, data: bytes, at: int, index: int) -> Diagnostic:
    return Diagnostic(
        Code.NOT_UTF8,
        f"The byte `{data[at]:02X}` is not part of a UTF-8 character.",
        place(source, index),
        help="Save the file as UTF-8. `iconv -f LATIN1 -t UTF-8` converts one that is Latin-1.",
    )


def _refused_characters(source: Source) -> list[Diagnostic]:
    """Control characters, and line breaks that only some YAML readers take for one: the first of each."""
    first: dict[str, int] = {}
    for match in _REFUSED.finditer(source.text):
        first.setdefault(match[0], match.start())
    found = []
    for character, index in list(first.items())[:LIMIT]:
        code = ord(character)
        if code in (0x0D, 0x85, 0x2028, 0x2029):
            why, way = "ends a line for some YAML readers and not for others", "End lines with a line feed."
        elif code == 0:
            why, way = "is not allowed in YAML", "Remove it. A file that has one at every letter is UTF-16, not UTF-8."
        else:
            why, way = "is not allowed in YAML", "Remove it. Binary data does not belong in a blueprint."
        found.append(Diagnostic(Code.YAML_SYNTAX, f"The character U+{code:04X} {why}.", place(source, index), help=way))
    return found


def _tabs(source: Source) -> list[Diagnostic]:
    found = []
    matches = list(_TAB.finditer(source.text))
    for number, match in enumerate(matches[:LIMIT], 1):
        message = "A tab stands in the indentation of this line."
        if number == LIMIT < len(matches):
            message += f" {len(matches) - LIMIT} further lines have one."
        found.append(
            Diagnostic(Code.TAB, message, place(source, match.start(1), len(match[1])), help="Indent with spaces.")
        )
    return found


def _directive(source: Source) -> list[Diagnostic]:
    match = _DIRECTIVE.match(source.text)
    if not match:
        return []
    return [
        Diagnostic(
            Code.UNSUPPORTED_YAML,
            f"`{match[1].split()[0]}` is a YAML directive.",
            place(source, match.start(1), len(match[1])),
            help="Remove the line: blueprints are YAML 1.2, and need no directives.",
        )
    ]
