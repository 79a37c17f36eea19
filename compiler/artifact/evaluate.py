"""Quality against the model as it came: perplexity, KL divergence, top-1 agreement.

Every text is tokenized as the model's tokenizer does it and cut into windows; the first token of a
window is not predicted. Windows stream, in pieces that share a KV cache: memory grows neither
with the text nor with the window.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from compiler.artifact import texts
from compiler.artifact.configuration import CONFIG, TOKENIZER, context_length
from compiler.artifact.decoder import Cache, Decoder
from compiler.artifact.reason import reason

LONGEST_WINDOW = 2048
"""Tokens. Attention in longer ones costs more than it tells."""

_PIECE_BYTES = 8 * 2**20
"""Of the logits of one model at a time, as float32; computing on them takes about ten times as much."""

_HOPELESS = 700
"""Nats per token. The exponential of little more does not fit a float64."""


@dataclass(slots=True)
class _Candidate:
    """An artifact under evaluation: its sums, or why it cannot be evaluated."""

    folder: Path
    decoder: Decoder | None = None
    cache: Cache | None = None
    loss: float = 0.0
    divergence: float = 0.0
    agreed: int = 0
    failed: str | None = None


def evaluate(original: str, candidates: list[str], data: str, max_tokens: int, threads: int) -> dict[str, Any]:
    """Measure every candidate beside the original on the same windows.

    `original` and `candidates` are model folders; the original's tokenizer is used. Gives `tokens`
    (how many were predicted), the original's `perplexity`, and for each candidate its `perplexity`,
    `perplexity_ratio`, `kl_divergence` (mean over positions of KL(original ‖ candidate), nats) and
    `top_one_agreement`, or why it `failed`. Not rounded. Raises when the original fails.
    """
    folder = Path(original)
    reference = Decoder(folder, threads)
    others = [_open(Path(path), threads) for path in candidates]
    loss, tokens = 0.0, 0
    for ids in windows(folder, texts.read(Path(data)), max_tokens):
        cache = reference.empty_cache()
        for other in others:
            other.cache = other.decoder.empty_cache() if other.decoder else None
        for start, piece, truth in _pieces(ids, piece_length(folder)):
            logits, cache = reference(piece, start, cache)
            expected = log_probabilities(logits[: len(truth)])
            loss -= float(_chosen(expected, truth).sum())
            tokens += len(truth)
            for other in others:
                _add(other, start, piece, truth, expected)
    if not tokens:
        return {"tokens": 0}
    if not loss < _HOPELESS * tokens:
        raise ValueError("its logits are not finite numbers, or its perplexity is beyond all numbers")
    return {
        "tokens": tokens,
        "perplexity": math.exp(loss / tokens),
        "candidates": [_result(other, loss, tokens) for other in others],
    }


def windows(folder: Path, data: Iterable[str], max_tokens: int) -> Iterator[list[int]]:
    """Token ids, at most as many as a window may hold, until `max_tokens` are read."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
    size = min(context_length(folder), LONGEST_WINDOW)
    left = max_tokens
    for text in data:
        if left < 2:
            return
        ids = tokenizer.encode(text).ids[:left]
        left -= len(ids)
        for start in range(0, len(ids), size):
            if len(window := ids[start : start + size]) > 1:
                yield window


def piece_length(folder: Path) -> int:
    """How many tokens may go through the model at once."""
    vocabulary = json.loads((folder / CONFIG).read_bytes())["model"].get("vocab_size")
    return max(16, _PIECE_BYTES // (4 * vocabulary)) if isinstance(vocabulary, int) and vocabulary > 0 else 16


def log_probabilities(logits: Any) -> Any:
    """Of the next token: positions × vocabulary, float64."""
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(axis=1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return shifted


def _open(folder: Path, threads: int) -> _Candidate:
    try:
        return _Candidate(folder, Decoder(folder, threads))
    except Exception as error:
        return _Candidate(folder, failed=reason(error))


def _pieces(ids: Sequence[int], length: int) -> Iterator[tuple[int, Sequence[int], Any]]:
    """Start, tokens, and the tokens that follow each of them; nothing follows the window's last."""
    for start in range(0, len(ids) - 1, length):
        piece = ids[start : start + length]
        yield start, piece, np.array(ids[start + 1 : start + 1 + len(piece)])


def _add(other: _Candidate, start: int, piece: Sequence[int], truth: Any, expected: Any) -> None:
    if other.failed or other.decoder is None or other.cache is None:
        return
    try:
        logits, other.cache = other.decoder(piece, start, other.cache)
    except Exception as error:
        other.failed = reason(error)
        return
    found = log_probabilities(logits[: len(truth)])
    other.loss -= float(_chosen(found, truth).sum())
    other.agreed += int((expected.argmax(axis=1) == found.argmax(axis=1)).sum())
    probabilities = np.exp(expected)
    # A token that the original rules out altogether (-inf) adds nothing: 0 log 0 = 0.
    other.divergence += float(np.sum(probabilities * (expected - found), where=probabilities > 0))


def _result(other: _Candidate, loss: float, tokens: int) -> dict[str, Any]:
    if other.failed:
        return {"failed": other.failed}
    if not (math.isfinite(other.loss) and math.isfinite(other.divergence)):
        return {"failed": "its logits are not finite numbers"}
    if other.loss > _HOPELESS * tokens:
        return {"failed": "its perplexity is beyond all numbers"}
    return {
        "perplexity": math.exp(other.loss / tokens),
        "perplexity_ratio": math.exp((other.loss - loss) / tokens),
        "kl_divergence": other.divergence / tokens,
        "top_one_agreement": other.agreed / tokens,
    }


def _chosen(log_probabilities: Any, truth: Any) -> Any:
    return log_probabilities[np.arange(len(truth)), truth]
