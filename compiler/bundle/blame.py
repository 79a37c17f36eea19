"""From an exception of a template to the diagnostic on the template's own line."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from jinja2 import TemplateError, TemplateNotFound, TemplateSyntaxError
from jinja2.utils import missing

from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic, did_you_mean
from compiler.base.span import Source, Span
from compiler.bundle.environment import UndefinedName
from compiler.bundle.targets import Target

_NEAR_LINES = 10
"""Jinja knows on which line an expression begins; a name in it can stand a few lines further down."""


@dataclass(frozen=True, slots=True)
class Blame:
    """Explains the errors of one template of a target, in which `names` are defined."""

    target: Target
    template: str
    names: frozenset[str]

    def explain(self, error: Exception) -> Diagnostic:
        """The diagnostic for an exception of Jinja's or of the template's own doing."""
        source, line = self._where(error)
        if isinstance(error, UndefinedName):
            return self.undefined(source, line, error.name, error.owner)
        if isinstance(error, UnicodeDecodeError):
            help = "Save the template as UTF-8."
            return Diagnostic(Code.NOT_UTF8, f"`{source.path}` is not UTF-8.", file=source.path, help=help)
        if isinstance(error, OSError) and not isinstance(error, TemplateNotFound):  # which is an OSError
            message = f"`{source.path}` cannot be read: {error.strerror}."
            return Diagnostic(Code.CANNOT_READ, message, file=source.path)
        return Diagnostic(Code.TEMPLATE_ERROR, _sentence(_reason(error)), _place(source, line))

    def undefined(self, source: Source, line: int, name: str, owner: Any) -> Diagnostic:
        """`name`, on or below `line`, is no variable (`owner` is missing) or no attribute of `owner`."""
        place = _place(source, line, name)
        if owner is missing:
            message = f"The template has no variable `{name}`."
            return Diagnostic(Code.UNDEFINED_VARIABLE, message, place, did_you_mean(name, self.names))
        kind, known = type(owner).__name__, []
        if is_dataclass(owner):
            kind, known = kind.removesuffix("Facts").lower(), [field.name for field in fields(owner)]
        elif isinstance(owner, dict):
            known = [str(key) for key in owner]
        return Diagnostic(
            Code.UNDEFINED_VARIABLE, f"A value of kind `{kind}` has no `{name}`.", place, did_you_mean(name, known)
        )

    def _where(self, error: Exception) -> tuple[Source, int]:
        """The template and line of the error: the innermost on the way to it."""
        name, line = self.target.called(self.template), 1
        if isinstance(error, TemplateSyntaxError):
            return self._source(error.filename or name), error.lineno
        trace = error.__traceback__
        while trace is not None:
            template = trace.tb_frame.f_globals.get("__jinja_template__")
            file = trace.tb_frame.f_code.co_filename
            if template is not None and self.target.template_called(file) is not None:
                name, line = file, template.get_corresponding_lineno(trace.tb_lineno)
            trace = trace.tb_next
        return self._source(name), line

    def _source(self, name: str) -> Source:
        """The template that diagnostics call `name`, as far as it can be read."""
        path = self.target.template(self.target.template_called(name) or name)
        try:
            return Source(name, path.read_text(encoding="utf-8", errors="replace") if path else "")
        except OSError:
            return Source(name, "")


def _place(source: Source, line: int, name: str | None = None) -> Span:
    """`name` on or soon below `line`, else the whole line."""
    for number in range(line, line + _NEAR_LINES) if name else ():
        if found := re.search(rf"(?<!\w){re.escape(name or '')}(?!\w)", source.line(number)):
            return Span(source, number, found.start() + 1, len(name or ""))
    text = source.line(line)
    stripped = text.strip()
    return Span(source, line, text.find(stripped) + 1, max(1, len(stripped)))


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "The template calls itself without end"
    if isinstance(error, MemoryError):
        return "The template needs more memory than there is"
    if isinstance(error, TemplateNotFound):
        return f"The target's folder has no template `{error.name}`"
    text = (error.message if isinstance(error, TemplateError) else str(error)) or type(error).__name__
    if isinstance(error, TemplateSyntaxError):
        text = f"Jinja cannot read it: {text}"
    # An object's address would make two runs differ.
    return re.sub(r" at 0x[0-9a-f]+", "", text)


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."
