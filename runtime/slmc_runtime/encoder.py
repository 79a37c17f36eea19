"""Embeddings and classification over onnxruntime: one text at a time, the same arithmetic as the compiler's."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from slmc_runtime import libraries
from slmc_runtime.config import Run
from slmc_runtime.errors import ApiError, too_long
from slmc_runtime.refused import MODEL, Refused

_GRAPHS = ("model.onnx", "model.ort")
_POOLED = ("sentence_embedding", "text_embeds")
"""Outputs that are one vector for each text, by the names of sentence-transformers and Optimum."""
_LONGEST_TEXT, _LONGEST_CONTEXT = 512, 2**24
"""Tokens that the compiler reads of a text at most, and a limit above which a configuration states none."""
_LENGTHS = (
    ("sentence_bert_config.json", "max_seq_length"),
    ("tokenizer_config.json", "model_max_length"),
    ("config.json", "max_position_embeddings"),
)
_KINDS = {
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(float16)": np.float16,
    "tensor(float)": np.float32,
}


class Encoder:
    """The model of a folder with `model.onnx` (or `.ort`) and `tokenizer.json`.

    An embedding model gives a vector for each text (_POOLED), or one for each token, whose mean is taken; a classifier
    gives `logits`.
    """

    def __init__(self, run: Run) -> None:
        """Raises Refused, or what the library raises for a model that it cannot load."""
        from tokenizers import Tokenizer

        folder = run.folder
        graph = next((folder / name for name in _GRAPHS if (folder / name).is_file()), None)
        if graph is None:
            raise Refused(MODEL, f"the artifact has neither {' nor '.join(_GRAPHS)}, which onnxruntime loads")
        self._session = _session(graph, run.threads)
        self._folder = folder
        self._inputs = self._session.get_inputs()
        self._outputs = [value.name for value in self._session.get_outputs()]
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
        self._vocabulary = self.tokenizer.get_vocab_size(with_added_tokens=True)
        self.longest = _fixed_length(self._inputs) or _text_length(folder)
        """Tokens that the model reads of a text."""
        self.context = min(self.longest, run.context_length)
        """Tokens that a request may have."""
        self.labels = _labels(folder)

    def tokens(self, text: str | Sequence[int]) -> list[int]:
        """Of one input of a request. Raises ApiError when it is too long or empty."""
        if isinstance(text, str):
            ids = list(self.tokenizer.encode(text).ids)
        else:
            ids = list(text)
            if ids and max(ids) >= self._vocabulary:
                raise ApiError(400, "The input has a token that the model does not know.", "invalid_token", "input")
        if not ids:
            raise ApiError(400, "An input is empty.", "empty_input", "input")
        if len(ids) > self.context:
            raise too_long(len(ids), self.context, "input")
        return ids

    def embedding(self, ids: Sequence[int]) -> Any:
        """Float64, of length 1."""
        fed = self._feed(ids)
        values = self._run(fed)
        name = next((name for name in _POOLED if name in values), self._outputs[0])
        vector = values[name][0].astype(np.float64)
        if vector.ndim == 2:
            own = int(fed["attention_mask"].sum()) if "attention_mask" in fed else None
            vector = vector[:own].mean(axis=0)
        return vector / np.linalg.norm(vector)

    def log_probabilities(self, ids: Sequence[int]) -> Any:
        """Of the labels, in nats, float64."""
        values = self._run(self._feed(ids))
        if "logits" not in values:
            raise Refused(MODEL, "the artifact has no output `logits`, which classification needs")
        return log_softmax(values["logits"][0].astype(np.float64))

    def label(self, number: int) -> str:
        return self.labels.get(number, str(number))

    def _run(self, fed: Mapping[str, Any]) -> Mapping[str, Any]:
        return dict(zip(self._outputs, self._session.run(None, dict(fed)), strict=True))

    def _feed(self, ids: Sequence[int]) -> dict[str, Any]:
        kept = list(ids[: self.longest])
        return {value.name: self._fed(value, kept) for value in self._inputs}

    def _fed(self, value: Any, ids: list[int]) -> Any:
        kind = _KINDS[value.type]
        length = value.shape[1] if isinstance(value.shape[1], int) else len(ids)
        made = np.zeros((1, length), kind)
        if value.name == "input_ids":
            made[0, : len(ids)] = ids
        elif value.name == "attention_mask":
            made[0, : len(ids)] = 1
        elif value.name == "position_ids":
            made[0] = np.arange(length)
        elif value.name.startswith("past_key_values."):
            return np.zeros((1, *self._cache(value.shape)), kind)
        elif value.name != "token_type_ids":
            raise Refused(MODEL, f"nothing is known of the artifact's input `{value.name}`")
        return made

    def _cache(self, shape: Sequence[Any]) -> tuple[int, int, int]:
        """Heads, no tokens, head size: the graph leaves parts of it to the configuration of onnxruntime-genai."""
        decoder = _json(self._folder / "genai_config.json").get("model", {}).get("decoder", {})
        heads = shape[1] if isinstance(shape[1], int) and shape[1] else decoder.get("num_key_value_heads")
        size = shape[3] if isinstance(shape[3], int) and shape[3] else decoder.get("head_size")
        return int(heads), 0, int(size)


def log_softmax(logits: Any) -> Any:
    shifted = logits - logits.max()
    return shifted - np.log(np.exp(shifted).sum())


def _session(graph: Path, threads: int) -> Any:
    """As the compiler measured the artifact: every level of graph optimization, no spinning."""
    module = libraries.onnxruntime()
    chosen = module.SessionOptions()
    chosen.intra_op_num_threads = threads
    chosen.inter_op_num_threads = 1
    chosen.log_severity_level = libraries.LOG_FATAL
    chosen.use_deterministic_compute = True
    chosen.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return module.InferenceSession(str(graph), chosen, providers=["CPUExecutionProvider"])


def _fixed_length(inputs: Sequence[Any]) -> int | None:
    return next((v.shape[1] for v in inputs if v.name == "input_ids" and isinstance(v.shape[1], int)), None)


def _text_length(folder: Path) -> int:
    found = [_json(folder / name).get(key) for name, key in _LENGTHS]
    # Tokenizers without a limit say 10 to the power of 30.
    return min([_LONGEST_TEXT, *(n for n in found if isinstance(n, int) and 2 <= n <= _LONGEST_CONTEXT)])


def _labels(folder: Path) -> dict[int, str]:
    try:
        return {int(number): str(name) for number, name in _json(folder / "config.json")["id2label"].items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
