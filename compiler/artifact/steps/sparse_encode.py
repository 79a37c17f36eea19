"""`sparse-encode`: matrices with many zeros as SparseTensorProto, where that is really smaller.

Size: an index takes eight bytes in ONNX, a float32 four, so below two thirds of zeros it is larger even before
compression; and compressed, runs of zeros cost a dense tensor next to nothing. A 2:4 file grew from 90 to 112 MB; on
the model of the example it pays from 98 % of zeros on, a tenth of what is left. Memory and time: as before, since
ONNX Runtime makes the tensors dense when it loads them. Later steps that look for constant weights do not see them:
let it be the last.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from compiler.artifact.steps.step import Bench, Effect

VERSION = 1
REPRODUCIBLE = True
SUFFIX = ".onnx"
STREAMS = True


@dataclass(frozen=True, slots=True)
class Configuration:
    pass


def apply(source: Path, target: Path, configuration: Configuration, bench: Bench) -> Effect:
    """Encode every float tensor that is smaller so, as it is and compressed; else say by how much it is not."""
    from compiler.artifact.steps.pruning.sparse import encode

    return encode(source, target, bench)
