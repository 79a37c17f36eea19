"""An encoder and a classifier small enough to compute by hand: the mean of the words' vectors, times a matrix.

embedding: [E[id] for id in ids]    one vector for each token, `last_hidden_state`
classifier: mean(E[ids]) · W        one score for each label, `logits`
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, pre_tokenizers

from tests.artifact.tiny import HIDDEN, WORDS

LABELS = ("calm", "cross", "glad")


@dataclass(frozen=True, slots=True)
class Weights:
    embeddings: Any
    labels: Any

    @classmethod
    def random(cls, seed: int = 7) -> Weights:
        draw = np.random.default_rng(seed).standard_normal
        return cls(draw((len(WORDS), HIDDEN)).astype(np.float32), draw((HIDDEN, len(LABELS))).astype(np.float32))

    def nudged(self, by: float) -> Weights:
        draw = np.random.default_rng(1).standard_normal
        return Weights(
            self.embeddings + np.float32(by) * draw(self.embeddings.shape).astype(np.float32),
            self.labels + np.float32(by) * draw(self.labels.shape).astype(np.float32),
        )

    def embedding(self, text: str) -> Any:
        """Of length 1, float64."""
        vector = self._mean(text)
        return vector / np.linalg.norm(vector)

    def scores(self, text: str) -> Any:
        return self._mean(text) @ self.labels

    def _mean(self, text: str) -> Any:
        ids = [WORDS.index(word) for word in text.split()]
        return self.embeddings.astype(np.float64)[ids].mean(axis=0)


def write_encoder(folder: Path, weights: Weights | None = None) -> Path:
    weights = weights or Weights.random()
    nodes = [helper.make_node("Gather", ["E", "input_ids"], ["last_hidden_state"], name="/gather")]
    shape = ["batch", "tokens", weights.embeddings.shape[1]]
    return _write(folder, nodes, {"E": weights.embeddings}, ("last_hidden_state", shape))


def write_classifier(folder: Path, weights: Weights | None = None) -> Path:
    weights = weights or Weights.random()
    nodes = [
        helper.make_node("Gather", ["E", "input_ids"], ["hidden"], name="/gather"),
        helper.make_node("ReduceMean", ["hidden"], ["pooled"], name="/mean", axes=[1], keepdims=0),
        helper.make_node("MatMul", ["pooled", "W"], ["logits"], name="/labels"),
    ]
    names = {str(number): name for number, name in enumerate(LABELS)}
    constants = {"E": weights.embeddings, "W": weights.labels}
    made = _write(folder, nodes, constants, ("logits", ["batch", weights.labels.shape[1]]))
    (made / "config.json").write_text(json.dumps({"id2label": names}))
    return made


def _write(folder: Path, nodes: list[Any], constants: dict[str, Any], output: tuple[str, list[Any]]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    tokens = ["batch", "tokens"]
    body = helper.make_graph(
        nodes,
        "tiny",
        [
            helper.make_tensor_value_info("input_ids", TensorProto.INT64, tokens),
            helper.make_tensor_value_info("attention_mask", TensorProto.INT64, tokens),
        ],
        [helper.make_tensor_value_info(output[0], TensorProto.FLOAT, output[1])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    (folder / "model.onnx").write_bytes(model.SerializeToString(deterministic=True))
    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="w0"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def write_labelled(path: Path, texts: list[tuple[str, str | int]]) -> Path:
    path.write_text("".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in texts))
    return path
