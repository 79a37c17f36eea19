"""START HERE: `python -m training --out blueprints/hello` makes the model and its evaluation data anew."""

from __future__ import annotations

import argparse
import math
import os
import shutil
import sys
import sysconfig
from dataclasses import replace
from pathlib import Path
from typing import Any

from training import baseline, corpus, export, loop, measure, network, tokenizer
from training.card import Run, write_card

MODEL = Path("models/pydoc-1.0")
HELD_OUT = Path("data/heldout.jsonl")


def run(out: Path, schedule: loop.Schedule) -> Run:
    """Corpus → tokenizer → network → weights → ONNX folder → figures."""
    import torch

    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    torch.set_num_threads(schedule.threads)
    torch.manual_seed(schedule.seed)
    size = network.Size()
    texts = corpus.read()
    tokens = tokenizer.learn(texts.train, size.vocabulary)
    train, development = (tokenizer.encode(tokens, part) for part in (texts.train, texts.development))
    model = network.create(size, schedule.dropout)
    progress(f"{sum(map(len, train)):,} tokens to train on")
    trained = loop.train(model, train, development, schedule, progress)
    network.untie(model)
    export.export(model, tokens, out / MODEL)
    corpus.write_held_out(texts.held_out, out / HELD_OUT)
    return Run(
        size=size,
        schedule=schedule,
        trained=trained,
        characters=tuple(sum(map(len, part)) for part in (texts.train, texts.development, texts.held_out)),
        tokens=sum(map(len, train)),
        parameters=sum(weight.numel() for weight in model.parameters()),
        network=measure.measure(out / MODEL, list(texts.held_out)),
        bigrams=_measure_bigrams(tokens, texts, size),
    )


def _measure_bigrams(tokens: Any, texts: corpus.Corpus, size: network.Size) -> measure.Figures:
    parts = (texts.train, texts.development, texts.held_out)
    train, development, held_out = ([one.ids for one in tokens.encode_batch(list(part))] for part in parts)
    runs = [run for text in held_out for run in measure.windows(text, size.context)]
    loss = baseline.mean_loss(baseline.learn(train, development, size.vocabulary), runs)
    return measure.figures(loss, sum(len(run) - 1 for run in runs), texts.held_out)


def progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the workspace that gets models/ and data/")
    parser.add_argument("--steps", type=int, default=loop.Schedule().steps, help="fewer, to try it out")
    given = parser.parse_args()
    done = run(given.out, replace(loop.Schedule(), steps=given.steps))
    write_card(done, given.out / MODEL / "README.md")
    shutil.copy(Path(sysconfig.get_path("stdlib"), "LICENSE.txt"), given.out / MODEL / "LICENSE")
    progress(f"perplexity {done.network.perplexity:.3f}; bigrams {done.bigrams.perplexity:.3f}")
    if not math.isfinite(done.network.perplexity) or done.network.perplexity >= done.bigrams.perplexity:
        sys.exit("The network is no better than bigrams.")


if __name__ == "__main__":
    main()
