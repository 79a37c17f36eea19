"""Why a model's outputs are no numbers: most often because weights are none."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from compiler.artifact.graph.weights import Source
from compiler.artifact.graph.wiring import FLOATS


def not_finite(outputs: str, folder: Path) -> ValueError:
    """What to raise for the model in `folder`; names the first tensor with weights that are NaN or infinite.

    Steps look at the matrices that they change and at no others, so a broken scale of a norm is found here.
    """
    named = f": weights of `{name}` are NaN or infinite" if (name := _broken(folder)) else ""
    return ValueError(f"{outputs}{named}")


def _broken(folder: Path) -> str | None:
    for path in sorted(folder.glob("*.onnx")):
        with Source(path) as source:
            for name, tensor in source.tensors.items():
                if tensor.data_type in FLOATS and not _finite(source, name):
                    return str(name)
    return None


def _finite(source: Source, name: str) -> bool:
    tensor = source.tensors[name]
    if not tensor.dims:
        return bool(np.isfinite(source.array(tensor)).all())
    return all(bool(np.isfinite(rows).all()) for _, rows in source.row_pieces(tensor))
