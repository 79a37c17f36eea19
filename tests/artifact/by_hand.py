"""The models of `checkpoints`, computed with numpy alone."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from tests.artifact import checkpoints


def bert(folder: Path, text: str) -> Any:
    """The vector of a text: BERT's layers, the mean over tokens, length 1."""
    weights = checkpoints.read_safetensors(folder / "model.safetensors")
    ids = Tokenizer.from_file(str(folder / "tokenizer.json")).encode(text).ids
    size = checkpoints.HIDDEN // checkpoints.HEADS

    def dense(values: Any, name: str) -> Any:
        return values @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def normed(values: Any, name: str) -> Any:
        centred = values - values.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-12)
        return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    tables = {name: weights[f"embeddings.{name}_embeddings.weight"] for name in ("word", "position", "token_type")}
    x = normed(tables["word"][ids] + tables["position"][: len(ids)] + tables["token_type"][0], "embeddings.LayerNorm")
    for layer in range(checkpoints.LAYERS):
        start = f"encoder.layer.{layer}."
        q, k, v = (
            dense(x, f"{start}attention.self.{name}").reshape(len(ids), -1, size).transpose(1, 0, 2)
            for name in ("query", "key", "value")
        )
        scores = q @ k.transpose(0, 2, 1) / np.sqrt(size)
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = ((shares / shares.sum(-1, keepdims=True)) @ v).transpose(1, 0, 2).reshape(len(ids), -1)
        x = normed(x + dense(mixed, f"{start}attention.output.dense"), f"{start}attention.output.LayerNorm")
        inner = dense(x, f"{start}intermediate.dense")
        gelu = inner * (1 + np.vectorize(math.erf)(inner / np.sqrt(2))) / 2
        x = normed(x + dense(gelu, f"{start}output.dense"), f"{start}output.LayerNorm")
    mean = x.mean(axis=0)
    return mean / np.linalg.norm(mean)


def llama(weights: dict[str, Any], ids: list[int]) -> Any:
    """The logits of the last token; rotary positions turn neighbours, as in llama.cpp's `LLAMA_ROPE_TYPE_NORM`."""
    size = checkpoints.HIDDEN // checkpoints.HEADS
    angles = np.outer(np.arange(len(ids)), 10_000.0 ** -(np.arange(0, size, 2) / size))

    def heads(values: Any) -> Any:
        return values.reshape(len(ids), -1, size).transpose(1, 0, 2)

    def turned(values: Any) -> Any:
        even, odd = values[..., ::2], values[..., 1::2]
        parts = (even * np.cos(angles) - odd * np.sin(angles), even * np.sin(angles) + odd * np.cos(angles))
        return np.stack(parts, axis=-1).reshape(values.shape)

    def normed(values: Any, name: str) -> Any:
        return values / np.sqrt((values**2).mean(-1, keepdims=True) + 1e-6) * weights[f"{name}.weight"]

    x = weights["token_embd.weight"][ids].astype(np.float64)
    for layer in range(checkpoints.LAYERS):
        own = {n.removeprefix(f"blk.{layer}."): w for n, w in weights.items() if n.startswith(f"blk.{layer}.")}
        y = normed(x, f"blk.{layer}.attn_norm")
        q, k = (turned(heads(y @ own[f"attn_{n}.weight"].T)) for n in "qk")
        k, v = (np.repeat(one, 2, axis=0) for one in (k, heads(y @ own["attn_v.weight"].T)))
        scores = q @ k.transpose(0, 2, 1) / np.sqrt(size) + np.triu(np.full((len(ids), len(ids)), -1e9), 1)
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = (shares / shares.sum(-1, keepdims=True)) @ v
        x = x + mixed.transpose(1, 0, 2).reshape(len(ids), -1) @ own["attn_output.weight"].T
        y = normed(x, f"blk.{layer}.ffn_norm")
        gate = y @ own["ffn_gate.weight"].T
        x = x + (gate / (1 + np.exp(-gate)) * (y @ own["ffn_up.weight"].T)) @ own["ffn_down.weight"].T
    return normed(x, "output_norm")[-1] @ weights["output.weight"].T
