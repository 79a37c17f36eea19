"""Clients of a text generator, some of which behave badly, for a while; and what came of it."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import openai

TOKENS = 64
PROMPTS = ("def main(argv):", "class Parser:\n", "The function returns", "import os\n", "Raises ValueError")
_MALFORMED: tuple[tuple[bytes, int], ...] = (
    (b"{", 400),
    (b'{"model": "pydoc", "prompt": 3}', 400),
    (b'{"model": "other", "prompt": "x"}', 404),
    (json.dumps({"model": "pydoc", "prompt": "x " * 20000}).encode(), 400),
    (b"\xff" * 100, 400),
)


@dataclass(slots=True)
class Found:
    """`errors` are those of the server's own making: an answer that is not what it has to be."""

    counts: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)
    memory: list[tuple[float, int]] = field(default_factory=list)
    """Seconds since the beginning, and bytes that both processes hold."""
    cpu: tuple[float, float] = (0.0, 0.0)
    """CPU seconds of the server's and of the model's process."""


@dataclass(frozen=True, slots=True)
class Load:
    """`streams` clients ask again and again; `limit` is the most bytes of a request."""

    port: int
    processes: tuple[int, int]
    streams: int
    limit: int
    seconds: float


async def drive(load: Load) -> Found:
    """The streams read what they asked for; meanwhile others go away in the middle, send too much or nonsense."""
    found, texts = Found(), dict[str, str]()
    begun = time.monotonic()
    before = cpu_seconds(load.processes)
    on = _Clock(begun, begun + load.seconds)
    async with _client(load.port) as client:
        workers = [_stream(on, found, client, texts, number) for number in range(load.streams)]
        workers += [_vanish(on, load, found, stream) for stream in (True, False)]
        workers += [_malformed(on, load, found), _oversized(on, load, found), _watch(on, load, found)]
        await asyncio.gather(*(_kept(worker, found) for worker in workers))
    # Connections that were aborted are closed when the loop comes to it.
    await asyncio.sleep(0)
    after = cpu_seconds(load.processes)
    found.cpu = (after[0] - before[0], after[1] - before[1])
    return found


@dataclass(frozen=True, slots=True)
class _Clock:
    begun: float
    end: float

    def __bool__(self) -> bool:
        """Whether there is time left: nobody stops in the middle of a request that is to be answered."""
        return time.monotonic() < self.end


async def _kept(work: Awaitable[None], found: Found) -> None:
    try:
        await work
    except Exception as error:
        found.errors.append(f"{type(error).__name__}: {error}")


@asynccontextmanager
async def _client(port: int) -> AsyncIterator[openai.AsyncOpenAI]:
    client = openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none", max_retries=0)
    try:
        yield client
    finally:
        await client.close()


async def _stream(on: _Clock, found: Found, client: openai.AsyncOpenAI, texts: dict[str, str], number: int) -> None:
    turn = number
    while on:
        prompt = PROMPTS[turn % len(PROMPTS)]
        turn += 1
        try:
            stream = await client.completions.create(model="pydoc", prompt=prompt, max_tokens=TOKENS, stream=True)
            pieces = [chunk.choices[0].text async for chunk in stream]
        except openai.RateLimitError:
            found.counts["refused"] += 1
            await asyncio.sleep(0.05)
            continue
        except openai.OpenAIError as error:
            found.errors.append(f"stream: {error}")
            await asyncio.sleep(0.05)
            continue
        text = "".join(pieces)
        if texts.setdefault(prompt, text) != text:
            found.errors.append(f"another answer: {text!r}")
        found.counts["answered"] += 1


async def _vanish(on: _Clock, load: Load, found: Found, stream: bool) -> None:
    """Ask, read a little or nothing, and go."""
    body = json.dumps({"model": "pydoc", "prompt": PROMPTS[0], "max_tokens": TOKENS, "stream": stream}).encode()
    while on:
        reader, writer = await asyncio.open_connection("127.0.0.1", load.port)
        writer.write(_head(len(body)) + body)
        await writer.drain()
        if stream:
            await reader.read(100)
        else:
            await asyncio.sleep(0.02)
        writer.transport.abort()
        found.counts["vanished"] += 1
        await asyncio.sleep(0.1)


async def _malformed(on: _Clock, load: Load, found: Found) -> None:
    while on:
        for body, status in _MALFORMED:
            await _expect(load, found, _head(len(body)) + body, ("malformed", status))
            await asyncio.sleep(0.05)


async def _oversized(on: _Clock, load: Load, found: Found) -> None:
    while on:
        await _expect(load, found, _head(load.limit + 1) + b"x" * 1000, ("oversized", 413))
        await asyncio.sleep(0.2)


async def _expect(load: Load, found: Found, request: bytes, expected: tuple[str, int]) -> None:
    """A request that waits for a place may be refused."""
    kind, status = expected
    reader, writer = await asyncio.open_connection("127.0.0.1", load.port)
    try:
        writer.write(request)
        line = (await reader.readline()).decode()
    finally:
        writer.transport.abort()
    if line.split()[1:2] not in ([str(status)], ["429"]):
        found.errors.append(f"{kind}: {line!r} and not {status}")
    found.counts[kind] += 1


async def _watch(on: _Clock, load: Load, found: Found) -> None:
    while on:
        found.memory.append((time.monotonic() - on.begun, sum(map(resident, load.processes))))
        await asyncio.sleep(0.5)


def _head(length: int) -> bytes:
    return f"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode()


def resident(process: int) -> int:
    """Bytes that a process holds."""
    return _status(process, "VmRSS:") * 1024


def cpu_seconds(processes: tuple[int, int]) -> tuple[float, float]:
    """User and system time until now."""

    def one(process: int) -> float:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100

    return one(processes[0]), one(processes[1])


def _status(process: int, name: str) -> int:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))


def run(load: Load) -> Found:
    return asyncio.run(drive(load))
