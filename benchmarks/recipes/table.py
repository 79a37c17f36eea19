"""The figures as Markdown."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from platform import python_version

from benchmarks.fleet.measure import Figure
from benchmarks.recipes.large import Found, Line
from compiler.artifact.measuring import machine

_GOAL_CPU, _GOAL_MEMORY = 8.0, 120e6
_PACKAGES = ("onnxruntime", "onnx", "numpy")


def markdown(found: Found) -> str:
    return "\n".join(_lines(found)) + "\n"


def _lines(found: Found) -> Iterator[str]:
    packages = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    size = f"{found.parameters / 1e9:.2f} billion parameters, {found.parameters * 4 / 1e9:.2f} GB of float32"
    yield f"A decoder of {size}, random weights. One run of each, whole processes."
    yield f"{machine.label().split(',')[0]}, {machine.processors()} processors, CPython {python_version()}, {packages}."
    yield "CPU: user and system; slmc's with sha256 of the result and its way into the store."
    yield ""
    yield "| work | tool | wall s | CPU s | peak RSS | result | CPU / slmc | goal |"
    yield "|---|---|---:|---:|---:|---:|---:|---|"
    ours = {line.work: line.figure.cpu for line in found.lines if line.tool == "slmc"}
    for line in sorted(found.lines, key=lambda line: line.work):
        yield _row(line, ours[line.work])
    yield ""
    verdict = "all bit-equal" if not found.different else f"not equal: {', '.join(found.different)}"
    yield f"{found.compared} tensors compared with onnxruntime's kernel: {verdict}."
    yield ""
    yield "| float32 weights | int4: peak RSS | CPU s | int8: peak RSS | CPU s |"
    yield "|---:|---:|---:|---:|---:|"
    for size, figures in found.memory:
        yield f"| {size / 1e9:.2f} GB | {_pair(figures['int4'])} | {_pair(figures['int8'])} |"


def _row(line: Line, ours: float) -> str:
    if line.figure.failed:
        return f"| {line.work} | {line.tool} | failed: {line.figure.failed} | | | | | |"
    ratio = "" if line.tool == "slmc" else f"{line.figure.cpu / ours:.1f}"
    return (
        f"| {line.work} | {line.tool} | {line.wall:.1f} | {line.figure.cpu:.1f} | {line.figure.memory / 1e6:,.0f} MB "
        f"| {line.size / 1e6:,.0f} MB | {ratio} | {_goal(line)} |"
    )


def _goal(line: Line) -> str:
    if line.tool != "slmc":
        return ""
    wanted = [(f"≤ {_GOAL_MEMORY / 1e6:.0f} MB", line.figure.memory <= _GOAL_MEMORY)]
    if line.work == "to int4":
        wanted.insert(0, (f"≤ {_GOAL_CPU:.0f} CPU s", line.figure.cpu <= _GOAL_CPU))
    return ", ".join(f"{words}: {'yes' if reached else 'no'}" for words, reached in wanted)


def _pair(figure: Figure) -> str:
    return figure.failed or f"{figure.memory / 1e6:.0f} MB | {figure.cpu:.1f}"
