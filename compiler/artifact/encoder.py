"""An encoder behind one call: a text in, its embedding or its label scores out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from compiler.artifact import runtime
from compiler.artifact.configuration import encoder_graph
from compiler.artifact.feeds import feeds

POOLED = ("sentence_embedding", "text_embeds")
"""Outputs that are one vector for each text, by the names of sentence-transformers and Optimum."""

MAX_TOKENS = 512


class Encoder:
    """The model of a folder with `model.onnx` and `tokenizer.json`.

    An embedding model gives a vector for each text (POOLED), or one for each token, whose mean is taken; a classifier
    gives `logits`. Vectors are scaled to length 1.
    """

    def __init__(self, folder: Path, threads: int) -> None:
        self._folder = folder
        self._session = runtime.open_session(folder / encoder_graph(folder), runtime.options("all", threads))
        self._outputs = [value.name for value in self._session.get_outputs()]

    def embeddings(self, texts: Iterable[str]) -> Iterator[Any]:
        """For each text its vector, float64, of length 1."""
        for feed in feeds(self._folder, self._session.get_inputs(), texts, MAX_TOKENS):
            values = dict(zip(self._outputs, self._session.run(None, dict(feed)), strict=True))
            name = next((name for name in POOLED if name in values), self._outputs[0])
            vector = values[name][0].astype(np.float64)
            vector = vector.mean(axis=0) if vector.ndim == 2 else vector
            yield vector / np.linalg.norm(vector)

    def scores(self, texts: Iterable[str]) -> Iterator[Any]:
        """For each text its logits, float64, one a label."""
        for feed in feeds(self._folder, self._session.get_inputs(), texts, MAX_TOKENS):
            values = dict(zip(self._outputs, self._session.run(None, dict(feed)), strict=True))
            yield values["logits"][0].astype(np.float64)
