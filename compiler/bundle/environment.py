"""The Jinja environment of templates: strict, sandboxed, and the same on every machine.

What it bounds: `range()` to 100,000 items, powers and repetition to 1,000,000 digits or items, recursion
by Python's own limit. What it does not: loops inside loops, and text padded with `%` or `format`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

from jinja2 import BaseLoader, Environment, StrictUndefined, Template, TemplateNotFound, Undefined, UndefinedError
from jinja2.compiler import CodeGenerator
from jinja2.runtime import Context
from jinja2.sandbox import SandboxedEnvironment
from jinja2.utils import htmlsafe_json_dumps, missing

from compiler.bundle.context import FACTS
from compiler.bundle.generator import QuickGenerator
from compiler.bundle.memory import TEXT_FILTERS, Memory, dictsort
from compiler.bundle.quoting import FILTERS, Refused, written
from compiler.bundle.targets import Target

_LIMIT = 1_000_000
_FACTS = frozenset(FACTS)
_NOT_DETERMINISTIC = ("random",)


class UndefinedName(UndefinedError):
    """`name` is undefined: at the top of the context, or as an attribute of `owner`."""

    def __init__(self, message: str | None, name: str, owner: Any) -> None:
        super().__init__(message)
        self.name = name
        self.owner = owner


class Missing(StrictUndefined):
    """An undefined value that says its name when it is used."""

    __slots__ = ()

    def __init__(
        self, hint: str | None = None, obj: Any = missing, name: str | None = None, exc: type[Any] = UndefinedError
    ) -> None:
        raised: Any = exc
        if exc is UndefinedError and name is not None:
            raised = partial(UndefinedName, name=name, owner=obj)
        super().__init__(hint, obj, name, raised)


class TargetEnvironment(SandboxedEnvironment):
    """Compiles the templates of one target; each is compiled once for all cohorts."""

    code_generator_class: type[CodeGenerator] = QuickGenerator
    intercepted_binops = frozenset({"**", "*"})

    def __init__(self, target: Target) -> None:
        super().__init__(
            loader=_Folder(target),
            undefined=Missing,
            keep_trailing_newline=True,
            trim_blocks=True,
            lstrip_blocks=True,
            autoescape=False,
            auto_reload=False,
            finalize=_finalize,
        )
        self.filters.update(FILTERS, dictsort=dictsort)
        self.facts = {kind.__name__: kind for kind in FACTS}
        self.memory = {name: Memory(FILTERS.get(name) or self._json) for name in TEXT_FILTERS}
        for name in _NOT_DETERMINISTIC:
            del self.filters[name]
        del self.globals["lipsum"]

    def getattr(self, obj: Any, attribute: str) -> Any:
        """The sandbox's check is slow, and nothing of slmc's own values is unsafe but `_` names."""
        if type(obj) in _FACTS and not attribute.startswith("_"):
            try:
                return getattr(obj, attribute)
            except AttributeError:
                return self.undefined(obj=obj, name=attribute)
        return super().getattr(obj, attribute)

    @staticmethod
    def text(value: Any) -> str:
        """What is written for a value that is neither text nor a whole number."""
        return str(_finalize(value))

    @staticmethod
    def _json(text: str) -> str:
        """As Jinja's `tojson` does it. Its options, which sort keys, would cost a new encoder for each text."""
        return htmlsafe_json_dumps(text, json.dumps)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """`**` and `*`, refused where the result would fill the memory."""
        if operator == "**":
            large = isinstance(left, int) and isinstance(right, int) and abs(right) * left.bit_length() > _LIMIT
        else:
            pairs = ((left, right), (right, left))
            large = any(isinstance(n, int) and hasattr(s, "__len__") and n * len(s) > _LIMIT for s, n in pairs)
        if large:
            raise Refused(f"The result of `{operator}` is too large.")
        return super().call_binop(context, operator, left, right)


def renderer(template: Template) -> Callable[[dict[str, Any]], bytes]:
    """The template as a function from a context to the bytes of a file.

    It leaves out the copies of the context that `Template.render` makes, and its rewriting of tracebacks.
    """
    function, environment, name, blocks = (
        template.root_render_func,
        template.environment,
        template.name,
        template.blocks,
    )
    names = dict(template.globals)  # which is a chain of mappings, slow to go through
    make = environment.context_class

    def render(context: dict[str, Any]) -> bytes:
        return "".join(function(make(environment, {**names, **context}, name, blocks, names))).encode()

    return render


def _finalize(value: Any) -> Any:
    return str(value) if isinstance(value, Undefined) else written(value)


class _Folder(BaseLoader):
    """The templates of one target's folder, those of slmc's that its `files` name, and no other file."""

    def __init__(self, target: Target) -> None:
        self.target = target

    def get_source(self, environment: Environment, template: str) -> tuple[str, str, Callable[[], bool]]:
        path = self.target.template(template)
        if path is None:
            raise TemplateNotFound(template)
        return path.read_text(encoding="utf-8"), self.target.called(template), lambda: True
