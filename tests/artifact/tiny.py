"""A language model small enough to compute by hand, in the folder layout that onnxruntime-genai loads.

32 words, 16 dimensions, one cache head of 4. With E the embeddings, K a projection into the cache, C one out of
it and W the output matrix:

    logits[t] = E[id[t]] · W + (K-projections of all tokens up to t, summed) · C
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, pre_tokenizers

WORDS = [f"w{number}" for number in range(32)]
HIDDEN, HEAD, CONTEXT = 16, 4, 24
_INT64 = TensorProto.INT64


@dataclass(frozen=True, slots=True)
class Weights:
    embeddings: Any
    cache_in: Any
    cache_out: Any
    output: Any

    @classmethod
    def random(cls, seed: int = 7) -> Weights:
        draw = np.random.default_rng(seed).standard_normal
        shapes = ((len(WORDS), HIDDEN), (HIDDEN, HEAD), (HEAD, len(WORDS)), (HIDDEN, len(WORDS)))
        return cls(*(draw(shape).astype(np.float32) for shape in shapes))

    def logits(self, ids: list[int]) -> Any:
        """Tokens × words, float64, computed without onnxruntime."""
        hidden = self.embeddings.astype(np.float64)[ids]
        return hidden @ self.output + np.cumsum(hidden @ self.cache_in, axis=0) @ self.cache_out


def graph(weights: Weights) -> Any:
    """The model as ONNX, with a KV cache of one layer and one head. Its `value` half is carried and not used."""
    cache = ["batch", 1, "past", HEAD]
    grown = ["batch", 1, "total", HEAD]
    nodes = [
        ("Gather", ["E", "input_ids"], ["hidden"]),
        ("MatMul", ["hidden", "K"], ["keys"]),
        ("Unsqueeze", ["keys", "one"], ["new"]),
        ("Concat", ["past_key_values.0.key", "new"], ["present.0.key"], {"axis": 2}),
        ("Concat", ["past_key_values.0.value", "new"], ["present.0.value"], {"axis": 2}),
        ("CumSum", ["present.0.key", "two"], ["sums"]),
        ("Shape", ["input_ids"], ["length"], {"start": 1}),
        ("Neg", ["length"], ["start"]),
        ("Slice", ["sums", "start", "end", "axes"], ["last"]),
        ("Squeeze", ["last", "one"], ["context"]),
        ("MatMul", ["context", "C"], ["from_cache"]),
        ("MatMul", ["hidden", "W"], ["from_token"]),
        ("Add", ["from_token", "from_cache"], ["logits"]),
    ]
    constants = {
        "E": weights.embeddings, "K": weights.cache_in, "C": weights.cache_out, "W": weights.output,
        "one": np.array([1]), "two": np.array(2), "end": np.array([2**62]), "axes": np.array([2]),
    }  # fmt: skip
    made = [helper.make_node(n[0], n[1], n[2], name=f"/{n[2][0]}", **(n[3] if len(n) > 3 else {})) for n in nodes]
    body = helper.make_graph(
        made,
        "tiny",
        [
            helper.make_tensor_value_info("input_ids", _INT64, ["batch", "new"]),
            helper.make_tensor_value_info("attention_mask", _INT64, ["batch", "total"]),
            helper.make_tensor_value_info("past_key_values.0.key", TensorProto.FLOAT, cache),
            helper.make_tensor_value_info("past_key_values.0.value", TensorProto.FLOAT, cache),
        ],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", "new", len(WORDS)]),
            helper.make_tensor_value_info("present.0.key", TensorProto.FLOAT, grown),
            helper.make_tensor_value_info("present.0.value", TensorProto.FLOAT, grown),
        ],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def config() -> dict[str, Any]:
    decoder = {"filename": "model.onnx", "head_size": HEAD, "num_key_value_heads": 1, "num_hidden_layers": 1}
    return {"model": {"context_length": CONTEXT, "vocab_size": len(WORDS), "decoder": decoder}}


def write(folder: Path, weights: Weights | None = None) -> Path:
    """A model folder: graph, configuration, tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(graph(weights or Weights.random()).SerializeToString(deterministic=True))
    (folder / "genai_config.json").write_text(json.dumps(config()))
    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="w0"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def write_external(folder: Path, data: str = "weights.bin") -> Path:
    """The same, with embeddings and output matrix in a file of their own."""
    write(folder)
    model = onnx.load(folder / "model.onnx")
    onnx.save(model, folder / "model.onnx", save_as_external_data=True, location=data, size_threshold=1024)
    return folder


def write_texts(path: Path, texts: Iterable[str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return path


def some_texts(count: int = 6, words: int = 40, seed: int = 3) -> list[str]:
    draw = np.random.default_rng(seed).integers
    return [" ".join(WORDS[number] for number in draw(0, len(WORDS), words)) for _ in range(count)]
