"""Quantities as people write them (`450MiB`, `95%`, `24h`) and as they read them back."""

from __future__ import annotations

import re
from functools import lru_cache

_BYTES = {
    "B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40,
}  # fmt: skip
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_QUANTITY = re.compile(r"^\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z%]*)\s*$")


def parse_bytes(text: str) -> int:
    """`450MiB` → 471859200. Raises ValueError with the units that are known."""
    found = _QUANTITY.match(text)
    if not found or found[2] not in _BYTES:
        raise ValueError(f"a size is a number with one of the units {', '.join(_BYTES)}, such as 450MiB")
    return round(float(found[1]) * _BYTES[found[2]])


def parse_version(text: str) -> tuple[int, int]:
    """`5.4` as a pair of numbers, which compare as versions do."""
    major, minor = text.split(".")
    return int(major), int(minor)


def parse_duration(text: str) -> float:
    """`500ms` → 0.5 seconds, `24h` → 86400. Raises ValueError with the units that are known."""
    found = _QUANTITY.match(text)
    if not found or found[2] not in _SECONDS:
        raise ValueError(f"a time is a number with one of the units {', '.join(_SECONDS)}, such as 500ms")
    return round(float(found[1]) * _SECONDS[found[2]], 6)


def parse_ratio(text: str) -> float:
    """`95%` → 0.95 and `0.95` → 0.95. Raises ValueError otherwise."""
    found = _QUANTITY.match(text)
    if not found or found[2] not in ("%", ""):
        raise ValueError("a share is a percentage such as 95% or a number such as 0.95")
    return float(found[1]) / (100 if found[2] == "%" else 1)


def show_bytes(count: int) -> str:
    """471859200 → `450.0 MiB`."""
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(size) < 1024:
            return f"{count} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


@lru_cache
def exact_bytes(count: int) -> str:
    """4294967296 → `4GiB`, 8000000000 → `8GB`, 1001 → `1001B`: in the largest unit that leaves nothing out."""
    unit = max((unit for unit, size in _BYTES.items() if count % size == 0), key=_BYTES.__getitem__) if count else "B"
    return f"{count // _BYTES[unit]}{unit}"


def show_ratio(ratio: float) -> str:
    """0.9531 → `95.3%`."""
    return f"{100 * ratio:.1f}%"
