"""Python code for templates, quick where a template has what nearly every template has.

Jinja asks the environment about each attribute and each value that is written. This code looks at
the type first: a fact of slmc, a dict, text or a whole number needs no question. Whatever else there is
goes Jinja's own way, so the sandbox judges what it judged before, and every error is the same.

TracingGenerator is for questions instead: it makes code that says what it reads.
"""

from __future__ import annotations

import contextlib
from typing import Any

from jinja2 import nodes
from jinja2.compiler import CodeGenerator, Frame, optimizeconst

from compiler.bundle.context import FACTS
from compiler.bundle.memory import TEXT_FILTERS

_FIELDS = {kind: frozenset(getattr(kind, "__dataclass_fields__", ())) for kind in FACTS}
_BY_NAME = {kind.__name__: kind for kind in FACTS}
_USUAL: dict[str, str] = {
    "fleet": "FleetFacts", "privacy": "PrivacyFacts", "cohort": "CohortFacts", "device_class": "ClassFacts",
    "class": "ClassFacts", "run": "RunFacts", "artifact": "ArtifactFacts", "model": "ModelFacts", "file": "FileFacts",
    "target": "TargetFacts", "environment": "dict", "parameters": "dict", "options": "dict",
}  # fmt: skip
"""What variables and attributes of this name usually are. A wrong guess costs time, nothing else."""
_VIEWS = ("items", "keys", "values")
_LOOP = frozenset({"index", "index0", "revindex", "revindex0", "first", "last", "length", "depth", "depth0"})
"""What a loop says of itself in numbers, `true` and `false`; its other attributes can hold anything."""
_MOST_PARTS = 8
_PREFIX = "slmc_"
"""Begins no name of Jinja's: those of a template's variables begin with `l_`."""


