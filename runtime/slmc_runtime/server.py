"""The server's process: the port, the model's process beside it, systemd, and a graceful end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import signal
import socket
import sys
from collections.abc import Generator, Mapping
from typing import Any

import uvicorn

from slmc_runtime.app import application
from slmc_runtime.body import Room
from slmc_runtime.bundle import Bundle
from slmc_runtime.channel import encoded
from slmc_runtime.connection import waiting
from slmc_runtime.health import Health
from slmc_runtime.inference import Server
from slmc_runtime.log import say
from slmc_runtime.metrics import Metrics
from slmc_runtime.notify import READY, STOPPING, WATCHDOG, awaited, notify, watchdog_seconds
from slmc_runtime.refused import DIFFERS, MODEL, Refused
from slmc_runtime.scheduler import Scheduler

_CONNECTIONS = 512
"""At once: far more than requests may wait, and few enough for the memory of a small device."""
_HEAD = 10.0
"""Seconds in which the head of a request has to come, unless the run has less time for all of it."""
_LINE = 64 * 2**20
"""Bytes of a message of the model's process: 2048 vectors of 4096 numbers in base64."""
_TOO_LATE = "The server is stopping."


class _Uvicorn(uvicorn.Server):
    """Signals are ours: the process ends with 0 after a graceful stop."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


class Serving:
    """`end` is the socket to the model's process, `model` that process' id."""

    def __init__(self, bundle: Bundle, end: socket.socket, model: int) -> None:
        self._bundle, self._end, self._model = bundle, end, model
        self._writer: asyncio.StreamWriter | None = None
        self._ended: Refused | None = None
        self._stopping = False
        self._scheduler = Scheduler(bundle.run.limits.queue, self._send)
        self._health = Health(bundle, self._scheduler)
        queue = (lambda: float(self._scheduler.waiting), lambda: float(self._scheduler.running))
        metrics = Metrics(bundle.id, bundle.run, {"server": os.getpid(), "model": model}, queue)
        limits = bundle.run.limits
        # Those that wait, the one that runs, and one more.
        room = Room((limits.queue + 2) * limits.request_bytes)
        app = application(Server(bundle.run, self._scheduler, metrics, room), self._health)
        self._uvicorn = _Uvicorn(
            uvicorn.Config(
                app,
                loop="asyncio",
                http=waiting(min(bundle.run.limits.timeout, _HEAD)),
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="critical",
                access_log=False,
                proxy_headers=False,
                server_header=False,
                limit_concurrency=_CONNECTIONS,
                timeout_graceful_shutdown=math.ceil(limits.timeout) + 5,
            )
        )

    async def run(self, port: socket.socket) -> None:
        """Until a signal comes. Raises Refused when the model's process ends first."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        reader, self._writer = await asyncio.open_connection(sock=self._end, limit=_LINE)
        tasks = [loop.create_task(self._listen(reader)), loop.create_task(self._watchdog())]
        await self._uvicorn.serve(sockets=[port])
        for task in tasks:
            task.cancel()
        self._writer.close()
        if self._ended:
            raise self._ended

    def _stop(self) -> None:
        """Finish what was taken, take no more; a second signal ends it at once."""
        if self._stopping:
            self._uvicorn.force_exit = True
        self._stopping = True
        self._scheduler.refusal = _TOO_LATE
        self._health.unready = "the server is stopping"
        notify(STOPPING)
        self._uvicorn.should_exit = True

    def _send(self, message: Mapping[str, Any]) -> None:
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(encoded(dict(message)))

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        """Take the messages of the model's process until it ends."""
        with contextlib.suppress(OSError, ValueError):
            while line := await reader.readline():
                message = json.loads(line)
                if "id" in message:
                    self._scheduler.heard(message)
                elif "loaded" in message:
                    self._loaded(message["loaded"])
                elif "refused" in message:
                    self._ended = Refused(message["refused"]["code"], message["refused"]["message"])
        if self._ended is None:
            self._ended = Refused(MODEL, "the model's process ended by itself")
        self._scheduler.fail("The model's process ended.")
        self._health.unready = "the model's process ended"
        self._uvicorn.should_exit = True

    def _loaded(self, found: Mapping[str, Any]) -> None:
        if self._stopping:
            return
        self._health.answers = found["answers"]["passed"]
        self._health.unready = found["reason"]
        if found["reason"] is not None:
            self._scheduler.refusal = "The model does not give its golden answers."
            say(f"not ready: {found['reason']}")
            notify(f"STATUS={found['reason']}")
            if awaited():
                # So that the release before comes back now, not when the time for a start is over.
                self._ended = Refused(DIFFERS, found["reason"])
                self._uvicorn.should_exit = True
            return
        self._scheduler.refusal = None
        run = self._bundle.run
        say(f"ready: {run.model} on {run.host}:{run.port}, bundle {self._bundle.id[:12]}")
        notify(READY, f"STATUS=serving {run.model}")

    async def _watchdog(self) -> None:
        """Tell systemd that all is well for as long as the model gets on with its work."""
        if (seconds := watchdog_seconds()) is None:
            return
        while True:
            if not self._health.stuck:
                notify(WATCHDOG, wait=0)
            await asyncio.sleep(seconds / 3)


def serve(bundle: Bundle, port: socket.socket, end: socket.socket, model: int) -> None:
    """Raises Refused."""
    serving = Serving(bundle, end, model)
    sys.stderr.flush()
    asyncio.run(serving.run(port))
