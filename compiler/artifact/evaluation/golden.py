"""Golden answers: a few inputs with what an artifact gives for them, and how far another machine may be off.

An artifact's numbers depend on how they are computed: other kernels add in another order, and where activations are
quantized at run time, other ways through a text give other scales. So everything is computed in two ways, and the
tolerance is twice the largest difference, rounded up to 1, 2 or 5 times a power of ten: a measured figure, not one that
every processor is known to keep. A runtime that has one way only leaves the least tolerance.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import compress, takewhile
from pathlib import Path
from typing import Any

import numpy as np

from compiler.artifact.configuration import TOKENIZER, context_length
from compiler.artifact.evaluation import encoding, texts
from compiler.artifact.evaluation.greedy import continuation, end_tokens, log_probabilities, piece_length
from compiler.artifact.evaluation.metrics import EMBEDDINGS, TEXT_CLASSIFICATION, TEXT_GENERATION
from compiler.artifact.evaluation.request import Request
from compiler.artifact.evaluation.text_classification import label_names
from compiler.artifact.inference.decoder import Decoder
from compiler.artifact.inference.encoder import Encoder

ANSWERS, TRIED = 4, 12
TOKENS, LIKELIEST, COMPONENTS = 16, 5, 8
_PROMPT, _TEXT = 120, 200
"""Characters."""
_NATS, _PARTS = 0.05, 0.005
"""The least tolerance, of log-probabilities and of parts of unit vectors: processors that were not measured differ."""


def derive(task: str, folder: Path, request: Request) -> dict[str, Any] | None:
    """The golden answers of the model in `folder` as plain values of `artifact.Golden`; None without a fitting text.

    The inputs are the beginnings of texts, evenly spread over the evaluation data. One session at a time is open.
    """
    return _TASKS[task](folder, request)


@dataclass(frozen=True, slots=True)
class _Tried:
    """A prompt with its greedy continuation. Of each step the likeliest tokens, and their log-probabilities."""

    prompt: str
    ids: list[int]
    likeliest: Any
    values: Any

    @property
    def tokens(self) -> list[int]:
        return [int(token) for token in self.likeliest[:, 0]]

    def sure(self, tolerance: float, ends: frozenset[int]) -> list[int]:
        """Tokens until the text ends, or the first that is a tie within the tolerance."""
        near = self.values[:, 0] - self.values[:, 1] <= tolerance
        return [*takewhile(lambda token: token not in ends, compress(self.tokens, ~np.logical_or.accumulate(near)))]


def _generation(folder: Path, request: Request) -> dict[str, Any] | None:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
    context, ends = context_length(folder), end_tokens(folder)
    prompts = [_fitting(tokenizer, text, context // 2) for text in openings(texts.read(request.data))]
    tried = _continued(folder, request, [(p, ids) for p, ids in prompts if ids], min(TOKENS, context // 2))
    if not tried:
        return None
    decoder = Decoder(folder, request.threads, encoding.PLAIN)
    tolerance = tolerance_of((_difference(decoder, one) for one in tried), _NATS)
    best = sorted(range(len(tried)), key=lambda at: (-len(tried[at].sure(tolerance, ends)), at))[:ANSWERS]
    answers = []
    for one in (tried[at] for at in sorted(best)):
        tokens = one.sure(tolerance, ends)
        first = {"candidates": one.likeliest[0].tolist(), "values": _rounded(one.values[0])}
        answers.append(_answer(one.prompt, output=tokenizer.decode(tokens), tokens=tokens, **first))
    return {"task": TEXT_GENERATION, "tolerance": tolerance, "answers": answers}


def _continued(folder: Path, request: Request, prompts: list[tuple[str, list[int]]], most: int) -> list[_Tried]:
    """Each prompt as a device would go on with it: at once, then token by token."""
    decoder, piece = Decoder(folder, request.threads), piece_length(folder)
    tried = []
    for prompt, ids in prompts:
        steps = [_likeliest(chosen.log_probabilities) for chosen in continuation(decoder, ids, most, piece)]
        tried.append(_Tried(prompt, ids, np.array([ids for ids, _ in steps]), np.array([row for _, row in steps])))
    return tried


def _difference(decoder: Decoder, one: _Tried) -> float:
    """Between the log-probabilities of a continuation and those of the same tokens read at once."""
    logits, _ = decoder([*one.ids, *one.tokens[:-1]], 0, decoder.empty_cache())
    found = np.take_along_axis(log_probabilities(logits[len(one.ids) - 1 :]), one.likeliest, axis=1)
    return float(np.abs(found - one.values).max())


def _likeliest(row: Any) -> tuple[Any, Any]:
    """Numbers and log-probabilities, the likeliest first, of equal ones the lower number."""
    order = np.argsort(-row, kind="stable")[:LIKELIEST]
    return order, row[order]


def _rounded(values: Any) -> list[float]:
    return [round(float(value), 2) + 0.0 for value in values]


def _fitting(tokenizer: Any, text: str, most: int) -> tuple[str, list[int]]:
    """The beginning of a text that has at most so many tokens, up to a blank."""
    prompt = beginning(text, _PROMPT)
    while len(ids := tokenizer.encode(prompt).ids) > most and len(prompt) > 1:
        prompt = beginning(prompt, len(prompt) // 2)
    return prompt, list(ids) if len(ids) <= most else []


def _embeddings(folder: Path, request: Request) -> dict[str, Any] | None:
    inputs = _inputs(request, EMBEDDINGS)
    vectors = list(encoding.embeddings(folder, request, inputs))
    others = list(encoding.embeddings(folder, request, inputs, plain=True)) if encoding.other_way(folder) else vectors
    if not vectors or len(vectors) != len(inputs):
        return None
    tolerance = tolerance_of((float(np.abs(a - b).max()) for a, b in zip(vectors, others, strict=True)), _PARTS)
    answers = [
        _answer(text, values=[round(float(part), 4) + 0.0 for part in vector[:COMPONENTS]])
        for text, vector in zip(inputs, vectors, strict=True)
    ]
    cosines = [
        round(float(one @ other), 4) + 0.0 for number, one in enumerate(vectors) for other in vectors[number + 1 :]
    ]
    return {"task": EMBEDDINGS, "tolerance": tolerance, "answers": answers, "cosines": cosines}


def _classification(folder: Path, request: Request) -> dict[str, Any] | None:
    inputs, names = _inputs(request, TEXT_CLASSIFICATION), label_names(folder)
    scores, others = (
        [log_probabilities(found[None])[0] for found in Encoder(folder, request.threads, level).scores(inputs)]
        for level in ("all", encoding.PLAIN)
    )
    if not scores or len(scores) != len(inputs):
        return None
    tolerance = tolerance_of((float(np.abs(a - b).max()) for a, b in zip(scores, others, strict=True)), _NATS)
    answers = []
    for text, row in zip(inputs, scores, strict=True):
        labels, values = _likeliest(row)
        sure = len(values) < 2 or values[0] - values[1] > tolerance
        name = names.get(int(labels[0]), str(labels[0])) if sure else ""
        answers.append(_answer(text, output=name, candidates=labels.tolist(), values=_rounded(values)))
    return {"task": TEXT_CLASSIFICATION, "tolerance": tolerance, "answers": answers}


_TASKS: Mapping[str, Callable[[Path, Request], dict[str, Any] | None]] = {
    TEXT_GENERATION: _generation,
    EMBEDDINGS: _embeddings,
    TEXT_CLASSIFICATION: _classification,
}


def _answer(text: str, **facts: Any) -> dict[str, Any]:
    return {"input": text, **facts}


def _inputs(request: Request, task: str) -> list[str]:
    found = openings(entry.text for entry in texts.entries(request.data, task) if entry.text)
    return [beginning(text, _TEXT) for text in found[:: -(-len(found) // ANSWERS) or 1]]


def openings(found: Iterable[str]) -> list[str]:
    """At most TRIED texts that are not blank, evenly spread."""
    kept: list[str] = []
    stride = 1
    for number, text in enumerate(text for text in found if text.strip()):
        if number % stride == 0 and len(kept) == TRIED:
            kept, stride = kept[::2], stride * 2
        if number % stride == 0:
            kept.append(text)
    return kept


def beginning(text: str, most: int) -> str:
    """Up to the last blank within so many characters; without one, cut there."""
    text = text.strip()
    if len(text) <= most:
        return text
    cut = max(text.rfind(blank, 0, most + 1) for blank in (" ", "\n"))
    return text[: cut if cut > 0 else most].rstrip()


def tolerance_of(differences: Iterable[float], least: float) -> float:
    """Twice the largest, rounded up to 1, 2 or 5 times a power of ten. Raises ValueError for what is no number."""
    found = list(differences)
    if not all(map(math.isfinite, found)):
        raise ValueError("its outputs are not finite numbers")
    wanted = max(least, 2 * max(found))
    power = 10.0 ** math.floor(math.log10(wanted))
    step = next(step for step in (1, 2, 5, 10) if step * power >= wanted * (1 - 1e-9))
    return float(f"{step * power:.3g}")
