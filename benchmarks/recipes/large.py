"""The large decoder: quantized by slmc and by its peers, one after the other; then slmc on smaller ones."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.fleet.measure import Case, Figure
from benchmarks.fleet.measure import run as run_once
from benchmarks.recipes import decoder, same
from benchmarks.recipes.decoder import Decoder

HERE = Path(__file__).parent
ROOT = HERE.parent.parent

_TENTH = Decoder(layers=3, hidden=1024, between=2816, words=16_000, heads=16, kv_heads=2)
_SIZES = (
    Decoder(layers=1, hidden=1024, between=2816, words=6_000, heads=16, kv_heads=2),
    Decoder(layers=4, hidden=2048, between=5632, words=16_000),
    Decoder(layers=9, hidden=2048, between=5632, words=32_000),
)
"""0.1 to 2.1 GB; the largest is the decoder itself."""


_FIRST_TO_GO = [found, "-n", "1000", "--"] if (found := shutil.which("choom")) else []
"""A peer takes up to 13 GB: where that is too much, the system ends it and nothing else."""


@dataclass(frozen=True, slots=True)
class Extent:
    quick: bool = False
    peers: bool = True
    olive: Path | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One tool's figures for one piece of work; `wall` in seconds."""

    work: str
    tool: str
    wall: float
    figure: Figure
    size: int
    """Bytes of what was made."""


@dataclass(slots=True)
class Found:
    parameters: int
    lines: list[Line] = field(default_factory=list)
    memory: list[tuple[int, dict[str, Figure]]] = field(default_factory=list)
    """Bytes of a model, and slmc's figures by scheme."""
    compared: int = 0
    """Tensors that were compared with those of onnxruntime's kernel."""
    different: list[str] = field(default_factory=list)


def run(extent: Extent, work: Path) -> Found:
    """Measure all of the extent in the folder `work`, which needs space for the model and two results."""
    whole = _TENTH if extent.quick else decoder.WHOLE
    found = Found(whole.parameters())
    model = _made(whole, work / "model")
    figures = {}
    for scheme in ("int4", "int8"):
        line = _measured(f"to {scheme}", "slmc", _slmc(scheme, model, work), work)
        found.lines.append(line)
        figures[scheme] = line.figure
        compared, different = same.compare(model, work / "out" / "kept", int(scheme[-1]))
        found.compared += compared
        found.different += different
    for scheme, tool, command in _peers(extent, model, work):
        found.lines.append(_measured(f"to {scheme}", tool, command, work))
    shutil.rmtree(model.parent)
    for size in () if extent.quick else _SIZES:
        smaller = _made(size, work / "smaller")
        bits = {scheme: run_once(_case(scheme, _slmc(scheme, smaller, work), work)) for scheme in ("int4", "int8")}
        found.memory.append((size.parameters() * 4, bits))
        shutil.rmtree(smaller.parent)
    found.memory.append((whole.parameters() * 4, figures))
    return found


def _made(size: Decoder, folder: Path) -> Path:
    folder.mkdir()
    decoder.write(size, folder / "model.onnx")
    return folder / "model.onnx"


def _slmc(scheme: str, model: Path, work: Path) -> list[str]:
    steps = [{"name": f"quantize/{scheme}", "parameters": {"scheme": scheme}}]
    request = json.dumps({"steps": steps, "source": str(model)})
    return [sys.executable, "-m", "benchmarks.recipes.slmc_recipe", request, str(work / "out")]


def _peers(extent: Extent, model: Path, work: Path) -> list[tuple[str, str, list[str]]]:
    """Work, tool and command of each."""
    if not extent.peers:
        return []
    script, out = str(HERE / "peer.py"), str(work / "out" / "model.onnx")
    tools = [(scheme, "onnxruntime MatMulNBits", ["nbits", scheme[-1]]) for scheme in ("int4", "int8")]
    tools += [("int8", "onnxruntime dynamic int8", ["dynamic", "8"])]
    end = [str(model), out]
    listed = [(scheme, tool, [*_FIRST_TO_GO, sys.executable, script, *given, *end]) for scheme, tool, given in tools]
    if extent.olive:
        listed.append(("int4", "Olive rtn", [*_FIRST_TO_GO, str(extent.olive), script, "olive", "4", *end]))
    return listed


def _case(name: str, command: list[str], work: Path) -> Case:
    return Case(name, command, ROOT, _emptied(work / "out"))


def _emptied(folder: Path) -> Callable[[], None]:
    def empty() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()

    return empty


def _measured(work: str, tool: str, command: list[str], folder: Path) -> Line:
    began = time.monotonic()
    figure = run_once(_case(f"{tool} {work}", command, folder))
    wall = time.monotonic() - began
    files = [path.stat() for path in (folder / "out").rglob("*") if path.is_file()]
    sizes = {file.st_ino: file.st_size for file in files}
    return Line(work, tool, wall, figure, sum(sizes.values()))
