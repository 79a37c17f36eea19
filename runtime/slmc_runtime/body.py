"""The bodies of requests, each up to a size, and all that are being read up to another."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from starlette.types import Receive, Scope

from slmc_runtime.config import Limits
from slmc_runtime.errors import ApiError


class Disconnected(Exception):
    """The client has gone."""


class Room:
    """Bytes that the bodies of requests may take at once: many connections must not fill the device's memory."""

    def __init__(self, most: int) -> None:
        self._left = most

    @contextlib.contextmanager
    def share(self) -> Iterator[Callable[[int], None]]:
        """Takes bytes for one body, which are given back at the end. The function raises ApiError."""
        taken = 0

        def take(count: int) -> None:
            nonlocal taken
            if count > self._left:
                raise ApiError(
                    429, "As much is read of other requests as may. Try again later.", "queue_full", retry_after=1
                )
            self._left -= count
            taken += count

        try:
            yield take
        finally:
            self._left += taken


async def read_object(scope: Scope, receive: Receive, limits: Limits, room: Room) -> dict[str, Any]:
    """The JSON object in the body. Raises ApiError or Disconnected."""
    most = limits.request_bytes
    declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
    # h11 has refused what is not a number; a body without a length is counted.
    if declared.isdigit() and int(declared) > most:
        raise _too_large(most)
    try:
        with room.share() as take:
            async with asyncio.timeout(limits.timeout):
                return _parsed(await _read(receive, most, take))
    except TimeoutError:
        raise ApiError(408, "The request did not come in time.", "timeout") from None


async def _read(receive: Receive, most: int, take: Callable[[int], None]) -> bytes:
    data = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        piece = message.get("body", b"")
        if len(data) + len(piece) > most:
            raise _too_large(most)
        take(len(piece))
        data += piece
        if not message.get("more_body", False):
            return bytes(data)


def _too_large(most: int) -> ApiError:
    return ApiError(413, f"The request has more than {most} bytes.", "request_too_large")


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data, parse_constant=_no_number)
        # Half a surrogate pair is no character, and no tokenizer takes one.
        json.dumps(found, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise ApiError(400, "The body is not JSON in UTF-8.", "invalid_json") from None
    if not isinstance(found, dict):
        raise ApiError(400, "The body is not a JSON object.", "invalid_json")
    return found


def _no_number(name: str) -> NoReturn:
    raise ValueError(name)
