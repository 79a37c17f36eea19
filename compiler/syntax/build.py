"""YAML events → plain values with their marks, and what blueprints refuse of YAML."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    StreamEndEvent,
)

from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic, did_you_mean
from compiler.base.span import Source, Span
from compiler.syntax.document import Mapping, Mark, Sequence
from compiler.syntax.events import Problem
from compiler.syntax.problem import bad_escape, explain, no_key
from compiler.syntax.scalars import Scalar, resolve

MAX_DEPTH = 100
MAX_EXPANSION = 100_000
"""How many values the aliases of one document may add."""

_TAG = re.compile(r"(?:&\S+[ ]+)?(!\S*)")
_PROPERTIES = re.compile(r"(?:[&!]\S*[ ]+)*")
_TAG_BEFORE = re.compile(r"(!\S*)[ ]+$")
_UNUSABLE = re.compile("[\0\ud800-\udfff]")
_ESCAPES = re.compile(r"\\(?:\\|0|x00|u0000|U00000000|u[dD][89a-fA-F]\w\w|U0000[dD][89a-fA-F]\w\w)")


@dataclass(frozen=True, slots=True)
class _Anchor:
    """An anchored value, how many values it is when written out, and how many levels deep."""

    value: Any
    size: int
    height: int


class _Enough(Exception):
    """The document cannot be read on; its diagnostic is recorded."""


class Builder:
    """Builds the value of one document; `usable` says whether the value may be looked at."""

    def __init__(self, source: Source, stream: Iterator[Any]) -> None:
        self.diagnostics: list[Diagnostic] = []
        self.usable = True
        self.complete = True
        self._source = source
        self._stream = stream
        self._anchors: dict[str, _Anchor] = {}
        self._open_anchors: set[str] = set()
        self._open_flows: list[int] = []
        self._count = 0
        self._expanded = 0
        self._deepest = 0
        self._resolved: dict[str, Scalar] = {}

    def build(self) -> Any:
        """The document's root, or None for a file without a value. Diagnostics are collected."""
        root: Any = None
        explicit_end = False
        try:
            next(self._stream)  # the stream's start
            if isinstance(event := next(self._stream), StreamEndEvent):
                return None
            root, _ = self._node(next(self._stream), 1)
            explicit_end = bool(next(self._stream).explicit)
            if isinstance(event := next(self._stream), DocumentStartEvent):
                self._second_document(event.start_mark)
        except Problem as problem:
            if explicit_end:  # after `...`, the C parser wants `---`
                self._second_document(None, problem.index)
            else:
                self._give_up(explain(self._source, problem, self._open_flows[-1] if self._open_flows else None))
        except _Enough:
            self.usable = False
        return root

    def _node(self, event: Any, depth: int) -> tuple[Any, Mark]:
        """The value that `event` begins, and the place to underline for it."""
        if event.__class__ is ScalarEvent and event.tag is None and event.anchor is None:  # as most are
            self._count += 1
            return self._scalar(event), self._mark(event)
        if isinstance(event, AliasEvent):
            return self._alias(event, depth)
        if event.tag is not None:
            self._tag(event)
        self._count += 1
        name = event.anchor
        if name is None:
            return self._value(event, depth)
        before, deepest = self._count, self._deepest
        self._deepest = depth
        self._open_anchors.add(name)
        value, mark = self._value(event, depth)
        self._open_anchors.discard(name)
        self._anchors[name] = _Anchor(value, self._count - before + 1, self._deepest - depth)
        self._deepest = max(deepest, self._deepest)
        return value, mark

    def _value(self, event: Any, depth: int) -> tuple[Any, Mark]:
        if isinstance(event, ScalarEvent):
            bare = event.anchor is None and event.tag is None
            return self._scalar(event), self._mark(event) if bare else self._mark_without_properties(event)
        if depth > MAX_DEPTH:
            message = f"Values are nested more than {MAX_DEPTH} levels deep."
            self._give_up(self._at(Code.UNSUPPORTED_YAML, self._mark(event), message, "Blueprints are flat."))
            raise _Enough
        self._deepest = max(self._deepest, depth)
        opener = event.end_mark.index - 1
        flow = event.flow_style and self._source.text[opener : opener + 1] in ("[", "{")
        if flow:
            self._open_flows.append(opener)
        build = self._mapping if isinstance(event, MappingStartEvent) else self._sequence
        value, mark = build(event, depth)
        if flow:
            self._open_flows.pop()
        return value, mark

    def _mapping(self, start: Any, depth: int) -> tuple[Mapping, Mark]:
        mapping = Mapping()
        first: Mark | None = None
        stream = self._stream
        while not isinstance(event := next(stream), MappingEndEvent):
            key, key_mark = self._key(event, depth)
            first = first or key_mark
            value_event = next(stream)
            value, mark = self._node(value_event, depth + 1)
            if _is_blank(value_event):
                mark = key_mark
            if key is None:
                continue
            if key in mapping:
                self._duplicate(key, key_mark, mapping.key_marks[key])
                continue
            mapping[key] = value
            mapping.key_marks[key] = key_mark
            mapping.value_marks[key] = mark
        start_mark = self._mark(start, closing=event)
        in_block = first is not None and first[:2] == start_mark[:2]
        return mapping, first if in_block and first else start_mark

    def _sequence(self, start: Any, depth: int) -> tuple[Sequence, Mark]:
        sequence = Sequence()
        while not isinstance(event := next(self._stream), SequenceEndEvent):
            value, mark = self._node(event, depth + 1)
            if _is_blank(event):  # stands right after its `-`
                mark = (mark[0], max(1, mark[1] - 1), 1)
            sequence.append(value)
            sequence.item_marks.append(mark)
        return sequence, self._mark(start, closing=event)

    def _scalar(self, event: Any) -> Scalar:
        text: str = event.value
        if style := event.style:
            if style == '"' and _UNUSABLE.search(text):
                self._escape(event)
            return text
        if event.tag is not None and event.tag.endswith("str"):
            return text
        known = self._resolved
        if text not in known:
            known[text] = resolve(text)
        return known[text]

    def _key(self, event: Any, depth: int) -> tuple[str | None, Mark]:
        """A mapping's key as text; None for one that cannot be a key, after reporting it."""
        mark = self._mark(event)
        if not isinstance(event, ScalarEvent):
            self._node(event, depth + 1)
            self._unsupported(mark, "A key is text here, not a list, a mapping or an alias.", "Write the key out.")
            self.usable = False
            return None, mark
        if event.tag is None and event.anchor is None:
            self._count += 1
            value = self._scalar(event)
        else:
            value, _ = self._node(event, depth)
        if event.value == "<<" and not event.style:
            self._unsupported(mark, "`<<` would merge another mapping into this one.", "Write the keys out here.")
            self.usable = False
            return None, mark
        if not isinstance(value, str):
            self._key_not_text(event.value, value, mark)
        return str(event.value), mark

    def _alias(self, event: Any, depth: int) -> tuple[Any, Mark]:
        mark, name = self._mark(event), event.anchor
        if name in self._open_anchors:
            message = f"`*{name}` stands inside the value that it repeats, which would never end."
            self._give_up(self._at(Code.ALIAS_EXPANSION, mark, message, "Write the value out."))
            return None, mark
        anchor = self._anchors.get(name)
        if anchor is None:
            way = did_you_mean(name, self._anchors, f"Put `&{name}` before the value that is meant, further up.")
            self._give_up(self._at(Code.YAML_SYNTAX, mark, f"No anchor above is named `&{name}`.", way))
            return None, mark
        self._count += anchor.size
        self._expanded += anchor.size
        self._deepest = max(self._deepest, depth + anchor.height)
        if self._expanded > MAX_EXPANSION or depth + anchor.height > MAX_DEPTH:
            levels = f"nest more than {MAX_DEPTH} levels deep"
            over = levels if self._expanded <= MAX_EXPANSION else f"add more than {MAX_EXPANSION:,} values"
            message = f"With `*{name}`, the aliases of this file {over}."
            self._give_up(self._at(Code.ALIAS_EXPANSION, mark, message, "Repeat less by aliases."))
            raise _Enough
        return anchor.value, mark

    def _tag(self, event: Any) -> None:
        text, begin = self._source.text, event.start_mark.index
        # With `!tag &anchor`, the C parser begins at the tag and the Python one at the anchor.
        before = _TAG_BEFORE.search(text[max(0, begin - 100) : begin])
        found = _TAG.match(text, begin)
        line, column, _ = self._mark(event)
        shown = "!"
        if before:
            shown, column = before[1], column - len(before[0])
        elif found:
            shown, column = found[1], column + found.start(1) - begin
        way = "Leave it out, and put text that looks like a number in quotes."
        self._unsupported((line, column, len(shown)), f"`{shown}` is a YAML tag.", way)

    def _key_not_text(self, written: str, value: Scalar, mark: Mark) -> None:
        if value is None and not written:
            self._give_up(no_key(self._source, mark))
            return
        if value is None:
            self.usable = False  # nothing is named null
        kind = {bool: "a boolean", int: "a number", float: "a number"}.get(type(value), "null")
        self._unsupported(mark, f"The key `{written}` is {kind} in YAML, not text.", f'Write "{written}", in quotes.')

    def _duplicate(self, key: str, mark: Mark, first: Mark) -> None:
        related = ((self._span(first), "first written here"),)
        message = f"`{key}` is written twice in one mapping."
        way = "Remove one of them, or merge what stands below both."
        self.diagnostics.append(Diagnostic(Code.DUPLICATE_KEY, message, self._span(mark), way, related))

    def _escape(self, event: Any) -> None:
        begin, end = event.start_mark.index, event.end_mark.index
        for found in _ESCAPES.finditer(self._source.text, begin, end):
            if found[0] != "\\\\":
                self._give_up(bad_escape(self._source, found.start()))

    def _second_document(self, mark: Any, index: int = 0) -> None:
        self.complete = False
        line = mark.line + 1 if mark else self._source.text.count("\n", 0, index) + 1
        text = self._source.line(line)
        length = 3 if text.startswith("---") else max(1, len(text.split("#")[0].rstrip()))
        message, way = "A second YAML document begins here.", "Move it to its own file: files merge by name."
        self._unsupported((line, 1, length), message, way)

    def _unsupported(self, mark: Mark, message: str, way: str) -> None:
        self.diagnostics.append(self._at(Code.UNSUPPORTED_YAML, mark, message, way))

    def _give_up(self, diagnostic: Diagnostic) -> None:
        self.diagnostics.append(diagnostic)
        self.usable = False

    def _at(self, code: Code, mark: Mark, message: str, way: str | None) -> Diagnostic:
        return Diagnostic(code, message, self._span(mark), help=way)

    def _span(self, mark: Mark) -> Span:
        return Span(self._source, *mark)

    def _mark(self, event: Any, closing: Any = None) -> Mark:
        """The part of a value that stands on its first line; of a block collection, one character."""
        start, end = event.start_mark, (closing or event).end_mark
        line, column = start.line, start.column
        if closing is not None and not event.flow_style:
            length = 1  # a block collection ends at the next token: nothing to underline
        elif line == end.line:
            length = end.column - column
        else:
            length = len(self._source.line(line + 1).rstrip()) - column
        return line + 1, column + 1, length if length > 0 else 1

    def _mark_without_properties(self, event: Any) -> Mark:
        line, column, length = self._mark(event)
        found = _PROPERTIES.match(self._source.text, event.start_mark.index, event.start_mark.index + length - 1)
        skipped = len(found[0]) if found else 0
        return line, column + skipped, length - skipped


def _is_blank(event: Any) -> bool:
    """Whether a value was left out, as after `key:` at the end of a line."""
    return isinstance(event, ScalarEvent) and not event.value and event.start_mark.index == event.end_mark.index
