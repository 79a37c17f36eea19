"""How far running work is: on a terminal a last line that changes, elsewhere a line for each thing that begins."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import TextIO

_PAUSE = 0.1
"""Seconds between two drawings."""

_EARLY = 1.0
"""Seconds before which the time left is not estimated."""


@dataclass(slots=True)
class Meter:
    """`note` prints a line for good; `terminal` is None where lines cannot change. Threads may share one."""

    note: Callable[[str], None]
    terminal: TextIO | None
    clock: Callable[[], float] = time.monotonic
    _begun: dict[str, float] = field(default_factory=dict)
    _shares: dict[str, float] = field(default_factory=dict)
    _drawn: float | None = None
    """When; None while the line is empty."""
    _lock: Lock = field(default_factory=Lock)

    def begin(self, line: str) -> None:
        """Something begins that takes time."""
        with self._lock:
            self._wipe()
            self.note(line)
            self._begun[line] = self.clock()

    def advance(self, line: str, share: float) -> None:
        """A share of it is done; with 1 it has ended."""
        with self._lock:
            if share >= 1:
                self._shares.pop(line, None)
                self._wipe()
                return
            self._begun.setdefault(line, self.clock())
            self._shares[line] = share
            if self._drawn is None or self.clock() - self._drawn >= _PAUSE:
                self._draw()

    def close(self) -> None:
        """Leave the terminal with whole lines only."""
        with self._lock:
            self._shares.clear()
            self._wipe()

    def _draw(self) -> None:
        if self.terminal is None:
            return
        now = self.clock()
        width = shutil.get_terminal_size().columns - 1
        told = "; ".join(_far(line, share, now - self._begun[line]) for line, share in sorted(self._shares.items()))
        self.terminal.write(f"\r\x1b[K{told[:width]}")
        self.terminal.flush()
        self._drawn = now

    def _wipe(self) -> None:
        if self.terminal is not None and self._drawn is not None:
            self.terminal.write("\r\x1b[K")
            self.terminal.flush()
        self._drawn = None


def _far(line: str, share: float, elapsed: float) -> str:
    """`small: quantize int4 (2/2) 40 %, about 3 min left`."""
    left = f", about {_duration(elapsed * (1 - share) / share)} left" if share > 0 and elapsed >= _EARLY else ""
    return f"{line} {int(100 * share)} %{left}"


def _duration(seconds: float) -> str:
    whole = max(1, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{round(whole / 60)} min"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
