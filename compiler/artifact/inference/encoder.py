"""An encoder behind one call: a text in, its embedding or its label scores out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from compiler.artifact.configuration import TOKENIZER, encoder_graph, text_length
from compiler.artifact.inference import runtime
from compiler.artifact.inference.feeds import feed, feeds, fixed_length

POOLED = ("sentence_embedding", "text_embeds")
"""Outputs that are one vector for each text, by the names of sentence-transformers and Optimum."""


class Encoder:
    """The model of a folder with `model.onnx` and `tokenizer.json`. `level` of graph optimization: devices have `all`.

    An embedding model gives a vector for each text (POOLED), or one for each token, whose mean is taken; a classifier
    gives `logits`. Vectors are scaled to length 1.
    """

    def __init__(self, folder: Path, threads: int, level: str = "all") -> None:
        self._folder = folder
        self._session = runtime.open_session(folder / encoder_graph(folder), runtime.options(level, threads))
        self._outputs = [value.name for value in self._session.get_outputs()]

    @property
    def longest(self) -> int:
        """Tokens that are read of a text."""
        return fixed_length(self._session.get_inputs()) or text_length(self._folder)

    def embeddings(self, texts: Iterable[str]) -> Iterator[Any]:
        """For each text its vector, float64, of length 1."""
        for values, tokens in self._values(texts):
            name = next((name for name in POOLED if name in values), self._outputs[0])
            vector = values[name][0].astype(np.float64)
            vector = vector[:tokens].mean(axis=0) if vector.ndim == 2 else vector
            yield vector / np.linalg.norm(vector)

    def scores(self, texts: Iterable[str]) -> Iterator[Any]:
        """For each text its logits, float64, one a label."""
        for values, _ in self._values(texts):
            yield values["logits"][0].astype(np.float64)

    def run(self, ids: Sequence[int]) -> Mapping[str, Any]:
        """The outputs by name for one text of these tokens."""
        return self._outputs_of(feed(self._folder, self._session.get_inputs(), list(ids)))

    def _values(self, texts: Iterable[str]) -> Iterator[tuple[Mapping[str, Any], int | None]]:
        """The outputs, and how many of the tokens are the text's; None when all are."""
        tokenizer = self._folder / TOKENIZER
        for fed in feeds(tokenizer, self._folder, self._session.get_inputs(), texts, self.longest):
            yield self._outputs_of(fed), int(fed["attention_mask"].sum()) if "attention_mask" in fed else None

    def _outputs_of(self, fed: Mapping[str, Any]) -> Mapping[str, Any]:
        return dict(zip(self._outputs, self._session.run(None, dict(fed)), strict=True))
