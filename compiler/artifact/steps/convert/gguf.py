"""`convert` to `gguf`: a file for llama.cpp, from the PyTorch weights of a Llama or Mistral.

fp16 is half as large as float32; int8 (Q8_0) a little over a quarter; int4 (Q4_0, with 8 bits for embeddings and
output) about a seventh of a large model. llama.cpp has kernels for all of these on Arm, x86 and GPUs, and repacks Q4_0
for Arm. It is not run here, since it would have to be compiled for half an hour: what is checked is that every tensor
of the file is what was to be written.
"""

from __future__ import annotations

from pathlib import Path

from compiler.artifact.steps.convert import conversion
from compiler.artifact.steps.convert.conversion import Configuration, pytorch_weights
from compiler.artifact.steps.step import Bench, Effect, Remark

VERSION = conversion.version("gguf", 1)
REPRODUCIBLE = True
SUFFIX = ".gguf"
__all__ = ["REPRODUCIBLE", "SUFFIX", "VERSION", "Configuration", "apply"]


def apply(source: Path, target: Path, configuration: Configuration, bench: Bench) -> Effect:
    """Convert the folder `bench.model`; `source` is not read."""
    pytorch_weights("gguf", ("LlamaForCausalLM", "MistralForCausalLM"), bench)
    report = conversion.to_file("gguf", target, configuration, bench)
    half = report["halfPrecision"] if configuration.precision in ("int8", "int4") else 0
    remark = Remark(f"{half} matrices are float16: 32 does not divide their rows.")
    return Effect(True, (remark,) if half else (), report)
