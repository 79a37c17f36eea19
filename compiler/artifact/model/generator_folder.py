"""A text generator's folder, in the layout that onnxruntime-genai loads."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from compiler.artifact.configuration import CONFIG, Unusable, cache_sizes, context_length, graph_file

__all__ = ["cache_bytes", "check_runs", "context_length", "graph_file", "holds", "interface", "mistaken"]

_CACHE = re.compile(r"past_key_values\.\d+\.(key|value)")


def holds(folder: Path) -> bool:
    """Whether the folder is meant to be of this kind."""
    return (folder / CONFIG).exists()


def interface(name: str, model: Any, task: str) -> Iterator[Unusable]:
    """What is missing for text-generation."""
    inputs = {value.name for value in model.graph.input}
    outputs = {value.name: value for value in model.graph.output}
    if "input_ids" not in inputs:
        yield Unusable("UNSUPPORTED_MODEL", f"`{name}` has no input `input_ids`; text-generation needs one.")
    if not _cache_inputs(model):
        yield Unusable("UNSUPPORTED_MODEL", f"`{name}` has no inputs `past_key_values.*`: it has no KV cache.")
    if "logits" not in outputs:
        yield Unusable("UNSUPPORTED_MODEL", f"`{name}` has no output `logits`; text-generation needs one.")
    elif [size.dim_value for size in outputs["logits"].type.tensor_type.shape.dim][1:2] == [1]:
        yield Unusable(
            "UNSUPPORTED_MODEL", f"`{name}` gives logits for the last position only; evaluation needs all of them."
        )


def mistaken(name: str, model: Any, task: str) -> Unusable | None:
    """None: nothing tells an encoder from a generator that was exported without its cache."""
    return None


def check_runs(folder: Path, name: str, task: str) -> None:
    """onnxruntime has the last word on what is a model; the recipe is not to be blamed for it. Raises Unusable."""
    from compiler.artifact.inference.decoder import Decoder
    from compiler.artifact.reason import reason

    try:
        decoder = Decoder(folder, threads=1)
    except Exception as error:
        raise Unusable("NOT_ONNX", f"onnxruntime does not load `{name}`: {reason(error)}") from None
    try:
        _, cache = decoder([0, 0], 0, decoder.empty_cache())
        decoder([0], 2, cache)
    except Exception as error:
        raise Unusable("UNSUPPORTED_MODEL", f"onnxruntime does not run `{name}`: {reason(error)}") from None


def cache_bytes(folder: Path, model: Any) -> int:
    """Bytes of cache for each token. Raises Unusable."""
    return sum(_cache_bytes(folder, value) for value in _cache_inputs(model))


def _cache_inputs(model: Any) -> list[Any]:
    return [value for value in model.graph.input if _CACHE.fullmatch(value.name)]


def _cache_bytes(folder: Path, value: Any) -> int:
    """Bytes per token of one cache input. Raises Unusable."""
    from onnx import helper

    declared = [size.dim_value for size in value.type.tensor_type.shape.dim]
    if len(declared) != 4:
        raise Unusable("UNSUPPORTED_MODEL", f"Input `{value.name}` is not batch × heads × tokens × head size.")
    heads, size = cache_sizes(folder, declared)
    return int(heads * size * helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type).itemsize)
