"""A LoRA adapter in the layout of PEFT: `adapter_config.json` and `adapter_model.safetensors`."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from compiler.artifact.steps.step import Refused
from compiler.blueprint.step_spec import ADAPTER_FILES

CONFIG, WEIGHTS = ADAPTER_FILES

_PART = re.compile(r"(?P<module>.+)\.lora_(?P<side>[AB])(\.default)?\.weight")
_MOVED_BASE = ("pissa", "olora", "corda", "loftq", "lora_ga", "milora")
"""Ways to begin that take the adapter's first values out of the base weights: adding them to the original is wrong."""


@dataclass(frozen=True, slots=True)
class Update:
    """What to add to the weights of a module: `scale` · (`up` · `down`), outputs × inputs."""

    module: str
    down: Any
    """r × inputs."""
    up: Any
    """Outputs × r."""
    scale: float


class Adapter:
    """Raises Refused for files that are none."""

    def __init__(self, folder: Path) -> None:
        self._config = _read_config(folder)
        self._file = _open(folder)
        names = list(self._file.keys())
        parts = {name: _PART.fullmatch(name) for name in names}
        if others := [name for name, part in parts.items() if part is None]:
            raise _refused(f"`{WEIGHTS}` has {_listed(others)}, which are not `lora_A` or `lora_B` of a linear module.")
        self._names: dict[str, dict[str, str]] = {}
        for name, part in parts.items():
            if part:
                self._names.setdefault(part["module"], {})[part["side"]] = name
        if half := [module for module, sides in self._names.items() if len(sides) < 2]:
            raise _refused(f"`{WEIGHTS}` has only one of `lora_A` and `lora_B` for {_listed(half)}.")
        if not self._names:
            raise _refused(f"`{WEIGHTS}` has no tensors.")

    def __enter__(self) -> Adapter:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.__exit__(None, None, None)

    @property
    def modules(self) -> list[str]:
        """Sorted, as PEFT spells them: `base_model.model.model.layers.0.self_attn.q_proj`."""
        return sorted(self._names)

    def shape(self, module: str) -> tuple[int, int]:
        """Outputs and inputs of a module."""
        down, up = (self._file.get_slice(self._names[module][side]).get_shape() for side in "AB")
        if len(down) != 2 or len(up) != 2 or up[1] != down[0]:
            raise _refused(f"`lora_A` and `lora_B` of `{module}` are {down} and {up}, which do not multiply.")
        return up[0], down[1]

    def update(self, module: str) -> Update:
        down, up = (self._tensor(self._names[module][side]) for side in "AB")
        return Update(module, down, up, self._scale(module, len(down)))

    def _tensor(self, name: str) -> Any:
        array = self._file.get_tensor(name).astype(np.float64)
        if not np.isfinite(array).all():
            raise _refused(f"`{name}` of `{WEIGHTS}` has values that are infinite or not a number.")
        return array

    def _scale(self, module: str, rank: int) -> float:
        said = _patterned(self._config, "rank_pattern", module, self._config["r"])
        if said != rank:
            raise _refused(f"`{module}` has rank {rank} in `{WEIGHTS}`, and {said:g} in `{CONFIG}`.")
        alpha = _patterned(self._config, "alpha_pattern", module, self._config["lora_alpha"])
        return alpha / (math.sqrt(rank) if self._config.get("use_rslora") else rank)


def _refused(message: str) -> Refused:
    """Of a file in the adapter's folder."""
    return Refused(message, parameter="adapter")


def _read_config(folder: Path) -> Mapping[str, Any]:
    try:
        config = json.loads((folder / CONFIG).read_bytes())
    except FileNotFoundError:
        raise _refused(f"The adapter's folder has no `{CONFIG}`.") from None
    except (ValueError, RecursionError):
        raise _refused(f"`{CONFIG}` is not JSON.") from None
    if not isinstance(config, dict) or config.get("peft_type") != "LORA":
        raise _refused(f"`{CONFIG}` is not that of a LoRA: `peft_type` is not `LORA`.")
    for key in ("r", "lora_alpha"):
        if not _is_positive(config.get(key)):
            raise _refused(f"`{key}` of `{CONFIG}` is not a positive number.")
    for key in ("rank_pattern", "alpha_pattern"):
        pattern = config.get(key) or {}
        if not isinstance(pattern, dict) or not all(map(_is_positive, pattern.values())):
            raise _refused(f"`{key}` of `{CONFIG}` is not a mapping of names to positive numbers.")
    if config.get("use_dora"):
        raise _refused(f"`{CONFIG}` has `use_dora`, whose directions and magnitudes are not plain sums.")
    first = config.get("init_lora_weights")
    if isinstance(first, str) and first.lower().startswith(_MOVED_BASE):
        raise _refused(f"`init_lora_weights: {first}` of `{CONFIG}` changed the base weights too, which are not here.")
    return config


def _is_positive(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < math.inf


def _open(folder: Path) -> Any:
    from safetensors import SafetensorError, safe_open

    try:
        return safe_open(str(folder / WEIGHTS), framework="np").__enter__()  # type: ignore[no-untyped-call]
    except FileNotFoundError:
        raise _refused(f"The adapter's folder has no `{WEIGHTS}`; files of other formats are not read.") from None
    except (SafetensorError, OSError) as error:
        raise _refused(f"`{WEIGHTS}` cannot be read: {error}.") from None


def _patterned(config: Mapping[str, Any], key: str, module: str, otherwise: float) -> float:
    """The number of the first pattern that is the module's name or, from a dot on, its end. As PEFT matches them."""
    for pattern, value in (config.get(key) or {}).items():
        try:
            if re.fullmatch(rf"(.*\.)?({pattern})", module):
                return float(value)
        except re.error:
            raise _refused(f"`{pattern}` in `{key}` of `{CONFIG}` is no regular expression.") from None
    return float(otherwise)


def _listed(names: list[str]) -> str:
    shown = ", ".join(f"`{name}`" for name in sorted(names)[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} others"
