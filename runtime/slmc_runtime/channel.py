"""Messages between the server and the model's process: JSON, one a line, over a pair of sockets."""

from __future__ import annotations

import json
import select
import socket
from typing import Any

Message = dict[str, Any]


def encoded(message: Message) -> bytes:
    return json.dumps(message, separators=(",", ":"), allow_nan=False).encode() + b"\n"


class Channel:
    """The model's end, which blocks."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._buffer = bytearray()
        self._poll = select.poll()
        self._poll.register(end, select.POLLIN)

    def send(self, message: Message) -> None:
        """Raises OSError when the server has gone."""
        self._end.sendall(encoded(message))

    def receive(self) -> Message:
        """Wait for the next message. Raises EOFError when the server has gone."""
        while (end := self._buffer.find(b"\n")) < 0:
            data = self._end.recv(1 << 16)
            if not data:
                raise EOFError
            self._buffer += data
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        found: Message = json.loads(line)
        return found

    def waiting(self) -> bool:
        """Whether a message or the end of the server is there."""
        return b"\n" in self._buffer or bool(self._poll.poll(0))
