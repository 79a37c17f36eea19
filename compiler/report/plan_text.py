"""A plan for a person at a terminal."""

from __future__ import annotations

from compiler.plan.review import Against, Review
from compiler.report.plan_rows import Named, Row, Words, count, sections, summary
from compiler.report.text import one_line


def plan_text(review: Review) -> str:
    """One paragraph that sums it up, then the sections, removals first. Nothing is left out."""
    parts = ["\n".join([against(review.against), *review.against.notes, *summary(review)]) + "\n"]
    for section in sections(review):
        sign = f"{section.sign} " if section.sign else ""
        parts.append(f"{section.title}\n" + "".join(f"  {sign}{_line(row)}\n" for row in section.rows))
    return "\n".join(parts)


def against(state: Against) -> str:
    """What the plan compares with."""
    name = f"{one_line(state.name)} ({state.commit[:10]})" if state.commit else one_line(state.name)
    return f"Against {name}." if state.why is None else f"Against {name}, coarsely: {one_line(state.why)}"


def _line(row: Row) -> str:
    text = _plain(row.what)
    if row.devices is not None:
        devices = count(row.devices, "device") + (f" of {one_line(row.of)}" if row.of is not None else "")
        text = f"{text} {row.link} {devices}" if row.link else f"{devices} {text}"
    return f"{text}, {_plain(row.origin)}" if row.origin else text


def _plain(words: Words) -> str:
    return "".join(one_line(word.text) if isinstance(word, Named) else word for word in words)
