"""What is worth another try, and how long to wait for it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from compiler.base.codes import Code
from compiler.publish.failed import Failed

PIECE = 2**20
"""Bytes of a blob that are in memory at a time."""
_LONGEST_PAUSE = 60.0
_FIRST_PAUSE = 0.5


class Broken(Exception):
    """A request may succeed when it is tried again: the connection broke, or the registry says so.

    `pause`: seconds that the registry asks for; None when it does not say.
    """

    def __init__(self, why: str, pause: float | None = None) -> None:
        super().__init__(why)
        self.pause = pause


@dataclass(slots=True)
class Patience:
    """Counts failures in a row. `sleep` is for tests."""

    retries: int = 5
    sleep: Callable[[float], None] = time.sleep
    _failures: int = 0

    def progress(self) -> None:
        self._failures = 0

    def wait(self, broken: Broken) -> None:
        """Pause, longer each time. Raises Failed when it has been tried often enough."""
        if self._failures >= self.retries:
            raise Failed(
                Code.REGISTRY_UNREACHABLE,
                f"{broken}.",
                "What was finished is kept: run it again. `--retries` says how often slmc does so by itself.",
            )
        pause = _FIRST_PAUSE * 2**self._failures if broken.pause is None else broken.pause
        self._failures += 1
        self.sleep(min(pause, _LONGEST_PAUSE))
