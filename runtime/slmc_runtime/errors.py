"""What goes wrong with one request, in the shape of OpenAI's errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_TYPES = {429: "rate_limit_error"}


@dataclass(slots=True)
class ApiError(Exception):
    """`retry_after` is in seconds. The message never repeats what the request says."""

    status: int
    message: str
    code: str | None = None
    param: str | None = None
    retry_after: int | None = None

    @property
    def body(self) -> dict[str, Any]:
        kind = _TYPES.get(self.status, "invalid_request_error" if self.status < 500 else "server_error")
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}

    @property
    def plain(self) -> dict[str, Any]:
        """For the way between the two processes."""
        return {"status": self.status, "message": self.message, "code": self.code, "param": self.param}


def from_plain(found: Mapping[str, Any]) -> ApiError:
    return ApiError(found["status"], found["message"], found["code"], found["param"])


def too_long(tokens: int, most: int, param: str) -> ApiError:
    message = f"This model's maximum context length is {most} tokens, and the request has {tokens}."
    return ApiError(400, message, "context_length_exceeded", param)
