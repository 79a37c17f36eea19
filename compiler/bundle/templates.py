"""Compiles the templates of a target, and turns what goes wrong in them into diagnostics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jinja2 import nodes
from jinja2.meta import find_undeclared_variables
from jinja2.utils import missing

from compiler.base.diagnostics import Diagnostic
from compiler.base.span import Source
from compiler.bundle.blame import Blame
from compiler.bundle.environment import TargetEnvironment, renderer
from compiler.bundle.targets import Target, TargetFile

Render = Callable[[dict[str, Any]], bytes]

COHORT_NAMES = frozenset({"fleet", "cohort", "runs", "target", "files"})
RUN_NAMES = COHORT_NAMES | {"run"}


class Broken(Exception):
    """A template that cannot be compiled or rendered, with the diagnostics that say why."""

    def __init__(self, *diagnostics: Diagnostic) -> None:
        super().__init__()
        self.diagnostics = list(diagnostics)


@dataclass(frozen=True, slots=True)
class CompiledFile:
    """One entry of a target's `files`. Both functions raise Broken."""

    file: TargetFile
    path: Callable[[dict[str, Any]], str]
    content: Render


def compile_target(target: Target) -> tuple[list[CompiledFile], list[Diagnostic]]:
    """Compile every file of the target; those with an error are reported and left out."""
    environment = TargetEnvironment(target)
    compiled: list[CompiledFile] = []
    diagnostics: list[Diagnostic] = []
    for file in target.files:
        try:
            path = _compile_path(environment, target, file)
            compiled.append(CompiledFile(file, path, _compile_content(environment, target, file)))
        except Broken as broken:
            diagnostics += broken.diagnostics
    return compiled, diagnostics


def _names(file: TargetFile) -> frozenset[str]:
    return RUN_NAMES if file.per_run else COHORT_NAMES


def _compile_content(environment: TargetEnvironment, target: Target, file: TargetFile) -> Render:
    blame = Blame(target, file.template, _names(file))
    try:
        path = target.template(file.template)
        text = path.read_text(encoding="utf-8") if path else ""
        render = renderer(environment.get_template(file.template))  # first: its errors name the template
        undefined = _undefined_names(environment, Source(target.called(file.template), text), blame)
    except Exception as error:
        raise Broken(blame.explain(error)) from error
    if undefined:
        raise Broken(*undefined)
    return _guarded(render, blame.explain)


def _compile_path(environment: TargetEnvironment, target: Target, file: TargetFile) -> Callable[[dict[str, Any]], str]:
    """`path` of a file is a template too; its errors belong to its line in `target.yaml`."""
    if "{" not in file.path:  # nothing but text
        path = file.path.strip()
        return lambda context: path
    blame = Blame(target, file.template, _names(file))

    def explain(error: Exception) -> Diagnostic:
        found = blame.explain(error)
        return Diagnostic(found.code, found.message, file.path_place, found.help)

    try:
        render = _guarded(renderer(environment.from_string(file.path)), explain)
        return lambda context: render(context).decode().strip()
    except Exception as error:
        raise Broken(explain(error)) from error


def _guarded(render: Render, explain: Callable[[Exception], Diagnostic]) -> Render:
    def guarded(context: dict[str, Any]) -> bytes:
        try:
            return render(context)
        except Exception as error:  # a template is a program of the user's: it can raise anything
            raise Broken(explain(error)) from error

    return guarded


def _undefined_names(environment: TargetEnvironment, source: Source, blame: Blame) -> list[Diagnostic]:
    """Every use of a name that the context will not have, found without rendering."""
    tree = environment.parse(source.text, filename=source.path)
    unknown = find_undeclared_variables(tree) - blame.names - environment.globals.keys()
    tested = {id(test.node) for test in tree.find_all(nodes.Test) if test.name in ("defined", "undefined")}
    return [
        blame.undefined(source, node.lineno, node.name, missing)
        for node in tree.find_all(nodes.Name)
        if node.name in unknown and node.ctx == "load" and id(node) not in tested
    ]
