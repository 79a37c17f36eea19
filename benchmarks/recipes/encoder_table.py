"""The encoder's figures as Markdown."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from platform import python_version

from benchmarks.recipes.encoder import Found, Line
from benchmarks.recipes.runtimes import GOALS, NAMES
from compiler.artifact.measuring import machine

_COLUMNS = (
    "tool", "what", "graph and weights", "artifact", "cosine mean", "min", "neighbours", "other text", "time",
    "build CPU s", "peak RSS", "goal",
)  # fmt: skip
_PACKAGES = ("onnxruntime", "onnx", "numpy")


def markdown(found: Found) -> str:
    return "\n".join(_lines(found)) + "\n"


def _lines(found: Found) -> Iterator[str]:
    packages = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    fp32 = next(line for line in found.lines if line.name == "fp32")
    yield f"all-MiniLM-L6-v2; quality on {found.texts} held-out sentences, beside the model as it came."
    yield f"{machine.label().split(',')[0]}, {machine.processors()} processors, CPython {python_version()}, {packages}."
    yield f"Time: one text of 128 tokens, one thread, CPU time as a share of fp32's, {fp32.milliseconds:.1f} ms."
    yield ""
    yield f"| {' | '.join(_COLUMNS)} |"
    yield f"|---|---|{'---:|' * (len(_COLUMNS) - 3)}---|"
    yield from map(_row, found.lines)
    if found.same:
        yield ""
        verdict = "byte-identical" if not found.same.different else f"not the same: {', '.join(found.same.different)}"
        how = "from two checkouts, under two hash seeds, into two empty stores"
        yield f"{found.same.artifacts} recipes rebuilt {how}: {found.same.failed or verdict}."


def _row(line: Line) -> str:
    if line.figure.failed:
        return f"| {line.tool} | {line.name} | failed: {line.figure.failed} |{' |' * (len(_COLUMNS) - 3)}"
    values = [f"{line.figures[name]:.4f}" for name in ("cosineMean", "cosineMin")]
    values.append(f"{line.figures['neighbourAgreement']:.1%}")
    values.append("" if line.other is None else f"{line.other:.4f}")
    values.append("" if line.speed is None else f"{line.speed:.2f}")
    values += [f"{line.figure.cpu:.1f}", f"{line.figure.memory / 1e6:.0f} MB"] if line.figure.runs else ["", ""]
    sizes = f"{line.weights / 1e6:.2f} MB | {line.size / 1e6:.2f} MB"
    return f"| {line.tool} | {line.name} | {sizes} | {' | '.join(values)} | {_goal(line)} |"


def _goal(line: Line) -> str:
    found = line.figures["cosineMean"]
    if line.tool in NAMES.values():
        return _words([(f"≥ {GOALS[line.name]:g}", found >= GOALS[line.name])])
    if (aim := line.aim) is None:
        return ""
    wanted = [
        (f"≤ {aim.megabytes:g} MB", line.weights <= aim.megabytes * 1e6),
        (f"≥ {aim.cosine:g}", found >= aim.cosine),
    ]
    if aim.latency is not None and line.speed is not None:
        wanted.append((f"time ≤ {aim.latency:g}", line.speed <= aim.latency))
    return _words(wanted)


def _words(wanted: list[tuple[str, bool]]) -> str:
    """What is reached, or what is not."""
    missed = [words for words, reached in wanted if not reached]
    return f"not {', '.join(missed)}" if missed else "reached"
