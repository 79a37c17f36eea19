"""Text generation beside a reference: perplexity, KL divergence, top-1 agreement, task accuracy.

Every text is tokenized as the reference's tokenizer does it and cut into windows; the first token of a window is not
predicted. Windows stream, in pieces that share a KV cache: memory grows neither with the text nor with the window.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from compiler.artifact.evaluation import texts
from compiler.artifact.evaluation.blocks import Blocks
from compiler.artifact.evaluation.finite import not_finite
from compiler.artifact.evaluation.greedy import log_probabilities, piece_length
from compiler.artifact.evaluation.metrics import TEXT_GENERATION
from compiler.artifact.evaluation.prompts import Examiner
from compiler.artifact.evaluation.request import Figures, Request, interval, result
from compiler.artifact.evaluation.statistics import Tail, bootstrap, share_interval, wilson
from compiler.artifact.evaluation.windows import windows
from compiler.artifact.inference.decoder import Cache, Decoder
from compiler.artifact.reason import reason

_HOPELESS = 700
"""Nats per token. The exponential of little more does not fit a float64."""
_LOSS, _DIVERGENCE, _AGREED = range(3)


@dataclass(slots=True)
class _Candidate:
    """An artifact under evaluation: its sums by block, or why it cannot be evaluated."""

    sums: Any
    tail: Tail
    decoder: Decoder | None = None
    cache: Cache | None = None
    right: int = 0
    failed: str | None = None

    def fail(self, why: str) -> None:
        self.failed, self.decoder, self.cache = why, None, None


@dataclass(slots=True)
class _Reference:
    """What all candidates are measured beside: by block its tokens and their loss, and its right answers."""

    decoder: Decoder
    tokens: Any
    loss: Any
    right: int = 0


def measure(request: Request) -> dict[str, Any]:
    """All figures of all candidates, on the same windows and prompts; see `evaluate`."""
    blocks = Blocks.of(len(ids) - 1 for ids in _windows(request))
    if not blocks.positions:
        return {"samples": {}}
    decoder = Decoder(request.reference, request.threads)
    reference = _Reference(decoder, np.zeros(blocks.count), np.zeros(blocks.count))
    others = [_open(path, request.threads, blocks) for path in request.candidates]
    piece = piece_length(request.reference)
    for number, ids in enumerate(_windows(request)):
        _window(reference, others, ids, number, blocks, piece)
    if not reference.loss.sum() < _HOPELESS * blocks.positions:
        raise not_finite(
            "its logits are not finite numbers, or its perplexity is beyond all numbers", request.reference
        )
    for other in others:
        if why := _fault(other, blocks.positions):
            other.fail(why)
    asked = _ask(request, reference, others)
    samples = {"tokens": blocks.positions} | ({"prompts": asked} if asked else {})
    own = _own(reference.tokens, reference.loss, reference.right, asked)
    return result(samples, own, [other.failed or _figures(reference, other, asked) for other in others])


def _windows(request: Request) -> Iterator[list[int]]:
    return windows(request.reference, texts.read(request.data), request.max_tokens)


def _open(folder: Path, threads: int, blocks: Blocks) -> _Candidate:
    made = _Candidate(np.zeros((blocks.count, 3)), Tail(blocks.positions))
    try:
        made.decoder = Decoder(folder, threads)
    except Exception as error:
        made.fail(reason(error))
    return made


def _window(
    reference: _Reference, others: list[_Candidate], ids: Sequence[int], number: int, blocks: Blocks, piece: int
) -> None:
    """Add one window to the sums of all."""
    cache = reference.decoder.empty_cache()
    for other in others:
        other.cache = other.decoder.empty_cache() if other.decoder else None
    for start, part, truth in _pieces(ids, piece):
        at = blocks.at(number, start, len(truth))
        logits, cache = reference.decoder(part, start, cache)
        expected = log_probabilities(logits[: len(truth)])
        np.add.at(reference.loss, at, -_chosen(expected, truth))
        np.add.at(reference.tokens, at, 1.0)
        for other in others:
            _add(other, start, part, truth, (expected, at))


def _pieces(ids: Sequence[int], length: int) -> Iterator[tuple[int, Sequence[int], Any]]:
    """Start, tokens, and the tokens that follow each of them; nothing follows the window's last."""
    for start in range(0, len(ids) - 1, length):
        piece = ids[start : start + length]
        yield start, piece, np.array(ids[start + 1 : start + 1 + len(piece)])


