"""The results as a table: as text, and as Markdown for the README."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path

from benchmarks.fleet.results import Results
from benchmarks.fleet.rows import Row, rows

_HEADS = ("work", "tool", "devices", "result", "peak", "ratio", "goal", "reached")
_RIGHT = {"devices", "result", "peak"}


def text(results: Results) -> str:
    lines = [_HEADS, *(_cells(row) for row in rows(results))]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEADS))]
    table = (
        "  ".join(_padded(cell, head, width) for cell, head, width in zip(line, _HEADS, widths, strict=True))
        for line in lines
    )
    return "\n".join([*_head(results), "", *(line.rstrip() for line in table), "", *_notes(results)]) + "\n"


def markdown(results: Results) -> str:
    lines = [_HEADS, *(_cells(row) for row in rows(results))]
    marked = ["| " + " | ".join(line) + " |" for line in lines]
    marked.insert(1, "|" + "|".join("---:" if head in _RIGHT else "---" for head in _HEADS) + "|")
    return "\n".join([*_head(results), "", *marked, "", *_notes(results)]) + "\n"


def _cells(row: Row) -> tuple[str, ...]:
    reached = {None: "", True: "yes", False: "no"}[row.reached]
    peak = f"{row.memory / 1e6:,.0f} MB" if row.memory else ""
    devices = f"{row.devices:,}" if row.devices else ""
    return row.work, row.tool, devices, row.result, peak, row.ratio, row.goal, reached


def _padded(cell: str, head: str, width: int) -> str:
    return cell.rjust(width) if head in _RIGHT else cell.ljust(width)


def _head(results: Results) -> Iterator[str]:
    versions = ", ".join(f"{name} {version}" for name, version in results.versions.items())
    what = f"CPU seconds (user + system, of a process and its children) on {_processor()}: {versions}."
    yield from textwrap.wrap(what, 118)


def _notes(results: Results) -> Iterator[str]:
    rounds = results.extent.rounds
    many = f"Median of {rounds} runs in turn, one run where it takes over 20 s. " if rounds > 1 else "One run of each. "
    yield f"{many}Peak: memory of the largest process."
    yield "slmc finds its artifacts in the store: building models is no part of this."
    for tool, different in results.different.items():
        same = (
            "the same values in all four files of every device" if not different else f"others for {different} devices"
        )
        yield f"{tool}, beside the jinja2 floor: {same}."
    if results.refused:
        yield f"slmc refuses the workload: {results.refused}."
    for name, figure in results.figures.items():
        if figure.failed:
            yield f"{name}: {figure.failed}."
    for tool, why in results.absent.items():
        yield f"Left out: {tool}: {why}."


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return "an unknown processor"
