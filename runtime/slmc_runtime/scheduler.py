"""Orders for the model, first come, first served: one at a time, a bounded number waiting."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from slmc_runtime.errors import ApiError

GONE, LATE = {"gone": True}, {"late": True}
"""Events that the server adds to what the model says: the client has gone, the time is over."""
_LAST = frozenset(("done", "error", "failed", "cancelled"))


class Job:
    """An order on its way. `events` are the model's messages about it, and GONE or LATE."""

    def __init__(self, number: int, order: Mapping[str, Any]) -> None:
        self.order = {"id": number, **order}
        self.events: asyncio.Queue[Mapping[str, Any]] = asyncio.Queue()
        self.begun = False
        self.over = False


class Scheduler:
    """`send` gives a message to the model's process. Runs in the event loop alone, so nothing here is locked."""

    def __init__(self, queue: int, send: Callable[[Mapping[str, Any]], None]) -> None:
        self._queue, self._send = queue, send
        self._numbers = itertools.count(1)
        self._waiting: deque[Job] = deque()
        self._current: Job | None = None
        self._heard = time.monotonic()
        self.refusal: str | None = "The model is loading."
        """Why no order is taken, None when orders are."""

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def running(self) -> int:
        return int(self._current is not None)

    def silent(self) -> float:
        """Seconds since the model, at work, said something; 0 while it has nothing to do."""
        return time.monotonic() - self._heard if self._current else 0.0

    def submit(self, order: Mapping[str, Any]) -> Job:
        """Raises ApiError when the order cannot be taken."""
        if self.refusal is not None:
            raise ApiError(503, self.refusal, "not_ready", retry_after=1)
        if self._current and len(self._waiting) >= self._queue:
            raise ApiError(429, "As many requests wait as may. Try again later.", "queue_full", retry_after=1)
        job = Job(next(self._numbers), order)
        self._waiting.append(job)
        self._next()
        return job

    def abandon(self, job: Job) -> None:
        """Nobody waits for it any more. One that runs keeps its place until the model has stopped."""
        if job.over:
            return
        if job is self._current:
            self._send({"cancel": job.order["id"]})
        elif job in self._waiting:
            self._waiting.remove(job)
        job.over = True

    def heard(self, message: Mapping[str, Any]) -> None:
        """Take a message of the model's process."""
        self._heard = time.monotonic()
        job = self._current
        if job is None or message.get("id") != job.order["id"]:
            return
        if _LAST & message.keys():
            self._current = None
            job.over = True
            self._next()
        job.events.put_nowait(message)

    def fail(self, refusal: str) -> None:
        """The model's process has ended: so has every order."""
        self.refusal = refusal
        jobs = [*([self._current] if self._current else []), *self._waiting]
        self._current = None
        self._waiting.clear()
        for job in jobs:
            job.over = True
            job.events.put_nowait({"failed": "the model's process ended"})

    def _next(self) -> None:
        if self._current is None and self._waiting:
            self._current = self._waiting.popleft()
            self._current.begun = True
            self._heard = time.monotonic()
            self._send(self._current.order)
