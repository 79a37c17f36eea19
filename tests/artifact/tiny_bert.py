"""BERT models small enough to compute by hand, as Hugging Face lays them out."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer, models, pre_tokenizers

WORDS = [f"w{number}" for number in range(40)]
HIDDEN, HEADS, INNER, LAYERS, POSITIONS = 16, 2, 24, 2, 12
CONFIG: Mapping[str, Any] = {
    "model_type": "bert",
    "architectures": ["BertModel"],
    "hidden_size": HIDDEN,
    "num_attention_heads": HEADS,
    "intermediate_size": INNER,
    "num_hidden_layers": LAYERS,
    "vocab_size": len(WORDS),
    "max_position_embeddings": POSITIONS,
    "type_vocab_size": 2,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-12,
}
Weights = dict[str, Any]


def weights(labels: int = 0, seed: int = 5) -> Weights:
    """By name in the checkpoint, float32; with a classifier's for so many labels."""
    draw = np.random.default_rng(seed).standard_normal
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (len(WORDS), HIDDEN),
        "embeddings.position_embeddings.weight": (POSITIONS, HIDDEN),
        "embeddings.token_type_embeddings.weight": (2, HIDDEN),
    }
    linears = {"attention.self.query": (HIDDEN, HIDDEN), "attention.self.key": (HIDDEN, HIDDEN)}
    linears |= {"attention.self.value": (HIDDEN, HIDDEN), "attention.output.dense": (HIDDEN, HIDDEN)}
    linears |= {"intermediate.dense": (INNER, HIDDEN), "output.dense": (HIDDEN, INNER)}
    norms = ["embeddings.LayerNorm"]
    for layer in (f"encoder.layer.{number}" for number in range(LAYERS)):
        norms += [f"{layer}.attention.output.LayerNorm", f"{layer}.output.LayerNorm"]
        for name, shape in linears.items():
            shapes |= {f"{layer}.{name}.weight": shape, f"{layer}.{name}.bias": shape[:1]}
    shapes |= {f"{norm}.{part}": (HIDDEN,) for norm in norms for part in ("weight", "bias")}
    shapes |= {"pooler.dense.weight": (HIDDEN, HIDDEN), "pooler.dense.bias": (HIDDEN,)}
    if labels:
        shapes = {f"bert.{name}": shape for name, shape in shapes.items()}
        shapes |= {"classifier.weight": (labels, HIDDEN), "classifier.bias": (labels,)}
    return {name: draw(shape).astype(np.float32) for name, shape in shapes.items()}


def safetensors(tensors: Mapping[str, Any], dtypes: Mapping[str, str] | None = None) -> bytes:
    """A file of the format; arrays of uint16 that `dtypes` calls BF16 are bfloat16."""
    kinds = {"float32": "F32", "float16": "F16", "float64": "F64", "int64": "I64"}
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    data = b""
    for name, array in tensors.items():
        kind = (dtypes or {}).get(name) or kinds[str(array.dtype)]
        header[name] = {"dtype": kind, "shape": list(array.shape)}
        header[name]["data_offsets"] = [len(data), len(data) + array.nbytes]
        data += array.tobytes()
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def write(folder: Path, tensors: Weights | None = None, **config: Any) -> Path:
    """A model folder: weights, configuration, tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.safetensors").write_bytes(safetensors(weights() if tensors is None else tensors))
    (folder / "config.json").write_text(json.dumps({**CONFIG, **config}))
    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="w0"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def write_pooling(folder: Path, mode: str, *, normalize: bool) -> None:
    """What sentence-transformers writes beside a model."""
    kinds = ["Transformer", "Pooling", *(["Normalize"] if normalize else [])]
    paths = ["", "1_Pooling", "2_Normalize"]
    modules = [
        {"idx": number, "path": paths[number], "type": f"sentence_transformers.models.{kind}"}
        for number, kind in enumerate(kinds)
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir()
    modes = {f"pooling_mode_{name}_tokens": name == mode for name in ("cls", "mean", "max")}
    modes["pooling_mode_cls_token"] = modes.pop("pooling_mode_cls_tokens")
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"word_embedding_dimension": HIDDEN, **modes}))


def hidden(tensors: Weights, ids: Sequence[int], activation: str = "gelu") -> Any:
    """Tokens × hidden of one text without padding, float64, as the paper has it."""
    w = {name.removeprefix("bert."): array.astype(np.float64) for name, array in tensors.items()}
    word, place, kind = (f"embeddings.{name}_embeddings.weight" for name in ("word", "position", "token_type"))
    x = _norm(w, "embeddings.LayerNorm", w[word][list(ids)] + w[place][: len(ids)] + w[kind][0])
    for layer in (f"encoder.layer.{number}" for number in range(LAYERS)):
        query, key, value = (_linear(w, f"{layer}.attention.self.{p}", x) for p in ("query", "key", "value"))
        size = HIDDEN // HEADS
        mixed = []
        for head in range(HEADS):
            at = slice(head * size, (head + 1) * size)
            scores = query[:, at] @ key[:, at].T / math.sqrt(size)
            shares = np.exp(scores - scores.max(axis=1, keepdims=True))
            mixed.append(shares / shares.sum(axis=1, keepdims=True) @ value[:, at])
        attended = _linear(w, f"{layer}.attention.output.dense", np.concatenate(mixed, axis=1))
        x = _norm(w, f"{layer}.attention.output.LayerNorm", x + attended)
        inner = _ACTIVATIONS[activation](_linear(w, f"{layer}.intermediate.dense", x))
        x = _norm(w, f"{layer}.output.LayerNorm", x + _linear(w, f"{layer}.output.dense", inner))
    return x


def logits(tensors: Weights, ids: Sequence[int]) -> Any:
    w = {name.removeprefix("bert."): array.astype(np.float64) for name, array in tensors.items()}
    return _linear(w, "classifier", np.tanh(_linear(w, "pooler.dense", hidden(tensors, ids)[0])))


def _linear(w: Weights, name: str, x: Any) -> Any:
    return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]


def _norm(w: Weights, name: str, x: Any) -> Any:
    centred = x - x.mean(axis=-1, keepdims=True)
    return (
        centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-12) * w[f"{name}.weight"] + w[f"{name}.bias"]
    )


_ACTIVATIONS = {
    "gelu": lambda x: x / 2 * (1 + np.vectorize(math.erf)(x / math.sqrt(2))),
    "gelu_new": lambda x: x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "relu": lambda x: np.maximum(x, 0),
}
