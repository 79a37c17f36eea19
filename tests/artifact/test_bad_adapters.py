"""`merge-adapter` with files that are no adapter of the model, each refused with the reason."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from tests.artifact import tiny
from tests.artifact.adapters import merge_into, write_adapter


def config_text(text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / "adapter_config.json").write_text(text)


def config_with(**changes: Any) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        path = folder / "adapter_config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return change


def tensors(**arrays: Any) -> Callable[[Path], object]:
    """The file of weights, with `__` for a dot."""
    named = {name.replace("__", "."): array for name, array in arrays.items()}
    return lambda folder: save_file(named, folder / "adapter_model.safetensors")


ONES = np.ones((2, 16), np.float32), np.ones((32, 2), np.float32)
NAN = np.full((2, 16), np.nan, np.float32)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda f: (f / "adapter_config.json").unlink(), "The adapter's folder has no `adapter_config.json`."),
        (
            lambda f: (f / "adapter_model.safetensors").unlink(),
            "The adapter's folder has no `adapter_model.safetensors`; files of other formats are not read.",
        ),
        (
            lambda f: (f / "adapter_model.safetensors").write_bytes(b"{}"),
            "`adapter_model.safetensors` cannot be read: ",
        ),
        (config_text("{"), "`adapter_config.json` is not JSON."),
        (config_text("[]"), "`adapter_config.json` is not that of a LoRA: `peft_type` is not `LORA`."),
        (config_with(peft_type="IA3"), "`adapter_config.json` is not that of a LoRA: `peft_type` is not `LORA`."),
        (config_with(r=0), "`r` of `adapter_config.json` is not a positive number."),
        (config_with(lora_alpha=None), "`lora_alpha` of `adapter_config.json` is not a positive number."),
        (
            config_with(alpha_pattern={"a": "b"}),
            "`alpha_pattern` of `adapter_config.json` is not a mapping of names to positive numbers.",
        ),
        (
            config_with(alpha_pattern={"(": 1}),
            "`(` in `alpha_pattern` of `adapter_config.json` is no regular expression.",
        ),
        (
            config_with(r=8),
            "`base_model.model.from_token` has rank 2 in `adapter_model.safetensors`, and 8 in `adapter_config.json`.",
        ),
        (
            config_with(use_dora=True),
            "`adapter_config.json` has `use_dora`, whose directions and magnitudes are not plain sums.",
        ),
        (
            config_with(init_lora_weights="pissa_niter_16"),
            "`init_lora_weights: pissa_niter_16` of `adapter_config.json` changed the base weights too, which are not "
            "here.",
        ),
        (
            tensors(base_model__model__from_token__lora_A__weight=ONES[0]),
            "`adapter_model.safetensors` has only one of `lora_A` and `lora_B` for `base_model.model.from_token`.",
        ),
        (
            tensors(base_model__model__score__weight=ONES[0]),
            "`adapter_model.safetensors` has `base_model.model.score.weight`, which are not `lora_A` or `lora_B` of a "
            "linear module.",
        ),
        (tensors(), "`adapter_model.safetensors` has no tensors."),
        (
            tensors(x__lora_A__weight=ONES[0], x__lora_B__weight=ONES[1]),
            "1 of 1 modules of the adapter have no constant float matrix in the graph: `x`.",
        ),
        (
            tensors(from_token__lora_A__weight=ONES[0], from_token__lora_B__weight=ONES[1][:8]),
            "`from_token` of the adapter is 8 × 16, and `W` has 32 × 16.",
        ),
        (
            tensors(from_token__lora_A__weight=ONES[0], from_token__lora_B__weight=ONES[1][:, :1]),
            "`lora_A` and `lora_B` of `from_token` are [2, 16] and [32, 1], which do not multiply.",
        ),
        (
            tensors(from_token__lora_A__weight=NAN, from_token__lora_B__weight=ONES[1]),
            "`from_token.lora_A.weight` of `adapter_model.safetensors` has values that are infinite or not a number.",
        ),
        (
            tensors(
                W__lora_A__weight=ONES[0],
                W__lora_B__weight=ONES[1],
                from_token__lora_A__weight=ONES[0],
                from_token__lora_B__weight=ONES[1],
            ),
            "`W` and `from_token` of the adapter both fit `W`.",
        ),
    ],
)
def test_bad_adapters_are_refused_with_the_reason(tmp_path: Path, spoil: Callable[[Path], object], why: str) -> None:
    folder = tiny.write(tmp_path / "m")
    adapter = write_adapter(tmp_path / "a", {"from_token": ONES})
    spoil(adapter)
    result = merge_into(folder, adapter, tmp_path / "made")
    assert (result["failed"], result["refused"]) == (0, "STEP_INAPPLICABLE")
    assert result["reason"].startswith(why)
    assert str(tmp_path) not in result["reason"]
