"""The body of a request, up to a size."""

from __future__ import annotations

import asyncio
import json
from typing import Any, NoReturn

from starlette.types import Receive, Scope

from slmc_runtime.errors import ApiError


class Disconnected(Exception):
    """The client has gone."""


async def read_object(scope: Scope, receive: Receive, most: int, seconds: float) -> dict[str, Any]:
    """The JSON object in the body. Raises ApiError or Disconnected."""
    declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
    # h11 has refused what is not a number; a body without a length is counted.
    if declared.isdigit() and int(declared) > most:
        raise _too_large(most)
    try:
        async with asyncio.timeout(seconds):
            return _parsed(await _read(receive, most))
    except TimeoutError:
        raise ApiError(408, "The request did not come in time.", "timeout") from None


async def _read(receive: Receive, most: int) -> bytes:
    data = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        data += message.get("body", b"")
        if len(data) > most:
            raise _too_large(most)
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
