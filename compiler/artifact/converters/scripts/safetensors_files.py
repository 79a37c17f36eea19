"""Weights of a folder as Hugging Face lays it out, one tensor at a time, without PyTorch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .exchange import Refused

_KINDS = {"F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": np.uint16}


@dataclass(frozen=True, slots=True)
class Tensor:
    name: str
    shape: tuple[int, ...]
    _file: Path
    _kind: str
    _start: int

    def read(self) -> Any:
        """The values as float32."""
        kind = np.dtype(_KINDS[self._kind])
        flat = np.fromfile(self._file, kind, int(np.prod(self.shape, dtype=np.int64)), offset=self._start)
        if self._kind == "BF16":  # the upper half of a float32
            flat = (flat.astype(np.uint32) << 16).view(np.float32)
        return flat.astype(np.float32, copy=False).reshape(self.shape)


def tensors(folder: Path) -> Iterator[Tensor]:
    """Every tensor of every `.safetensors` file, by file and name. Raises Refused for a type that is no float."""
    for file in sorted(folder.glob("*.safetensors")):
        with file.open("rb") as opened:
            size = int.from_bytes(opened.read(8), "little")
            header = json.loads(opened.read(size))
        for name, facts in sorted(header.items()):
            if name == "__metadata__":
                continue
            if facts["dtype"] not in _KINDS:
                raise Refused(f"tensor `{name}` is of type {facts['dtype']}: the model is quantized already.")
            yield Tensor(name, tuple(facts["shape"]), file, facts["dtype"], 8 + size + facts["data_offsets"][0])
