"""Texts as what a model's graph takes: token ids, masks, positions, and empty caches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from compiler.artifact.configuration import cache_sizes

_KINDS = {
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(float16)": np.float16,
    "tensor(float)": np.float32,
}


def feeds(
    tokenizer: Path, folder: Path, inputs: Iterable[Any], texts: Iterable[str], max_tokens: int
) -> Iterator[Mapping[str, Any]]:
    """One feed for each text of a token or more, batch 1, numpy arrays by input name.

    `tokenizer` is the file, `folder` the one that has the graph's configuration; `inputs` are a session's
    (`get_inputs()`). Where they are of a fixed length, texts are cut or padded to it. Raises ValueError for an input
    that no language model has.
    """
    from tokenizers import Tokenizer

    cut = Tokenizer.from_file(str(tokenizer))
    cut.no_padding()
    cut.no_truncation()
    listed = list(inputs)
    for text in texts:
        if ids := cut.encode(text).ids[:max_tokens]:
            yield feed(folder, listed, ids)


def feed(folder: Path, inputs: Iterable[Any], ids: list[int]) -> Mapping[str, Any]:
    """The same for one text, given as tokens."""
    listed = list(inputs)
    ids = ids[: fixed_length(listed)]
    return {value.name: _fed(folder, value, ids) for value in listed}


def fixed_length(inputs: Iterable[Any]) -> int | None:
    """The tokens that the graph takes, neither more nor fewer; None when it takes any number."""
    return next((v.shape[1] for v in inputs if v.name == "input_ids" and isinstance(v.shape[1], int)), None)


def _fed(folder: Path, value: Any, ids: list[int]) -> Any:
    kind = _KINDS[value.type]
    length = value.shape[1] if isinstance(value.shape[1], int) else len(ids)
    if value.name == "input_ids":
        return _padded(ids, length, kind)
    if value.name == "attention_mask":
        return _padded([1] * len(ids), length, kind)
    if value.name == "token_type_ids":
        return np.zeros((1, length), kind)
    if value.name == "position_ids":
        return np.arange(length, dtype=kind)[None]
    if value.name.startswith("past_key_values."):
        heads, size = cache_sizes(folder, value.shape)
        return np.zeros((1, heads, 0, size), kind)
    raise ValueError(f"nothing is known of input `{value.name}`")


def _padded(values: list[int], length: int, kind: Any) -> Any:
    """Zeros behind the values: what they are does not matter, since the mask hides them."""
    made = np.zeros((1, length), kind)
    made[0, : len(values)] = values
    return made