class QuickGenerator(CodeGenerator):
    """Jinja's generator; the code it makes expects `facts`, `memory` and `text` of the environment."""

    _value = ""
    """The variable that holds the value to be written next; empty when nothing has to be asked of it."""

    def visit_Template(self, node: nodes.Template, frame: Frame | None = None) -> None:
        for name in _BY_NAME:
            self.writeline(f"{_PREFIX}{name} = environment.facts[{name!r}]")
        for name in TEXT_FILTERS:
            self.writeline(f"{_PREFIX}{name} = environment.memory[{name!r}]")
        self.writeline(f"{_PREFIX}text = environment.text")
        for parts in range(2, _MOST_PARTS + 1):  # as names, or Python would format parts before it knows all of them
            self.writeline(f"{_PREFIX}join{parts} = {'%s' * parts!r}")
        self.writeline(f"{_PREFIX}join = ''.join")
        super().visit_Template(node, frame)

    def visit_Output(self, node: nodes.Output, frame: Frame) -> None:
        """What stands between two statements is joined at once. Jinja yields text and values one by one."""
        finalize = self._make_finalize()
        parts = self._parts(node, frame, finalize)
        if frame.buffer is not None or frame.require_output_check or len(parts) == 1:
            super().visit_Output(node, frame)
            return
        self.writeline(f"yield {_PREFIX}join((")
        self.indent()
        for part in parts:
            if isinstance(part, list):
                self.writeline(f"{self._output_const_repr(part)},")
            else:
                self.newline(part)
                self._output_child_pre(part, frame, finalize)
                self.visit(part, frame)
                self._output_child_post(part, frame, finalize)
                self.write(",")
        self.outdent()
        self.writeline("))")

    def _parts(self, node: nodes.Output, frame: Frame, finalize: Any) -> list[list[str] | nodes.Expr]:
        """The values to write, and between them lists of text that is known already."""
        parts: list[list[str] | nodes.Expr] = []
        for child in node.nodes:
            known = None
            if finalize.const or isinstance(child, nodes.TemplateData):
                with contextlib.suppress(Exception):  # it is then raised where the value is written
                    known = self._output_child_to_const(child, frame, finalize)
            if known is None:
                parts.append(child)
            elif parts and isinstance(parts[-1], list):
                parts[-1].append(known)
            else:
                parts.append([known])
        return parts

    @optimizeconst
    def visit_Getattr(self, node: nodes.Getattr, frame: Frame) -> None:
        usual = _usual(node)
        if usual is None:
            super().visit_Getattr(node, frame)
            return
        value = self._temporary()
        if usual == "dict":
            self.write(f"({value}[{node.attr!r}] if type({value} := ")
            self.visit(node.node, frame)
            self.write(f") is dict and {node.attr!r} in {value}")
        else:
            self.write(f"({value}.{node.attr} if type({value} := ")
            self.visit(node.node, frame)
            self.write(f") is {'' if usual == 'LoopContext' else _PREFIX}{usual}")
        self.write(f" else environment.getattr({value}, {node.attr!r}))")

    @optimizeconst
    def visit_Call(self, node: nodes.Call, frame: Frame, forward_caller: bool = False) -> None:
        called = node.node
        view = isinstance(called, nodes.Getattr) and called.attr in _VIEWS
        if not view or node.args or node.kwargs or node.dyn_args or node.dyn_kwargs or forward_caller:
            super().visit_Call(node, frame, forward_caller=forward_caller)
            return
        assert isinstance(called, nodes.Getattr)
        value = self._temporary()
        self.write(f"({value}.{called.attr}() if type({value} := ")
        self.visit(called.node, frame)
        loop = ", _loop_vars=_loop_vars" if frame.loop_frame else ""
        block = ", _block_vars=_block_vars" if frame.block_frame else ""
        asked = f"environment.getattr({value}, {called.attr!r}){loop}{block}"
        self.write(f") is dict else environment.call(context, {asked}))")

    @optimizeconst
    def visit_Filter(self, node: nodes.Filter, frame: Frame) -> None:
        if node.node is None or not self._remembered(node):
            super().visit_Filter(node, frame)
            return
        value = self._temporary()
        self.write(f"({_PREFIX}{node.name}[{value}] if type({value} := ")
        self.visit(node.node, frame)
        self.write(f") is str else {self.filters[node.name]}(")
        if node.name == "tojson":
            self.write("context.eval_ctx, ")
        self.write(f"{value}))")

    @optimizeconst
    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:
        parts = len(node.nodes)
        if frame.eval_ctx.volatile or frame.eval_ctx.autoescape or not 2 <= parts <= _MOST_PARTS:
            super().visit_Concat(node, frame)
            return
        self.write(f"({_PREFIX}join{parts} % (")
        for part in node.nodes:
            self.visit(part, frame)
            self.write(", ")
        self.write("))")

    @optimizeconst
    def visit_Mul(self, node: nodes.BinExpr, frame: Frame) -> None:
        left, right = self._temporary(), self._temporary()
        self.write(f"({left} * {right} if (type({left} := ")
        self.visit(node.left, frame)
        self.write(f") is int) & (type({right} := ")
        self.visit(node.right, frame)
        self.write(f") is int) else environment.call_binop(context, '*', {left}, {right}))")

    def _output_child_pre(self, node: nodes.Expr, frame: Frame, finalize: Any) -> None:
        if frame.eval_ctx.volatile or frame.eval_ctx.autoescape:
            super()._output_child_pre(node, frame, finalize)
            return
        self._value = "" if isinstance(node, nodes.Concat) or self._remembered(node) else self._temporary()
        if self._value:
            self.write(f"({self._value} if type({self._value} := ")

    def _output_child_post(self, node: nodes.Expr, frame: Frame, finalize: Any) -> None:
        if frame.eval_ctx.volatile or frame.eval_ctx.autoescape:
            super()._output_child_post(node, frame, finalize)
        elif value := self._value:
            self.write(f") is str else f'{{{value}}}' if type({value}) is int else {_PREFIX}text({value}))")

    def _temporary(self) -> str:
        return f"{_PREFIX}{self.temporary_identifier()}"

    @staticmethod
    def _remembered(node: nodes.Expr) -> bool:
        """Whether the value is what one of slmc's filters gives: text, which needs no further look."""
        if not isinstance(node, nodes.Filter) or node.name not in TEXT_FILTERS:
            return False
        return not (node.args or node.kwargs or node.dyn_args or node.dyn_kwargs)


