"""`convert` to `executorch`: a .pte file for ExecuTorch, which followed PyTorch Mobile, from PyTorch weights.

For encoders of sentences, lowered to the XNNPACK delegate (Arm and x86 CPUs). Inputs are token ids and mask, int64 of
1 × `sequenceLength`, padded at the end; the output has length 1. On all-MiniLM-L6-v2: fp32 as large as the source,
cosine 1; int8 (activations too, while it runs) mean cosine 0.998, int4 in blocks of 32 0.95. The table of embeddings
stays float32, half of such a small model: ExecuTorch's standard kernels have no lookup in a quantized one.
"""

from __future__ import annotations

from pathlib import Path

from compiler.artifact.steps.convert import conversion
from compiler.artifact.steps.convert.conversion import ENCODERS, Configuration, check_length, pytorch_weights
from compiler.artifact.steps.step import Bench, Effect, Refused, Remark

VERSION = conversion.version("executorch", 1)
REPRODUCIBLE = True
SUFFIX = ".pte"
__all__ = ["REPRODUCIBLE", "SUFFIX", "VERSION", "Configuration", "apply"]


def apply(source: Path, target: Path, configuration: Configuration, bench: Bench) -> Effect:
    """Convert the folder `bench.model`; `source` is not read."""
    check_length(pytorch_weights("executorch", ENCODERS, bench), configuration.sequence_length)
    if configuration.precision == "fp16":
        raise Refused("`precision: fp16` is not made for ExecuTorch; `fp32`, `int8` and `int4` are.")
    report = conversion.to_file("executorch", target, configuration, bench)
    kept = report["embeddingBytes"]
    remark = Remark(f"the tables of embeddings stay float32, {kept:,} of its {target.stat().st_size:,} bytes.")
    return Effect(True, (remark,) if kept else (), report)
