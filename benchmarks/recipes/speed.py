"""`python -m benchmarks.recipes.speed REFERENCE FOLDER…`: CPU time of one text of 128 tokens, beside the reference's.

One thread, sessions as slmc opens them and a device would. Models take turns, so that what the machine does meanwhile
hits all of them; CPU time, because cores are shared. Prints JSON: for the reference and each folder the median of its
share of the reference's time in the same round, and the median of milliseconds.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from pathlib import Path

from compiler.artifact.inference.encoder import Encoder

_TOKENS, _ROUNDS, _EACH = 128, 25, 2
_FIRST, _LAST, _WORDS = 101, 102, 30_000
"""[CLS] and [SEP] of BERT's vocabulary; between them words from all over it."""


def main() -> None:
    encoders = [Encoder(Path(folder), threads=1) for folder in sys.argv[1:]]
    inner = [1_000 + 37 * number % (_WORDS - 1_000) for number in range(_TOKENS - 2)]
    text = [_FIRST, *inner, _LAST]
    for encoder in encoders:
        encoder.run(text)
    rounds = [[_least(encoder, text) for encoder in encoders] for _ in range(_ROUNDS)]
    found = [
        [statistics.median(each[number] / each[0] for each in rounds), 1000 * statistics.median(taken)]
        for number, taken in enumerate(zip(*rounds, strict=True))
    ]
    print(json.dumps(found))


def _least(encoder: Encoder, text: list[int]) -> float:
    """CPU seconds: the lesser of a few, as a cache that others emptied is not the model's fault."""
    taken = []
    for _ in range(_EACH):
        start = time.process_time()
        encoder.run(text)
        taken.append(time.process_time() - start)
    return min(taken)


if __name__ == "__main__":
    main()
