"""Connections that do not wait for a request for ever."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol


class _Connection(H11Protocol):
    """uvicorn closes a connection that idles after an answer, but not one on which a head comes slowly or not at all:
    a few hundred of those would keep everyone out, the probes too."""

    seconds: float
    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._begin()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is None or self.cycle.response_complete:
            # What keeps coming does not put the end off.
            self._begin()
        else:
            self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()
        super().connection_lost(exc)

    def _begin(self) -> None:
        if self._late is None:
            self._late = self.loop.call_later(self.seconds, self.timeout_keep_alive_handler)

    def _end(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None


def waiting(seconds: float) -> type[asyncio.Protocol]:
    """The protocol for uvicorn: the head of each request has to come within so many seconds."""
    made: dict[str, Any] = {"seconds": seconds}
    return type("Connection", (_Connection,), made)
