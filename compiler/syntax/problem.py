"""The parser's refusal in our words: one sentence for one kind of mistake, whichever parser found it."""

from __future__ import annotations

import re

from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic
from compiler.base.span import Source, Span
from compiler.syntax.events import Problem
from compiler.syntax.text import place

_OPENERS = {"[": "list", "{": "mapping"}
_HEADERS = (
    ("anchor", "An anchor needs a name of letters and digits, such as `&defaults`."),
    ("alias", "An alias needs a name of letters and digits, such as `*defaults`. Quote text that begins with `*`."),
    ("tag", "Blueprints use no tags. Quote text that begins with `!`."),
    ("block scalar", "Only `|` or `>`, each with `+` or `-` if needed, stand before a text block."),
)


def explain(source: Source, problem: Problem, open_flow: int | None) -> Diagnostic:
    """The diagnostic for `problem`; `open_flow` is the index of the innermost open `[` or `{`."""
    text, words, index = source.text, problem.words, min(problem.index, len(source.text))
    at_end = not text[index:].strip()
    if text[index : index + 1] == "\t":
        return _diagnostic(source, Code.TAB, index, "A tab stands where the line's structure begins.", "Use spaces.")
    if "escape" in words or "hexdecimal" in words:
        return _escape(source, index, problem.begin)
    if "quoted scalar" in problem.context and problem.begin is not None:
        quote = text[problem.begin]
        message = f"The text that begins with `{quote}` here is never closed."
        return _syntax(source, problem.begin, message, f"End it with another `{quote}`.")
    if open_flow is not None and ("',' or" in words or (at_end and "content" in words)):
        return _flow(source, index, open_flow, at_end=at_end)
    if "mapping values" in words:
        return _no_key_here(source, index)
    if "cannot start any token" in words:
        message = f"An unquoted value cannot begin with `{text[index]}`."
        return _syntax(source, index, message, "Put the value in quotes.")
    for context, way in _HEADERS:
        if problem.context.endswith(context):
            return _syntax(source, index, f"The {context} that begins here cannot be read.", way, problem.begin)
    return _misplaced(source, index, at_end=at_end)


def bad_escape(source: Source, index: int) -> Diagnostic:
    """For the backslash at `index` of double-quoted text."""
    found = re.compile(r"\\(?:x\w{0,2}|u\w{0,4}|U\w{0,8}|.?)").match(source.text, index)
    shown = found[0] if found else "\\"
    return Diagnostic(
        Code.YAML_SYNTAX,
        f"`{shown}` does not stand for a character.",
        place(source, index, len(shown)),
        help="Write a backslash as `\\\\`, or put the text in single quotes, where it needs no escape.",
    )


def _escape(source: Source, index: int, begin: int | None) -> Diagnostic:
    backslash = source.text.rfind("\\", begin or 0, index + 1)
    return bad_escape(source, max(backslash, 0))


def _flow(source: Source, index: int, opened: int, *, at_end: bool) -> Diagnostic:
    opener = source.text[opened]
    closer = {"[": "]", "{": "}"}[opener]
    if at_end:
        message = f"The {_OPENERS[opener]} that begins with `{opener}` here is never closed."
        return _syntax(source, opened, message, f"End it with `{closer}`.")
    return Diagnostic(
        Code.YAML_SYNTAX,
        f"A `,` or the closing `{closer}` is missing before this.",
        place(source, index),
        related=((place(source, opened), f"the {_OPENERS[opener]} begins here"),),
        help=f"Separate entries with `,` and end the {_OPENERS[opener]} with `{closer}`.",
    )


def no_key(source: Source, mark: tuple[int, int, int]) -> Diagnostic:
    """For a `:` with nothing before it."""
    return Diagnostic(
        Code.YAML_SYNTAX, "The key before `:` is missing.", Span(source, mark[0], mark[1]), help="Write a key."
    )


def _no_key_here(source: Source, index: int) -> Diagnostic:
    """A `:` inside a value that has begun: on its line, or on a line above."""
    where = place(source, index)
    key = source.line(where.line)[: where.column - 1]
    if re.search(r":\s|[\[{]", key):
        message = "A second `:` stands in this value."
        return Diagnostic(Code.YAML_SYNTAX, message, where, help="Put the value in quotes.")
    begin = len(key) - len(key.lstrip(" "))
    above = next((line for line in reversed(source.lines[: where.line - 1]) if line.strip()), "")
    glued = re.match(r"\s*(?:- )?([-\w.]+:)[^\s:/]", above)
    if glued:
        way = f"The line above lacks a space after `{glued[1]}`."
    else:
        way = "Give the key the indentation of its neighbours. A key that has keys below it has no value of its own."
    message = "This line continues the value of the line above, where no key can stand."
    where = Span(source, where.line, begin + 1, max(1, len(key) - begin))
    return Diagnostic(Code.YAML_SYNTAX, message, where, help=way)


_STRAY = {
    "]": ("`]` closes no list.", "Remove it, or put the text in quotes."),
    "}": ("`}` closes no mapping.", "Remove it, or put the text in quotes."),
    ",": ("A value is missing before this `,`.", "Write the value, or remove the `,`."),
    "-": ("A list cannot begin on the line of its key.", "Begin it on the next line, or write `[one, two]`."),
}


def _misplaced(source: Source, index: int, *, at_end: bool) -> Diagnostic:
    """Something that cannot stand where it stands: by its indentation, or after what is before it."""
    where = place(source, index)
    line = source.line(where.line)
    if at_end and not line[where.column - 1 :]:
        return _syntax(source, max(len(source.text.rstrip()) - 1, 0), "The file ends here, in the middle of a value.")
    word = re.match(r"[^\s,\[\]{}]+|.", line[where.column - 1 :])
    length = len(word[0]) if word else 1
    if line[where.column - 1 :][:1] == ":" and not line[: where.column - 1].strip():
        return no_key(source, (where.line, where.column, 1))
    if not line[: where.column - 1].strip(" -?"):
        message = "This line's indentation does not fit the lines above it."
        way = "Give keys of one mapping, and `-` of one list, the same indentation."
    elif word and word[0] in _STRAY:
        message, way = _STRAY[word[0]]
    else:
        message = f"`{word[0] if word else ''}` cannot stand here."
        way = "A value ends before it. Put the whole value in quotes, or begin a new line."
    return _syntax(source, index, message, way, length=length)


def _syntax(
    source: Source, index: int, message: str, way: str | None = None, begin: int | None = None, *, length: int = 1
) -> Diagnostic:
    at = index if begin is None else begin
    return _diagnostic(source, Code.YAML_SYNTAX, at, message, way, length=length)


def _diagnostic(
    source: Source, code: Code, index: int, message: str, way: str | None = None, *, length: int = 1
) -> Diagnostic:
    return Diagnostic(code, message, place(source, index, length), help=way)
