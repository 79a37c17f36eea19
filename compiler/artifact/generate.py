"""Speed and peak memory, as a device would have them: a process that loads the model and runs it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from compiler.artifact import encoder_folder, runtime
from compiler.artifact.configuration import DEFAULT_GRAPH, context_length
from compiler.artifact.decoder import Decoder
from compiler.artifact.feeds import fed

PROMPT, GENERATED = 16, 64
"""Tokens; less when the model's context is shorter than 80 tokens."""

_ROUNDS, _SECONDS = 3, 0.25
"""At least so many rounds, and for so long: a small model's round is over before the machine has settled."""


TEXT = 128
"""Tokens of a text for an encoder; less when its context is shorter."""


def measure(folder: str, task: str, threads: int) -> dict[str, Any]:
    """Batch 1; of a text generator greedy decoding with the KV cache.

    Gives `tokens_per_second` of a text generator, the best of three or more rounds of 64 tokens after a prompt of 16
    and one round to warm up; `latency_ms` of an encoder, milliseconds for a text of 128 tokens, found the same way; and
    `peak_memory`, the most bytes that this process held (VmHWM).
    """
    rate = latency = None
    if task == "text-generation":
        rate = _rate(Path(folder), threads)
    else:
        latency = _latency(Path(folder), threads)
    return {"tokens_per_second": rate, "latency_ms": latency, "peak_memory": _peak_memory()}


def _rate(folder: Path, threads: int) -> float:
    context = context_length(folder)
    prompt = min(PROMPT, context // 2)
    generated = min(GENERATED, context - prompt)
    decoder = Decoder(folder, threads)
    return generated / _best(lambda: _round(decoder, prompt, generated))


def _latency(folder: Path, threads: int) -> float:
    session = runtime.open_session(folder / DEFAULT_GRAPH, runtime.options("all", threads))
    ids = [0] * min(TEXT, encoder_folder.context_length(folder))
    feeds = {value.name: fed(folder, value, ids) for value in session.get_inputs()}

    def seconds() -> float:
        start = time.perf_counter()
        session.run(None, feeds)
        return time.perf_counter() - start

    return 1000 * _best(seconds)


def _best(round: Callable[[], float]) -> float:
    """The shortest round, in seconds, after one to warm up."""
    round()
    rounds: list[float] = []
    while len(rounds) < _ROUNDS or sum(rounds) < _SECONDS:
        rounds.append(round())
    return min(rounds)


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
