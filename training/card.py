"""The README of the trained model: what it is and what the run that made it measured."""

from __future__ import annotations

import importlib.metadata
import platform
import textwrap
from dataclasses import dataclass
from pathlib import Path

from training.loop import Schedule, Trained
from training.measure import Figures
from training.network import Size

WIDTH = 120


@dataclass(frozen=True, slots=True)
class Run:
    """What one training run was given and what came of it."""

    size: Size
    schedule: Schedule
    trained: Trained
    characters: tuple[int, ...]
    """Of the training, development and held-out text."""
    tokens: int
    """Of the training text."""
    parameters: int
    network: Figures
    """On the held-out text, from the exported model."""
    bigrams: Figures
    """On the held-out text."""


def write_card(run: Run, path: Path) -> None:
    parts = _TEMPLATE.format(**_values(run)).split("\n\n")
    filled = [part if part[0] in "#| " else textwrap.fill(part, WIDTH, break_on_hyphens=False) for part in parts]
    path.write_text("\n\n".join(filled).rstrip() + "\n", encoding="utf-8", newline="\n")


def _values(run: Run) -> dict[str, object]:
    size, schedule, trained = run.size, run.schedule, run.trained
    train, development, held_out = run.characters
    return {
        "parameters": f"{run.parameters / 1e6:.1f}",
        "size": size,
        "schedule": schedule,
        "trained": trained,
        "minutes": f"{trained.cpu_seconds / 60:.0f}",
        "wall": f"{trained.wall_seconds / 60:.0f}",
        "train": f"{train:,}",
        "development": f"{development:,}",
        "held_out": f"{held_out:,}",
        "tokens": f"{run.tokens:,}",
        "predicted": f"{run.network.tokens:,}",
        "network": run.network,
        "bigrams": run.bigrams,
        "python": platform.python_version(),
        "torch": importlib.metadata.version("torch"),
        "transformers": importlib.metadata.version("transformers"),
        "genai": importlib.metadata.version("onnxruntime-genai"),
        "onnxruntime": importlib.metadata.version("onnxruntime"),
    }


_TEMPLATE = """\
# pydoc-1.0

A language model of {parameters} million parameters that continues text in the manner of Python's language reference.
It is small enough to be committed and really trained, so that an optimization has something to lose. It is an example
for `slmc`, and no source of facts about Python.

A Llama-style decoder: {size.layers} layers, {size.width} wide, {size.heads} query heads and {size.key_value_heads}
key-value heads, {size.inner} wide inside, a context of {size.context} tokens, and a byte-level BPE tokenizer of
{size.vocabulary} tokens. The folder is what onnxruntime-genai loads: `model.onnx` (fp32, weights inside, KV cache as
inputs and outputs, logits of every position), `genai_config.json`, `tokenizer.json`, `tokenizer_config.json`.

## Figures

On `data/heldout.jsonl`: {held_out} characters of whole sections, no paragraph of which is in the training text;
{predicted} tokens predicted by onnxruntime {onnxruntime}. Each section begins with `<s>`; one that is longer than the
context is cut into windows of the context, and the first token of a window is not predicted.

| model | perplexity per token | bits per byte |
|---|---|---|
| this one | {network.perplexity:.3f} | {network.bits_per_byte:.3f} |
| bigrams of the same tokens, interpolated Kneser–Ney | {bigrams.perplexity:.3f} | {bigrams.bits_per_byte:.3f} |

## How it was made

    python -m training --out blueprints/hello

The text is `pydoc_data.topics` of CPython {python}, its paragraphs made unique: {train} characters to train on
({tokens} tokens), {development} to decide when to stop, and the held-out ones, in whole sections chosen by their
sha256.

{trained.steps} steps of {schedule.batch} × {schedule.window} tokens with AdamW, one cycle up to {schedule.rate:g},
weight decay {schedule.decay:g}, dropout {schedule.dropout:g}, seed {schedule.seed}; the weights of step
{trained.best_step} were the best on the development text (perplexity {trained.development_perplexity:.1f}) and were
kept. It took {minutes} CPU minutes ({wall} minutes on {schedule.threads} threads) with torch {torch} and transformers
{transformers}; the model builder of onnxruntime-genai {genai} exported it.

## Licence

The text is part of CPython's documentation, © Python Software Foundation, under the Python Software Foundation License
Version 2 (PSF-2.0). The weights, the tokenizer and `data/heldout.jsonl` derive from it and are offered under the same
licence; its text is in `LICENSE`.
"""