class TracingGenerator(CodeGenerator):
    """Jinja's own code, with calls of the environment (see trace.py) around what writes, decides or names something."""

    _line = 1

    def visit_Output(self, node: nodes.Output, frame: Frame) -> None:
        for child in node.nodes:
            self._line = min([child.lineno, *(inner.lineno for inner in child.find_all(nodes.Node) if inner.lineno)])
            super().visit_Output(nodes.Output([child], lineno=node.lineno), frame)

    def _output_const_repr(self, group: Any) -> str:
        return f"environment.constant({self.name!r}, {self._line}, {super()._output_const_repr(group)})"

    def _output_child_pre(self, node: nodes.Expr, frame: Frame, finalize: Any) -> None:
        self.write(f"environment.piece(environment.begin(), {self.name!r}, {self._line}, ")
        super()._output_child_pre(node, frame, finalize)

    def _output_child_post(self, node: nodes.Expr, frame: Frame, finalize: Any) -> None:
        super()._output_child_post(node, frame, finalize)
        self.write(")")

    def visit_Name(self, node: nodes.Name, frame: Frame) -> None:
        if node.ctx != "load":
            super().visit_Name(node, frame)
            return
        self.write(f"environment.named({self.name!r}, {node.name!r}, ")
        super().visit_Name(node, frame)
        self.write(")")

    def visit_If(self, node: nodes.If, frame: Frame) -> None:
        self.writeline("environment.open()")
        super().visit_If(node, frame)
        self.writeline("environment.close()")

    def visit_For(self, node: nodes.For, frame: Frame) -> None:
        self.writeline("environment.open()")
        super().visit_For(node, frame)
        self.writeline("environment.close()")

    def visit_FilterBlock(self, node: nodes.FilterBlock, frame: Frame) -> None:
        self.writeline(f"environment.begin_block({self.name!r}, {node.lineno})")
        super().visit_FilterBlock(node, frame)
        self.writeline("environment.end_block()")

    def visit_CallBlock(self, node: nodes.CallBlock, frame: Frame) -> None:
        self.writeline(f"environment.begin_block({self.name!r}, {node.lineno})")
        super().visit_CallBlock(node, frame)
        self.writeline("environment.end_block()")

    def visit_Assign(self, node: nodes.Assign, frame: Frame) -> None:
        self._assigned(node)
        super().visit_Assign(node, frame)
        self.writeline("environment.assigned()")

    def visit_AssignBlock(self, node: nodes.AssignBlock, frame: Frame) -> None:
        self._assigned(node)
        super().visit_AssignBlock(node, frame)
        self.writeline("environment.assigned()")

    def _assigned(self, node: nodes.Assign | nodes.AssignBlock) -> None:
        target = node.target
        names = [target.name] if isinstance(target, nodes.Name) else [n.name for n in target.find_all(nodes.Name)]
        self.writeline(f"environment.assign({self.name!r}, {names!r})")


def _usual(node: nodes.Getattr) -> str | None:
    """The name of the type that most probably has this attribute; None where Jinja has to look."""
    attribute, owner = node.attr, node.node
    if attribute.startswith("_") or not attribute.isidentifier() or not attribute.isascii():
        return None
    name = owner.name if isinstance(owner, nodes.Name) else owner.attr if isinstance(owner, nodes.Getattr) else ""
    if name == "loop" and isinstance(owner, nodes.Name):
        return "LoopContext" if attribute in _LOOP else None
    usual = _USUAL.get(name) or next((kind.__name__ for kind in FACTS if attribute in _FIELDS[kind]), "dict")
    if usual == "dict":
        return None if hasattr(dict, attribute) else usual
    return usual if attribute in _FIELDS[_BY_NAME[usual]] else None
