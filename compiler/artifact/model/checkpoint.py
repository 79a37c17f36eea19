"""A folder as Hugging Face lays it out: `config.json`, weights as safetensors in one file or in shards.

The format (safetensors, "Format"): eight bytes with the header's length, little-endian; a JSON header with dtype, shape
and place of each tensor; the tensors. Headers are read at once, tensors when they are asked for and in pieces. The
library of that name would not do: without PyTorch it has no bfloat16.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from compiler.artifact.configuration import Unusable, is_pointer, read_json, stays_inside

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
SHARDS = "model.safetensors.index.json"

ITEM_BYTES = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3"), 1),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 2),
    **dict.fromkeys(("U32", "I32", "F32"), 4),
    **dict.fromkeys(("U64", "I64", "F64"), 8),
}
_LONGEST_HEADER = 100_000_000
"""Bytes; the library's own limit."""

_PIECE_BYTES = 4 * 2**20


def is_checkpoint(folder: Path) -> bool:
    return any((folder / name).exists() for name in (WEIGHTS, SHARDS))


@dataclass(frozen=True, slots=True)
class Stored:
    """A tensor of a safetensors file: `start` counts from the file's beginning."""

    file: Path
    dtype: str
    shape: tuple[int, ...]
    start: int

    @property
    def elements(self) -> int:
        return math.prod(self.shape)


class Checkpoint:
    """Configuration and weights of a folder. Reading either raises Unusable."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def config(self) -> Mapping[str, Any]:
        return read_json(self.folder / CONFIG)

    def number(self, key: str, otherwise: int | None = None) -> int:
        """A size that the configuration gives: a whole number from 1 on."""
        value = self.config.get(key, otherwise)
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value < 2**31:
            raise Unusable("UNSUPPORTED_MODEL", f"`{CONFIG}` has no usable `{key}`.")
        return value

    @cached_property
    def tensors(self) -> Mapping[str, Stored]:
        """Every tensor by name; where each file ends is compared with what its header says."""
        if not (self.folder / SHARDS).exists():
            return _header(self.folder / WEIGHTS)
        placed = read_json(self.folder / SHARDS).get("weight_map")
        if not isinstance(placed, dict) or not all(isinstance(n, str) and stays_inside(n) for n in placed.values()):
            raise Unusable("UNSUPPORTED_MODEL", f"`{SHARDS}` has no `weight_map` with files of the folder.")
        found: dict[str, Stored] = {}
        for name in sorted(set(placed.values())):
            found |= _header(self.folder / name)
        return found

    @property
    def files(self) -> list[str]:
        """The names of the files that hold the weights."""
        return sorted({stored.file.relative_to(self.folder).as_posix() for stored in self.tensors.values()})

    def rows(self, name: str) -> Iterator[Any]:
        """The tensor as float32, some rows at a time. Raises Unusable for values that are no finite numbers."""
        import numpy as np

        stored = self.tensors[name]
        row = math.prod(stored.shape[1:]) * ITEM_BYTES[stored.dtype]
        rows = stored.shape[0] if stored.shape else 1
        step = max(1, _PIECE_BYTES // max(1, row))
        with stored.file.open("rb") as file:
            for start in range(0, rows, step):
                count = min(step, rows - start)
                data = os.pread(file.fileno(), count * row, stored.start + start * row)
                piece = _floats(data, stored.dtype).reshape(count, *stored.shape[1:])
                if not np.isfinite(piece).all():
                    message = f"Tensor `{name}` has values that are no finite numbers."
                    raise Unusable("UNSUPPORTED_MODEL", message)
                yield piece

    def array(self, name: str) -> Any:
        """The whole tensor as float32. Raises Unusable."""
        import numpy as np

        return np.concatenate(list(self.rows(name))).reshape(self.tensors[name].shape)


FLOATS = ("F32", "F16", "BF16")
"""The dtypes that `rows` gives."""


def _floats(data: bytes, dtype: str) -> Any:
    import numpy as np

    if dtype == "BF16":  # the upper half of a float32
        return (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32)
    return np.frombuffer(data, "<f2" if dtype == "F16" else "<f4").astype(np.float32, copy=False)


def _header(path: Path) -> dict[str, Stored]:
    """What a safetensors file says that it holds. Raises Unusable, also when it ends too early."""
    if not path.is_file():
        raise Unusable("EXTERNAL_DATA", f"`{path.name}` does not exist in the model's folder.")
    if is_pointer(path):
        message = f"`{path.name}` is a pointer of Git LFS, not the model: `git lfs pull` gets that."
        raise Unusable("EXTERNAL_DATA", message)
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        try:
            if not 2 <= length <= min(_LONGEST_HEADER, size - 8):
                raise ValueError
            entries = json.loads(file.read(length))
            entries.pop("__metadata__", None)
            found = {name: _stored(path, 8 + length, entry) for name, entry in entries.items()}
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise Unusable("EXTERNAL_DATA", f"`{path.name}` is no safetensors file, or only a part of one.") from None
    for name, stored in found.items():
        end = stored.start + stored.elements * ITEM_BYTES[stored.dtype]
        if end > size:
            raise Unusable("EXTERNAL_DATA", f"`{path.name}` has {size} bytes; tensor `{name}` ends at {end}.")
    return found


def _stored(path: Path, base: int, entry: Any) -> Stored:
    """Raises ValueError, KeyError or TypeError when the entry is not well-formed."""
    shape, (start, end) = tuple(entry["shape"]), entry["data_offsets"]
    if not all(isinstance(number, int) and number >= 0 for number in (*shape, start, end)):
        raise ValueError
    if end - start != math.prod(shape) * ITEM_BYTES[entry["dtype"]]:
        raise ValueError
    return Stored(path, entry["dtype"], shape, base + start)
