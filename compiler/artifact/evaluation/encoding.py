"""Embeddings of the model in a folder: by onnxruntime, or by the runtime that its format is for."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from compiler.artifact.converters import vectors
from compiler.artifact.converters.formats import OTHER_WAYS, converted
from compiler.artifact.evaluation.request import Request
from compiler.artifact.inference.encoder import Encoder

PLAIN = "basic"
"""A level of graph optimization with fewer fused kernels than devices use."""


def other_way(folder: Path) -> bool:
    """Whether the model's runtime can compute the same in a plainer way, too."""
    artifact = _converted(folder)
    return artifact is None or Path(artifact).suffix in OTHER_WAYS


def embeddings(folder: Path, request: Request, texts: Iterable[str], *, plain: bool = False) -> Iterator[Any]:
    """For each text its vector, float64, of length 1. `plain`: computed in the other way, with fewer fused kernels.

    Texts for another runtime are given to it together. Raises what the runtime raises.
    """
    artifact = _converted(folder)
    if artifact is None:
        yield from Encoder(folder, request.threads, PLAIN if plain else "all").embeddings(texts)
        return
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        root, model = request.converters, request.reference
        yield from vectors.embeddings(root, folder / artifact, model, texts, Path(scratch), plain=plain)


def _converted(folder: Path) -> str | None:
    return converted(path.name for path in folder.iterdir())
