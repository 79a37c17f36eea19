"""Held-out figures of an exported folder, measured by plain onnxruntime."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from onnxruntime import InferenceSession


@dataclass(frozen=True, slots=True)
class Figures:
    """Of a text: `tokens` predicted, perplexity per token, and the nats of all tokens as bits per byte of UTF-8."""

    tokens: int
    perplexity: float
    bits_per_byte: float


def figures(mean_loss: float, tokens: int, texts: Iterable[str]) -> Figures:
    """From the mean loss in nats of `tokens` tokens that spell `texts`."""
    size = sum(len(text.encode()) for text in texts)
    return Figures(tokens, math.exp(mean_loss), mean_loss * tokens / math.log(2) / size)


def windows(ids: Sequence[int], context: int) -> list[Sequence[int]]:
    """`ids` cut into runs of `context` tokens, without a last one of a single token: nothing in it is predicted."""
    runs = (ids[start : start + context] for start in range(0, len(ids), context))
    return [run for run in runs if len(run) > 1]


def open_session(path: Path) -> InferenceSession:
    """A CPU session of two threads that says nothing and sends nothing."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def logits(
    session: InferenceSession, ids: Sequence[int], cache: dict[str, np.ndarray] | None = None
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Logits (tokens × vocabulary, float32) of every position of `ids`, and the KV cache to go on with.

    `cache` is what an earlier call gave: arrays 1 × heads × past tokens × head size by input name.
    """
    import numpy as np

    if cache is None:
        cache = {
            value.name: np.zeros((1, value.shape[1], 0, value.shape[3]), np.float32)
            for value in session.get_inputs()
            if value.name.startswith("past_key_values.")
        }
    past = next(iter(cache.values())).shape[2]
    mask = np.ones((1, past + len(ids)), np.int64)
    found = session.run(None, {"input_ids": np.array([ids], np.int64), "attention_mask": mask, **cache})
    names = [value.name.replace("present.", "past_key_values.") for value in session.get_outputs()]
    outputs = dict(zip(names, found, strict=True))
    return outputs.pop("logits")[0], outputs


def measure(folder: Path, texts: list[str]) -> Figures:
    """Perplexity of the model in `folder`: each text begins with `<s>`; a long one is cut into windows of the context.

    The first token of a window is not predicted.
    """
    import numpy as np
    from tokenizers import Tokenizer

    session = open_session(folder / "model.onnx")
    context = json.loads((folder / "genai_config.json").read_text())["model"]["context_length"]
    loss, count = 0.0, 0
    for encoding in Tokenizer.from_file(str(folder / "tokenizer.json")).encode_batch(texts):
        for ids in windows(encoding.ids, context):
            scores = logits(session, ids)[0][:-1].astype(np.float64)
            scores -= scores.max(axis=1, keepdims=True)
            chosen = scores[np.arange(len(ids) - 1), ids[1:]]
            loss += float((np.log(np.exp(scores).sum(axis=1)) - chosen).sum())
            count += len(ids) - 1
    return figures(loss / count, count, texts)
