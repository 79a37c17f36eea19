"""A TCP proxy on loopback that cuts connections."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

_PIECE = 2**16


@dataclass
class Cuts:
    """How many bytes of what clients send go through before a connection is cut, in order; then none is cut."""

    after: list[int]
    passed: int = 0
    """Bytes that clients sent in all."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, count: int) -> int:
        """How many of `count` bytes may pass."""
        with self._lock:
            allowed = min(count, self.after[0]) if self.after else count
            self.passed += allowed
            if self.after:
                self.after[0] -= allowed
                if not self.after[0]:
                    self.after.pop(0)
            return allowed


@contextlib.contextmanager
def cutting_proxy(address: str, cuts: Cuts) -> Iterator[str]:
    host, _, port = address.rpartition(":")
    listener = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []
    ends: list[socket.socket] = []

    def accept() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            server = socket.create_connection((host, int(port)))
            ends.extend((client, server))
            threads.append(threading.Thread(target=_up, args=(client, server, cuts)))
            threads.append(threading.Thread(target=_down, args=(client, server)))
            for thread in threads[-2:]:
                thread.start()

    accepting = threading.Thread(target=accept)
    accepting.start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        accepting.join()
        _close(*ends)
        for thread in threads:
            thread.join(timeout=5)


def _up(client: socket.socket, server: socket.socket, cuts: Cuts) -> None:
    with contextlib.suppress(OSError):
        while data := client.recv(_PIECE):
            allowed = cuts.take(len(data))
            server.sendall(data[:allowed])
            if allowed < len(data):
                break
    _close(client, server)


def _down(client: socket.socket, server: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := server.recv(_PIECE):
            client.sendall(data)
    _close(client, server)


def _close(*ends: socket.socket) -> None:
    for end in ends:
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()
