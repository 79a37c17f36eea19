"""Memory of processes, as the kernel counts it."""

from __future__ import annotations

from pathlib import Path


def resident(process: int | str = "self") -> int:
    """Bytes that it holds now; 0 when it has ended."""
    return _field(process, "VmRSS:")


def peak(process: int | str = "self") -> int:
    """The most bytes that it held."""
    return _field(process, "VmHWM:")


def _field(process: int | str, name: str) -> int:
    try:
        text = Path(f"/proc/{process}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith(name)), 0)
