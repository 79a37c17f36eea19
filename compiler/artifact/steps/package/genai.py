"""`package` as `genai`: the folder that onnxruntime-genai loads, by its own model builder, from PyTorch weights.

The graph has fused attention and a KV cache. fp32 keeps the source's size; fp16 halves it (slower than float32 on CPUs
without half arithmetic); int4 quantizes the matrices in blocks with one scale each, about a sixth of the size. The
tokenizer and its chat template go along. The builder holds the whole model in memory, twice: for large ones build fp32
once, elsewhere, and let `quantize` stream.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from compiler.artifact.steps.convert import conversion
from compiler.artifact.steps.step import Bench, Effect

VERSION = conversion.version("genai", 2)
REPRODUCIBLE = True
SUFFIX = ".onnx"


@dataclass(frozen=True, slots=True)
class Configuration:
    format: Literal["genai"] = "genai"
    precision: Literal["fp32", "fp16", "int4"] = "fp32"
    block_size: int = 32


def apply(source: Path, target: Path, configuration: Configuration, bench: Bench) -> Effect:
    """Build from the folder `bench.model`; `source` is not read."""
    conversion.pytorch_weights("genai", ("ForCausalLM",), bench)
    built = bench.scratch / "built"
    report = conversion.ask(
        "genai",
        "convert",
        {
            "model": str(bench.model.absolute()),
            "target": str(built.absolute()),
            "scratch": str(bench.scratch.absolute()),
            "precision": configuration.precision,
            "block_size": configuration.block_size,
        },
        bench,
    )
    _bring(built, target)
    return Effect(True, report={"precision": configuration.precision, **report})


def _bring(built: Path, target: Path) -> None:
    """Move what was built to where the artifact is, without notes of this machine and under the target's name."""
    from compiler.artifact.graph import graphs
    from compiler.base import files

    graph = graphs.load(built / "model.onnx", weights=False)
    for tensor in graphs.tensors(graph):
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = graphs.data_file(target).name
    graphs.write(graph, target)
    (built / "model.onnx").unlink()
    files.move(built / "model.onnx.data", graphs.data_file(target))
    config = json.loads((built / "genai_config.json").read_bytes())
    config["model"]["decoder"]["filename"] = target.name
    files.write(built / "genai_config.json", f"{json.dumps(config, indent=4)}\n".encode())
    for path in sorted(built.iterdir()):
        files.move(path, target.parent / path.name)
