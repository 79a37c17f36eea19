"""A decoder-only model behind one call: token ids in, logits and the grown KV cache out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from compiler.artifact.configuration import cache_sizes, graph_file
from compiler.artifact.inference import runtime

Cache = Mapping[str, Any]
"""By input name: OrtValues, 1 × heads × past tokens × head size."""


class Decoder:
    """The model of a folder in the layout of onnxruntime-genai. `level` of graph optimization: devices have `all`."""

    def __init__(self, folder: Path, threads: int, level: str = "all") -> None:
        self._folder = folder
        self._session = runtime.open_session(folder / graph_file(folder), runtime.options(level, threads))
        self._inputs = {value.name: value for value in self._session.get_inputs()}
        self._outputs = [value.name for value in self._session.get_outputs()]
        if "logits" not in self._outputs:
            raise ValueError("it has no output `logits`, which text generation needs")

    def empty_cache(self) -> Cache:
        found = {}
        for name, value in self._inputs.items():
            if name.startswith("past_key_values."):
                kind = np.float16 if value.type == "tensor(float16)" else np.float32
                heads, size = cache_sizes(self._folder, value.shape)
                empty = np.zeros((1, heads, 0, size), kind)
                found[name] = runtime.OrtValue.ortvalue_from_numpy(empty)
        return found

    def __call__(self, ids: Sequence[int], past: int, cache: Cache) -> tuple[Any, Cache]:
        """Logits (tokens × vocabulary, float32) for `ids`, which follow `past` tokens in `cache`."""
        feeds = dict(cache)
        made = {
            "input_ids": np.array([ids], np.int64),
            "attention_mask": np.ones((1, past + len(ids)), np.int64),
            "position_ids": np.arange(past, past + len(ids), dtype=np.int64)[None],
        }
        for name, array in made.items():
            if name in self._inputs:
                kind = np.int32 if self._inputs[name].type == "tensor(int32)" else np.int64
                feeds[name] = runtime.OrtValue.ortvalue_from_numpy(array.astype(kind))
        values = dict(zip(self._outputs, self._session.run_with_ort_values(self._outputs, feeds), strict=True))
        logits = values.pop("logits").numpy()[0].astype(np.float32)
        if len(logits) != len(ids):
            raise ValueError(f"the model gives logits for {len(logits)} of {len(ids)} positions; evaluation needs all")
        return logits, {name.replace("present.", "past_key_values."): value for name, value in values.items()}
