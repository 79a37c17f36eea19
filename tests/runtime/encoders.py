"""A BERT small enough to compute by hand, exported by the compiler, with texts for its golden answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from compiler.artifact.model.export import export
from compiler.artifact.model.inspection import inspect
from tests.artifact import tiny_bert
from tests.runtime.bundles import Plan

LABELS = ("no", "yes", "perhaps")
TEXTS = ("w3 w1 w4 w1 w5", "w9 w2 w6", "w5 w3 w5 w8 w9 w7", "w9")


def weights(task: str) -> dict[str, Any]:
    return tiny_bert.weights(labels=0 if task == "embeddings" else len(LABELS))


def tokens(text: str) -> list[int]:
    return [tiny_bert.WORDS.index(word) for word in text.split()]


def encoder_plan(folder: Path, task: str) -> Plan:
    """Its files are written below `folder`."""
    config: dict[str, Any] = {}
    if task == "text-classification":
        names = {str(number): label for number, label in enumerate(LABELS)}
        config = {"architectures": ["BertForSequenceClassification"], "id2label": names}
    source = tiny_bert.write(folder / "source", weights(task), **config)
    target = folder / "model"
    target.mkdir()
    assert inspect(str(source), task) == {"export": "bert"}
    assert export(str(source), task, str(target)) == {}
    data = folder / "texts.jsonl"
    entries = [{"text": text} | ({"label": 0} if config else {}) for text in TEXTS]
    data.write_text("".join(f"{json.dumps(entry)}\n" for entry in entries))
    return Plan(target, data, task, serve={"contextLength": 12, "model": "tiny@2.0.0"})
