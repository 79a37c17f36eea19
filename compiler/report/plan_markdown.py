"""A plan as a comment on a pull request: never longer than GitHub takes, and honest about what it left out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from compiler.base.diagnostics import Diagnostic, in_order
from compiler.plan.review import Review
from compiler.report.plan_rows import Named, Row, Section, Words, count, grouped, sections, summary
from compiler.report.text import one_line

LIMIT = 65_536
"""Characters that a comment may have."""

MARKER = "<!-- slmc plan -->\n"
"""The first line, by which a later run finds the comment and replaces it."""

_LONG = 15
"""Rows beyond which a section is folded. Removals are never."""
_LONGEST_WORD = 120
_NOTES = 5
_HARMLESS = re.compile(r"[^\s`|\\](?:[^`|\\]*[^\s`|\\])?")
_SENTENCE = re.compile(r"(?!.*www\.)(?:[A-Za-z0-9 ,.;()'→-]|:(?= |$))*")
_LITERAL = re.compile(r"[^\x00-\x1f!-/:-@\[-`{-~]")
_TABLE = "| what | devices | where |\n|---|---:|---|\n"


def plan_markdown(review: Review | None, diagnostics: Iterable[Diagnostic], limit: int = LIMIT) -> str:
    """The whole comment. Without a review it says what kept slmc from one."""
    found = [_finding(diagnostic) for diagnostic in in_order(diagnostics)]
    warnings = [Section("Errors and warnings", "finding", "", tuple(found))] if found else []
    planned = sections(review) if review else []
    head = MARKER + _head(review)
    # What was left out is named at the end, in one line with a place for each section.
    room = limit - len(head) - 100 - 40 * (len(planned) + 1)
    removals = [section for section in planned if section.title == "Removals"]
    # Short sections come before long ones, so that thousands of changes do not push out the line on downloads.
    others = sorted((s for s in planned if s.title != "Removals"), key=lambda section: len(section.rows) > _LONG)
    fitted = fit([*removals, *warnings, *others], room)
    shown = {part.section.title: part for part in fitted}
    ordered = [shown[section.title] for section in (*warnings, *planned)]
    return (head + "".join(part.text for part in ordered) + _left_out(ordered)).rstrip("\n") + "\n"


@dataclass(frozen=True, slots=True)
class Part:
    """A section as it is shown: its text, and how many of its rows are not in it."""

    section: Section
    text: str
    left: int


def fit(listed: Sequence[Section], room: int) -> list[Part]:
    """Give each section as much as it needs while there is room, the first one first.

    When even the removals do not fit, they are counted by what they are and fleet, then without the fleet.
    """
    parts = []
    for section in listed:
        part = _part(section, room)
        if part.left and section.title == "Removals":
            for by_fleet in (True, False):
                rows = grouped(section.rows, by_fleet=by_fleet)
                short = _part(Section(section.title, section.noun, section.sign, rows), room, len(section.rows))
                if not short.left:
                    part = Part(section, short.text, 0)
                    break
        parts.append(part)
        room -= len(part.text)
    return parts


def _part(section: Section, room: int, total: int | None = None) -> Part:
    title = f"{section.title} ({len(section.rows) if total is None else total:,})"
    folded = len(section.rows) > _LONG and section.title != "Removals"
    start = f"<details><summary>{title}</summary>\n\n{_TABLE}" if folded else f"#### {title}\n\n{_TABLE}"
    end = "\n</details>\n\n" if folded else "\n"
    room -= len(start) + len(end)
    lines: list[str] = []
    for row in section.rows:
        line = _line(row)
        room -= len(line)
        if room < 0:
            break
        lines.append(line)
    left = len(section.rows) - len(lines)
    return Part(section, start + "".join(lines) + end if lines else "", left)


def _head(review: Review | None) -> str:
    if review is None:
        return "### slmc plan\n\nThere is no plan: the blueprint has errors.\n\n"
    against = review.against
    name = _code(against.name) + (f" ({_code(against.commit[:10])})" if against.commit else "")
    lines = [f"### slmc plan, against {name}", " ".join(summary(review))]
    if against.why is not None:
        lines.append(f"Coarser than against a commit: {_prose(against.why)}")
    lines += [_prose(note) for note in against.notes[:_NOTES]]
    if len(against.notes) > _NOTES:
        lines.append(f"And {count(len(against.notes) - _NOTES, 'note')} more.")
    return "".join(f"{line}\n\n" for line in lines)


def _left_out(parts: Iterable[Part]) -> str:
    left = [count(part.left, part.section.noun) for part in parts if part.left]
    return f"**Left out, since a comment is not longer:** {', '.join(left)}. `slmc plan` shows all.\n" if left else ""


def _line(row: Row) -> str:
    devices = "" if row.devices is None else f"{row.devices:,}" + (f" of {_code(row.of)}" if row.of else "")
    subject = "" if row.link else "device " if row.devices == 1 else "devices "
    return f"| {subject}{_words(row.what)} | {devices} | {_words(row.origin)} |\n"


def _finding(diagnostic: Diagnostic) -> Row:
    code = diagnostic.code
    place = (Named(str(diagnostic.span or diagnostic.file)),) if diagnostic.span or diagnostic.file else ()
    return Row((f"{code.severity.value} {code.id}: {_prose(diagnostic.message)}",), origin=place)


def _words(words: Words) -> str:
    return "".join(_code(word.text) if isinstance(word, Named) else word for word in words)


def _prose(text: str) -> str:
    """A sentence of slmc's with names in backticks. One whose own words could mean something to Markdown is code."""
    parts = text.split("`")
    if len(parts) % 2 and all(_SENTENCE.fullmatch(words) for words in parts[::2]):
        return "".join(_code(part) if number % 2 else part for number, part in enumerate(parts))
    return _code(text, 4 * _LONGEST_WORD)


def _code(text: str, longest: int = _LONGEST_WORD) -> str:
    """A user's word in a code span, where it formats nothing, links nothing and mentions nobody.

    What a code span in a table cannot hold is written with entities.
    """
    text = one_line(text)
    if len(text) > longest:
        text = f"{text[: longest - 1]}…"
    if _HARMLESS.fullmatch(text):
        return f"`{text}`"
    return f"<code>{''.join(c if _LITERAL.match(c) else f'&#{ord(c)};' for c in text)}</code>"
