"""Diagnostics as text: places, carets, help, counts."""

from __future__ import annotations

from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic
from compiler.base.span import Source, Span
from compiler.report.text import diagnostic_text, diagnostics_text

SOURCE = Source("fleet.yaml", "models: [detector, tracker]\ndevices:\n  gate-01: [detecter, tracker]\n")


def test_whole_diagnostic() -> None:
    finding = Diagnostic(
        Code.UNKNOWN_REFERENCE,
        "No model is named `detecter`.",
        Span(SOURCE, 3, 13, 8),
        help="`detector` has a similar name.",
        related=((Span(SOURCE, 1, 10, 8), "declared here"),),
    )
    assert diagnostic_text(finding) == (
        "fleet.yaml:3:13: error SLM203 unknown-reference: Unknown reference\n"
        "      gate-01: [detecter, tracker]\n"
        "                ^^^^^^^^\n"
        "  No model is named `detecter`.\n"
        "  fleet.yaml:1:10: declared here\n"
        "    models: [detector, tracker]\n"
        "             ^^^^^^^^\n"
        "  help: `detector` has a similar name.\n"
    )


def test_long_line_is_cut_around_the_words() -> None:
    source = Source("a.yaml", "x" * 300 + "HERE" + "y" * 300)
    _, line, carets, _ = diagnostic_text(Diagnostic(Code.BAD_VALUE, "m", Span(source, 1, 301, 4))).splitlines()
    assert len(line) == 104
    assert line[carets.index("^") : carets.rindex("^") + 1] == "HERE"


def test_control_characters_do_not_reach_the_terminal() -> None:
    source = Source("a.yaml", "a: \x1b[31mred")
    text = diagnostic_text(Diagnostic(Code.BAD_VALUE, "`\x1b[31mred` is bad", Span(source, 1, 4, 3), help="not \x07"))
    assert text == (
        "a.yaml:1:4: error SLM205 bad-value: Value is not allowed\n"
        "    a:  [31mred\n"
        "       ^^^\n"
        "  `\\x1b[31mred` is bad\n"
        "  help: not \\x07\n"
    )


def test_order_count_and_each_finding_once() -> None:
    late = Diagnostic(Code.BAD_VALUE, "late", Span(SOURCE, 3, 1))
    early = Diagnostic(Code.OVERLAY_UNUSED, "early", Span(SOURCE, 1, 1))
    text = diagnostics_text([late, early, late])
    assert text.index("early") < text.index("late")
    assert text.splitlines()[-1] == "1 error, 1 warning"


def test_file_names_stay_on_one_line() -> None:
    finding = Diagnostic(Code.CANNOT_READ, "m", file="a\n\x1b[2Jb")
    assert diagnostic_text(finding).splitlines()[0] == "a\\n\\x1b[2Jb: error SLM901 cannot-read: File cannot be read"
