"""Text → YAML events, from ruamel's C parser where it is installed, else from its Python one.

Both word and sometimes place an error differently; what leaves here is worded by `problem`.
They differ in what they take only in odd corners: the Python one refuses a tab between `key:`
and its value, which is legal YAML.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

try:
    import _ruamel_yaml as _c
except ImportError:  # the C extension is optional
    _c = None

HAVE_C = _c is not None


class Problem(Exception):
    """The parser's refusal: its words, and indexes of characters in the text.

    `begin` is where the thing that could not be parsed begins, if the parser says.
    """

    def __init__(self, words: str, index: int, context: str = "", begin: int | None = None) -> None:
        super().__init__(words)
        self.words = words
        self.index = index
        self.context = context
        self.begin = begin


def events(text: str, *, pure: bool = not HAVE_C) -> Iterator[Any]:
    """The events of `text`. Raises Problem where it is not YAML."""
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        yield from _pure_events(text) if pure else _c_events(text)
    except MarkedYAMLError as error:
        at = error.problem_mark or error.context_mark
        begin = error.context_mark.index if error.context_mark else None
        raise Problem(str(error.problem), at.index if at else 0, str(error.context or ""), begin) from error
    except YAMLError as error:
        raise Problem(str(error), 0) from error


def _c_events(text: str) -> Iterator[Any]:
    return iter(_c.CParser(text).get_event, None)


def _pure_events(text: str) -> Iterator[Any]:
    from ruamel.yaml import YAML

    yield from YAML(typ="safe", pure=True).parse(text)
