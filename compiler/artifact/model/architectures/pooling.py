"""What sentence-transformers does behind an encoder: `modules.json` lists it, the folders it names configure it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto

from compiler.artifact.configuration import Unusable, read_json, read_json_list, stays_inside
from compiler.artifact.model.architectures.graph import Graph

MODULES = "modules.json"
_MODES = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls"}


@dataclass(frozen=True, slots=True)
class Pooling:
    """How token vectors become one vector: the `mean` over tokens that are no padding, or that of the first, `cls`."""

    mode: str
    normalize: bool


def of(folder: Path, hidden: int) -> Pooling | None:
    """None for a folder without `modules.json`: the graph then gives token vectors.

    Raises Unusable for modules and modes that the graph cannot do.
    """
    if not (folder / MODULES).exists():
        return None
    kinds = []
    pooling = None
    for module in read_json_list(folder / MODULES):
        kind = str(module.get("type", "")).rpartition(".")[2]
        kinds.append(kind)
        if kind == "Pooling":
            pooling = _mode(folder, str(module.get("path", "")), hidden)
    if pooling is None or kinds not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
        shown = ", ".join(f"`{kind}`" for kind in kinds) or "nothing"
        message = (
            f"`{MODULES}` lists {shown}; known are `Transformer`, `Pooling` and perhaps `Normalize`, in this order."
        )
        raise Unusable("UNSUPPORTED_MODEL", message)
    return Pooling(pooling, "Normalize" in kinds)


def _mode(folder: Path, path: str, hidden: int) -> str:
    if not stays_inside(path):
        raise Unusable("UNSUPPORTED_MODEL", f"`{MODULES}` names a folder outside the model's.")
    config = read_json(folder / path / "config.json")
    modes = [key for key, value in config.items() if key.startswith("pooling_mode_") and value is True]
    chosen = config.get("pooling_mode")
    mode = str(chosen) if chosen else _MODES.get(modes[0], "") if len(modes) == 1 else ""
    if mode not in _MODES.values():
        shown = mode or ", ".join(modes) or "none"
        raise Unusable("UNSUPPORTED_MODEL", f"`{path}/config.json` asks for pooling `{shown}`; known are mean and cls.")
    if {config.get(key, hidden) for key in ("word_embedding_dimension", "embedding_dimension")} != {hidden}:
        raise Unusable("UNSUPPORTED_MODEL", f"`{path}/config.json` is for vectors of another size than {hidden}.")
    return mode


def pooled(graph: Graph, hidden: str, pooling: Pooling) -> str:
    """batch × hidden; limits are those of sentence-transformers (1e-9) and torch.nn.functional.normalize (1e-12)."""
    axis = graph.constant("axis_1", np.array([1]))
    if pooling.mode == "cls":
        vector = graph.node("Gather", [hidden, graph.constant("zero", np.int64(0))], "pooling", axis=1)
    else:
        floats = graph.node("Cast", ["attention_mask"], "pooling", to=TensorProto.FLOAT)
        weights = graph.node("Unsqueeze", [floats, graph.constant("axis_2", np.array([2]))], "pooling")
        total = graph.node("ReduceSum", [graph.node("Mul", [hidden, weights], "pooling"), axis], "pooling", keepdims=0)
        tokens = graph.node("ReduceSum", [weights, axis], "pooling/tokens", keepdims=0)
        least = graph.node("Max", [tokens, graph.constant("least_tokens", np.float32(1e-9))], "pooling")
        vector = graph.node("Div", [total, least], "pooling")
    if not pooling.normalize:
        return vector
    length: Any = graph.node("ReduceL2", [vector], "normalize", axes=[1], keepdims=1)
    least = graph.node("Max", [length, graph.constant("least_length", np.float32(1e-12))], "normalize")
    return graph.node("Div", [vector, least], "normalize")
