"""Prompts through a decoder: in pieces, so that no more logits are held than a piece has."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from compiler.artifact.configuration import CONFIG
from compiler.artifact.inference.decoder import Cache, Decoder

_PIECE_BYTES = 8 * 2**20
"""Of the logits of one model at a time, as float32; computing on them takes about ten times as much."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """A token of a greedy continuation, with the log-probabilities that it was chosen from."""

    token: int
    log_probabilities: Any


def piece_length(folder: Path) -> int:
    """How many tokens may go through the model at once."""
    vocabulary = json.loads((folder / CONFIG).read_bytes())["model"].get("vocab_size")
    return max(16, _PIECE_BYTES // (4 * vocabulary)) if isinstance(vocabulary, int) and vocabulary > 0 else 16


def end_tokens(folder: Path) -> frozenset[int]:
    """The tokens that end a text, as `genai_config.json` has them."""
    found = json.loads((folder / CONFIG).read_bytes())["model"].get("eos_token_id")
    listed = found if isinstance(found, list) else [found]
    return frozenset(token for token in listed if isinstance(token, int))


def log_probabilities(logits: Any) -> Any:
    """Of the next token: positions × vocabulary, float64."""
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(axis=1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return shifted


def through(decoder: Decoder, ids: Sequence[int], past: int, cache: Cache, piece: int) -> Iterator[tuple[Any, Cache]]:
    """Log-probabilities after each of `ids`, which follow `past` tokens in `cache`: a piece at a time."""
    for start in range(0, len(ids), piece):
        logits, cache = decoder(ids[start : start + piece], past + start, cache)
        yield log_probabilities(logits), cache


def continuation(decoder: Decoder, ids: Sequence[int], most: int, piece: int) -> Iterator[Chosen]:
    """The most likely next tokens after `ids`, at most so many. Equal ones: the one with the lower id."""
    *_, (found, cache) = through(decoder, ids, 0, decoder.empty_cache(), piece)
    row = found[-1]
    for step in range(most):
        token = int(row.argmax())
        yield Chosen(token, row)
        if step + 1 < most:
            [(found, cache)] = through(decoder, [token], len(ids) + step, cache, piece)
            row = found[-1]


def log_likelihood(decoder: Decoder, ids: Sequence[int], past: int, cache: Cache, piece: int) -> float:
    """Of `ids[1:]`, each given all before it; `ids[0]` follows `past` tokens in `cache`."""
    total, at = 0.0, 1
    for found, _ in through(decoder, ids[:-1], past, cache, piece):
        total += float(found[np.arange(len(found)), ids[at : at + len(found)]].sum())
        at += len(found)
    return total