def _add(other: _Candidate, start: int, piece: Sequence[int], truth: Any, beside: tuple[Any, Any]) -> None:
    """`beside`: the reference's log-probabilities, and the block of each position."""
    if other.decoder is None or other.cache is None:
        return
    expected, at = beside
    try:
        logits, other.cache = other.decoder(piece, start, other.cache)
    except Exception as error:
        other.fail(reason(error))
        return
    found = log_probabilities(logits[: len(truth)])
    if found.shape != expected.shape:
        other.fail(f"it gives logits for {found.shape[1]} tokens, and what it is compared with for {expected.shape[1]}")
        return
    probabilities = np.exp(expected)
    # A token that the reference rules out altogether (-inf) adds nothing: 0 log 0 = 0.
    divergence = np.sum(probabilities * (expected - found), axis=1, where=probabilities > 0)
    agreed = expected.argmax(axis=1) == found.argmax(axis=1)
    np.add.at(other.sums, at, np.stack([-_chosen(found, truth), divergence, agreed.astype(np.float64)], axis=1))
    other.tail.add(divergence, at)


def _fault(other: _Candidate, tokens: int) -> str | None:
    if other.failed:
        return other.failed
    if not np.isfinite(other.sums).all():
        return "its logits are not finite numbers"
    return "its perplexity is beyond all numbers" if other.sums[:, _LOSS].sum() > _HOPELESS * tokens else None


def _ask(request: Request, reference: _Reference, others: Iterable[_Candidate]) -> int:
    """Ask every model all questions; how many there were."""
    examiner, asked = Examiner(request.reference), 0
    for question in examiner.questions(texts.entries(request.data, TEXT_GENERATION), request.max_tokens):
        asked += 1
        reference.right += examiner.is_right(reference.decoder, question)
        for other in others:
            if other.decoder is not None:
                try:
                    other.right += examiner.is_right(other.decoder, question)
                except Exception as error:
                    other.fail(reason(error))
    return asked


def _own(tokens: Any, loss: Any, right: int, asked: int) -> Figures:
    """What a model is by itself."""
    found = bootstrap(np.stack([loss, tokens], axis=1), lambda drawn: np.exp(drawn[:, 0] / drawn[:, 1]))
    figures = {"perplexity": interval(math.exp(loss.sum() / tokens.sum()), found)}
    if asked:
        figures["taskAccuracy"] = interval(right / asked, wilson(right / asked, asked))
    return figures


def _figures(reference: _Reference, other: _Candidate, asked: int) -> Figures:
    tokens, total = reference.tokens, reference.tokens.sum()
    loss, divergence, agreed = (other.sums[:, column] for column in (_LOSS, _DIVERGENCE, _AGREED))
    more = np.stack([loss - reference.loss, tokens], axis=1)
    most, tail = other.tail.quantile(0.99, tokens)
    return {
        **_own(tokens, loss, other.right, asked),
        "perplexityRatio": interval(
            math.exp(more[:, 0].sum() / total), bootstrap(more, lambda drawn: np.exp(drawn[:, 0] / drawn[:, 1]))
        ),
        "klDivergence": interval(
            divergence.sum() / total,
            bootstrap(np.stack([divergence, tokens], axis=1), lambda drawn: drawn[:, 0] / drawn[:, 1]),
        ),
        "klDivergenceP99": interval(most, tail),
        "topOneAgreement": interval(agreed.sum() / total, share_interval(agreed, tokens)),
    }


def _chosen(log_probabilities: Any, truth: Any) -> Any:
    return log_probabilities[np.arange(len(truth)), truth]
