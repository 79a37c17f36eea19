"""Speed and peak memory, as a device would have them: a process that loads the model and generates."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from compiler.artifact.configuration import context_length
from compiler.artifact.decoder import Decoder

PROMPT, GENERATED = 16, 64
"""Tokens; less when the model's context is shorter than 80 tokens."""

_ROUNDS, _SECONDS = 3, 0.25
"""At least so many rounds, and for so long: a small model's round is over before the machine has settled."""


def measure(folder: str, threads: int) -> dict[str, Any]:
    """Greedy decoding, batch 1, with the KV cache.

    Gives `tokens_per_second`, the best of three or more rounds of 64 tokens after a prompt of 16 and one
    round to warm up, and `peak_memory`, the most bytes that this process held (VmHWM).
    """
    context = context_length(Path(folder))
    prompt = min(PROMPT, context // 2)
    generated = min(GENERATED, context - prompt)
    decoder = Decoder(Path(folder), threads)
    _round(decoder, prompt, generated)
    rounds: list[float] = []
    while len(rounds) < _ROUNDS or sum(rounds) < _SECONDS:
        rounds.append(_round(decoder, prompt, generated))
    return {"tokens_per_second": generated / min(rounds), "peak_memory": _peak_memory()}


def _round(decoder: Decoder, prompt: int, generated: int) -> float:
    """Seconds for the generated tokens, the prompt not counted."""
    logits, cache = decoder([0] * prompt, 0, decoder.empty_cache())
    start = time.perf_counter()
    for step in range(generated):
        logits, cache = decoder([int(logits[-1].argmax())], prompt + step, cache)
    return time.perf_counter() - start


def _peak_memory() -> int:
    """Not `ru_maxrss`: a child begins with its parent's."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise OSError("the kernel does not tell VmHWM")
