"""A request to the model, from its body to the last byte of its answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.responses import JSONResponse
from starlette.types import Message, Receive, Scope, Send

from slmc_runtime import answers
from slmc_runtime.answers import Text, event
from slmc_runtime.body import Disconnected, Room, read_object
from slmc_runtime.config import Run
from slmc_runtime.errors import ApiError, from_plain
from slmc_runtime.log import say
from slmc_runtime.metrics import Metrics
from slmc_runtime.parameters import Asked
from slmc_runtime.scheduler import GONE, LATE, Job, Scheduler

Parse = Callable[[Mapping[str, Any], Run], Asked]
_OUTCOMES = {408: "timeout", 504: "timeout", 429: "refused", 503: "refused"}


@dataclass(frozen=True, slots=True)
class Server:
    """What all endpoints share."""

    run: Run
    scheduler: Scheduler
    metrics: Metrics
    room: Room


class Endpoint:
    """An ASGI application. `text` begins a generated text; `listed` makes the answer of what is not one."""

    def __init__(
        self,
        server: Server,
        parse: Parse,
        text: Callable[[str], Text] | None = None,
        listed: Callable[[str, Asked, Mapping[str, Any]], dict[str, Any]] = answers.embeddings,
    ) -> None:
        self._server, self._parse, self._text, self._listed = server, parse, text, listed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun, outcome, sent = time.monotonic(), "failed", _Sent(send)
        try:
            await self._serve(scope, receive, sent, begun)
            outcome = "ok"
        except ApiError as error:
            outcome = _outcome(error)
            await sent.fail(scope, receive, error)
        except (Disconnected, OSError):
            outcome = "disconnected"
        except TimeoutError:
            # The client does not read; the connection ends with the answer unfinished.
            outcome = "timeout"
        except Exception as error:
            say(f"a request failed: {type(error).__name__}")
            await sent.fail(scope, receive, ApiError(500, "The server failed.", "internal_error"))
        finally:
            self._server.metrics.finished(outcome, time.monotonic() - begun)

    async def _serve(self, scope: Scope, receive: Receive, send: _Sent, begun: float) -> None:
        run = self._server.run
        body = await read_object(scope, receive, run.limits, self._server.room)
        asked = self._parse(body, run)
        job = self._server.scheduler.submit(asked.order)
        loop = asyncio.get_running_loop()
        left = run.limits.timeout - (time.monotonic() - begun)
        late = loop.call_later(max(left, 0), job.events.put_nowait, LATE)
        gone = loop.create_task(_gone(receive, job))
        try:
            # More than the time itself: that it is over comes as an event, and can be said.
            async with asyncio.timeout(max(left, 0) + 1):
                await self._answer(scope, receive, send, asked, _Heard(job, self._server.metrics, begun))
        finally:
            late.cancel()
            gone.cancel()
            self._server.scheduler.abandon(job)

    async def _answer(self, scope: Scope, receive: Receive, send: _Sent, asked: Asked, heard: _Heard) -> None:
        model = self._server.run.model
        if self._text is None:
            while (found := await heard.next()) is not None:
                pass
            await JSONResponse(self._listed(model, asked, heard.done))(scope, receive, send)
            return
        text = self._text(model)
        if asked.stream:
            await self._stream(send, asked, heard, text)
            return
        pieces = []
        while (found := await heard.next()) is not None:
            pieces.append(found)
        await JSONResponse(text.whole("".join(pieces), heard.done))(scope, receive, send)

    async def _stream(self, send: _Sent, asked: Asked, heard: _Heard, text: Text) -> None:
        """Nothing is sent before the model's first word, so that an error still has a status of its own."""
        piece = await heard.next()
        await send.begin_events()
        await send.event(event(text.chunk(piece, first=True)))
        while piece is not None:
            piece = await heard.next()
            if piece:
                await send.event(event(text.chunk(piece)))
        end = event(text.chunk(None, heard.done["finish"]))
        if asked.usage:
            end += event(text.count(heard.done))
        await send.event(end + event("[DONE]"), last=True)


class _Heard:
    """The model's messages about one job, and their times."""

    def __init__(self, job: Job, metrics: Metrics, begun: float) -> None:
        self._job, self._metrics, self._begun = job, metrics, begun
        self._first: float | None = None
        self.done: Mapping[str, Any] = {}

    async def next(self) -> str | None:
        """The next piece of text, None at the end. Raises ApiError or Disconnected."""
        message = await self._job.events.get()
        now = time.monotonic()
        if "text" in message:
            if self._first is None:
                self._first = now
                self._metrics.first_token(now - self._begun)
            return str(message["text"])
        if "done" in message:
            self.done = message["done"]
            self._count(now)
            return None
        raise self._fault(message)

    def _count(self, now: float) -> None:
        tokens = self.done.get("completionTokens", 0)
        self._metrics.tokens(self.done["promptTokens"], tokens)
        if self._first is not None and tokens > 1:
            self._metrics.per_token((now - self._first) / (tokens - 1))

    def _fault(self, message: Mapping[str, Any]) -> Exception:
        if message is GONE:
            return Disconnected()
        if message is LATE and self._job.begun:
            return ApiError(504, "The answer was not there in time.", "timeout")
        if message is LATE:
            return ApiError(503, "The request waited for as long as it may.", "timeout", retry_after=1)
        if "error" in message:
            return from_plain(message["error"])
        say(f"a request failed: {message.get('failed', 'cancelled')}")
        return ApiError(500, "The model failed.", "internal_error")


class _Sent:
    """The way to the client, which knows whether an answer has begun."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._begun = self._events = False

    async def __call__(self, message: Message) -> None:
        self._begun = True
        await self._send(message)

    async def begin_events(self) -> None:
        self._events = True
        headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-store")]
        await self({"type": "http.response.start", "status": 200, "headers": headers})

    async def event(self, data: bytes, *, last: bool = False) -> None:
        await self({"type": "http.response.body", "body": data, "more_body": not last})

    async def fail(self, scope: Scope, receive: Receive, error: ApiError) -> None:
        """With a status, or as the last event of a stream."""
        if self._events:
            await self.event(event(error.body), last=True)
        elif not self._begun:
            await error_response(error)(scope, receive, self)


def error_response(error: ApiError) -> JSONResponse:
    headers = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
    return JSONResponse(error.body, error.status, headers)


def _outcome(error: ApiError) -> str:
    if error.code == "timeout":
        return "timeout"
    return _OUTCOMES.get(error.status, "invalid" if error.status < 500 else "failed")


async def _gone(receive: Receive, job: Job) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    job.events.put_nowait(GONE)
