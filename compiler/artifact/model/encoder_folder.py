"""An encoder's folder: `model.onnx`, `tokenizer.json`, `config.json`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from compiler.artifact.configuration import DEFAULT_GRAPH, Unusable, encoder_lengths, read_json

CONFIG = "config.json"
_INPUTS = ("input_ids", "attention_mask", "token_type_ids", "position_ids")
_CACHE = "past_key_values."
_TEXTS = ("A text.", "Another text, which has some more words than the first one.")
"""Of two lengths: a graph whose shapes are fixed runs with one of them at most."""


def holds(folder: Path) -> bool:
    """Whether the folder is meant to be of this kind."""
    return (folder / DEFAULT_GRAPH).exists()


def graph_file(folder: Path) -> str:
    return DEFAULT_GRAPH


def context_length(folder: Path) -> int:
    """Tokens that a text may have. Raises Unusable."""
    lengths = encoder_lengths(folder)
    if not lengths:
        read_json(folder / CONFIG)
        raise Unusable("UNSUPPORTED_MODEL", f"`{CONFIG}` has no usable `max_position_embeddings`.")
    return min(lengths)


def interface(name: str, model: Any, task: str) -> Iterator[Unusable]:
    """What is missing for the task, or too much."""
    inputs = [value.name for value in model.graph.input]
    if "input_ids" not in inputs:
        yield Unusable("UNSUPPORTED_MODEL", f"`{name}` has no input `input_ids`; {task} needs one.")
    for extra in inputs:
        if extra not in _INPUTS:
            message = f"`{name}` has an input `{extra}`; an encoder has {', '.join(_INPUTS)} at most."
            yield Unusable("UNSUPPORTED_MODEL", message)
    outputs = [value.name for value in model.graph.output]
    if task == "text-classification" and "logits" not in outputs:
        yield Unusable("UNSUPPORTED_MODEL", f"`{name}` has no output `logits`; text-classification needs one.")


def mistaken(name: str, model: Any, task: str) -> Unusable | None:
    """A text generator: all else that it lacks or has too much comes of that."""
    if not any(value.name.startswith(_CACHE) for value in model.graph.input):
        return None
    message = f"`{name}` has inputs `{_CACHE}*`: it looks like a decoder for text-generation, and its task is {task}."
    return Unusable("UNSUPPORTED_MODEL", message, "Set `task: text-generation`, or name the folder of an encoder.")


def cache_bytes(folder: Path, model: Any) -> int:
    return 0


def check_runs(folder: Path, name: str, task: str) -> None:
    """onnxruntime has the last word on what is a model; the recipe is not to be blamed for it. Raises Unusable."""
    from compiler.artifact.inference.encoder import Encoder
    from compiler.artifact.reason import reason

    try:
        encoder = Encoder(folder, threads=1)
    except Exception as error:
        raise Unusable("NOT_ONNX", f"onnxruntime does not load `{name}`: {reason(error)}") from None
    try:
        found = list(encoder.embeddings(_TEXTS) if task == "embeddings" else encoder.scores(_TEXTS))
    except Exception as error:
        raise Unusable("UNSUPPORTED_MODEL", f"onnxruntime does not run `{name}`: {reason(error)}") from None
    if len(found) < len(_TEXTS):
        raise Unusable("UNSUPPORTED_MODEL", "The tokenizer makes no tokens of English text.")
    _check_values(folder, name, task, found)


def _check_values(folder: Path, name: str, task: str, found: list[Any]) -> None:
    import numpy as np

    if found[0].ndim != 1 or found[0].shape != found[1].shape:
        what = "vector" if task == "embeddings" else "list of label scores"
        raise Unusable("UNSUPPORTED_MODEL", f"`{name}` gives no {what} for each text, or none for each token.")
    if not np.isfinite(found).all():
        raise Unusable("UNSUPPORTED_MODEL", f"`{name}` gives values that are no finite numbers.")
    if task == "text-classification" and (labels := labels_of(folder)) != len(found[0]):
        message = f"`{name}` has scores for {len(found[0])} labels; `{CONFIG}` names {labels}."
        raise Unusable("UNSUPPORTED_MODEL", message)


def labels_of(folder: Path) -> int:
    """How many labels `id2label` of the configuration names. Raises Unusable for one that names none."""
    found = read_json(folder / CONFIG).get("id2label")
    labels = found if isinstance(found, dict) else {}
    numbers = list(map(str, range(len(labels))))
    if not labels or sorted(labels) != sorted(numbers) or not all(isinstance(one, str) for one in labels.values()):
        message = f"`{CONFIG}` has no `id2label` that names a label for each number from 0 on."
        raise Unusable("UNSUPPORTED_MODEL", message)
    return len(numbers)
