"""Speed and peak memory, as a device would have them: a process that loads the model and runs it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from compiler.artifact.configuration import context_length
from compiler.artifact.evaluation.metrics import TEXT_GENERATION
from compiler.artifact.inference.decoder import Decoder
from compiler.artifact.inference.encoder import Encoder

PROMPT, GENERATED = 16, 64
"""Tokens; less when the model's context is shorter than 80 tokens."""
TEXT = 128
"""Tokens of the text whose latency is measured; less when the model takes less."""

_ROUNDS, _SECONDS = 3, 0.25
"""At least so many rounds, and for so long: a small model's round is over before the machine has settled."""


def measure(folder: str, threads: int, task: str) -> dict[str, Any]:
    """Batch 1, the best of three or more rounds after one to warm up.

    Gives `latency`, milliseconds for one text of 128 tokens; `tokens_per_second`, of greedy decoding with the KV cache,
    64 tokens after a prompt of 16 (None for tasks that generate no text); and `peak_memory`, the most bytes that this
    process held (VmHWM).
    """
    measured = (_decoder if task == TEXT_GENERATION else _encoder)(Path(folder), threads)
    return {**measured, "peak_memory": _peak_memory()}


def _decoder(folder: Path, threads: int) -> dict[str, Any]:
    context = context_length(folder)
    prompt = min(PROMPT, context // 2)
    generated = min(GENERATED, context - prompt)
    decoder = Decoder(folder, threads)
    best = _best(lambda: _round(decoder, prompt, generated))
    text = [0] * min(TEXT, context)
    latency = _best(lambda: _timed(lambda: decoder(text, 0, decoder.empty_cache())))
    return {"tokens_per_second": generated / best, "latency": 1000 * latency}


def _encoder(folder: Path, threads: int) -> dict[str, Any]:
    encoder = Encoder(folder, threads)
    ids = [0] * min(TEXT, encoder.longest)
    latency = _best(lambda: _timed(lambda: encoder.run(ids)))
    return {"tokens_per_second": None, "latency": 1000 * latency}


def _best(round: Callable[[], float]) -> float:
    """The least seconds of the rounds."""
    round()
    rounds: list[float] = []
    while len(rounds) < _ROUNDS or sum(rounds) < _SECONDS:
        rounds.append(round())
    return min(rounds)


def _timed(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


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
