"""`convert` to `litert`: a .tflite file for LiteRT, which was called TensorFlow Lite, from PyTorch weights.

For encoders of sentences. Inputs `input_ids` and `attention_mask` are int32 of 1 × `sequenceLength`, padded at the end;
the output `sentence_embedding` has length 1. On all-MiniLM-L6-v2 with one x86 core: fp32 as large as the source, cosine
1; fp16 half as large; int8 (activations too, while it runs) a quarter, mean cosine 0.996 and about three times as fast;
int4 in blocks of 32 a seventh, 0.95. LiteRT's XNNPACK kernels run all of these on Arm and x86.
"""

from __future__ import annotations

from pathlib import Path

from compiler.artifact.steps.convert import conversion
from compiler.artifact.steps.convert.conversion import ENCODERS, Configuration, check_length, pytorch_weights
from compiler.artifact.steps.step import Bench, Effect

VERSION = conversion.version("litert", 1)
REPRODUCIBLE = True
SUFFIX = ".tflite"
__all__ = ["REPRODUCIBLE", "SUFFIX", "VERSION", "Configuration", "apply"]


def apply(source: Path, target: Path, configuration: Configuration, bench: Bench) -> Effect:
    """Convert the folder `bench.model`; `source` is not read."""
    check_length(pytorch_weights("litert", ENCODERS, bench), configuration.sequence_length)
    return Effect(True, report=conversion.to_file("litert", target, configuration, bench))
