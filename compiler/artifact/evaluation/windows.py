"""Texts as windows of token ids."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from compiler.artifact.configuration import TOKENIZER, context_length

LONGEST_WINDOW = 2048
"""Tokens. Attention in longer ones costs more than it tells."""


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
