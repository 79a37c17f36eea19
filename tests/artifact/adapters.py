"""LoRA adapters as PEFT saves them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from tests.artifact.stepping import chained

PREFIX = "base_model.model."


def write_adapter(folder: Path, modules: Mapping[str, tuple[Any, Any]], **config: Any) -> Path:
    """`modules` by name: A (r × inputs) and B (outputs × r)."""
    folder.mkdir(parents=True, exist_ok=True)
    rank = len(next(iter(modules.values()))[0]) if modules else 1
    said = {"peft_type": "LORA", "r": rank, "lora_alpha": rank, "bias": "none", **config}
    (folder / "adapter_config.json").write_text(json.dumps(said))
    tensors = {
        f"{PREFIX}{name}.lora_{side}.weight": np.ascontiguousarray(part)
        for name, parts in modules.items()
        for side, part in zip("AB", parts, strict=True)
    }
    save_file(tensors, folder / "adapter_model.safetensors")
    return folder


def pair(outputs: int, inputs: int, rank: int, seed: int = 0) -> tuple[Any, Any]:
    draw = np.random.default_rng(seed).standard_normal
    return draw((rank, inputs)).astype(np.float32) / 8, draw((outputs, rank)).astype(np.float32) / 8


def merge_into(model: Path, adapter: Path, target: Path) -> dict[str, Any]:
    """Make the folder `target` with the step's result; gives what it said."""
    target.mkdir(exist_ok=True)
    step = {"name": "merge-adapter", "parameters": {"adapter": "a"}, "files": {"adapter": str(adapter)}}
    return chained(model / "model.onnx", target / "model.onnx", [step])
