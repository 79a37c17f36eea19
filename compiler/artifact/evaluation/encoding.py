"""Embeddings of the model in a folder: by onnxruntime, or by the runtime that its format is for."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from compiler.artifact.converters import vectors
from compiler.artifact.converters.formats import converted
from compiler.artifact.evaluation.request import Request
from compiler.artifact.inference.encoder import Encoder


def embeddings(folder: Path, request: Request, texts: Iterable[str], level: str = "all") -> Iterator[Any]:
    """For each text its vector, float64, of length 1. `level` is one of graph optimization, for onnxruntime.

    Texts for another runtime are given to it together. Raises what the runtime raises.
    """
    artifact = converted(path.name for path in folder.iterdir())
    if artifact is None:
        yield from Encoder(folder, request.threads, level).embeddings(texts)
        return
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        yield from vectors.embeddings(request.converters, folder / artifact, request.reference, texts, Path(scratch))
